"""Figures as SVG geometry: the templates draw them, and a table beside each says the same."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.queries.live import LiveCounts
from db.tables import ModelVersion, StoredDecision

_WIDTH, _HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 14, 14, 26
_Z95 = 1.959964
_LEAST_SPAN = 0.1
_STEP, _MOST_TICKS, _ROUNDING = 0.05, 5, 1e-9
_ROW, _LANE = 44, 18


@dataclass(frozen=True, slots=True)
class Duel:
    """One decision on the chart: two scores at a place."""

    x: float
    champion_y: float
    candidate_y: float
    champion: float
    candidate: float
    decision: StoredDecision


@dataclass(frozen=True, slots=True)
class ScoreChart:
    """The gate's scores over time; `ticks` are (y, text)."""

    duels: tuple[Duel, ...]
    ticks: tuple[tuple[float, str], ...]
    path: str
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    right: int = _WIDTH - _RIGHT


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its interval, 0 to 1; all None where nothing was counted."""

    value: float | None
    low: float | None
    high: float | None
    hits: int
    count: int


@dataclass(frozen=True, slots=True)
class Node:
    """A version in the lineage: its lane, and the lines from it to its children's lanes."""

    model: ModelVersion
    x: float
    y: float
    to_parent: str


def score_chart(decisions: Sequence[StoredDecision]) -> ScoreChart | None:
    """Champion and candidate on the holdout at each decision, oldest left; None without scores."""
    scored = [
        (decision, before, after)
        for decision in reversed(decisions)
        if (before := mean_score(decision.inputs.get("champion"))) is not None
        and (after := mean_score(decision.inputs.get("candidate"))) is not None
    ]
    if not scored:
        return None
    values = [value for _, before, after in scored for value in (before, after)]
    low, high = min(values), max(values)
    if high - low < _LEAST_SPAN:
        middle = (low + high) / 2
        low, high = middle - _LEAST_SPAN / 2, middle + _LEAST_SPAN / 2
    low, high = max(0.0, math.floor(low * 20) / 20), min(1.0, math.ceil(high * 20) / 20)
    inner = _WIDTH - _LEFT - _RIGHT

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    duels = tuple(
        Duel(
            x=_LEFT + inner * (index + 0.5) / len(scored),
            champion_y=y(before),
            candidate_y=y(after),
            champion=before,
            candidate=after,
            decision=decision,
        )
        for index, (decision, before, after) in enumerate(scored)
    )
    apart = _STEP * math.ceil((high - low) / _STEP / _MOST_TICKS - _ROUNDING)
    steps = [low + apart * step for step in range(int((high - low) / apart + _ROUNDING) + 1)]
    line = " ".join(
        f"{'M' if not index else 'L'}{duel.x:.1f} "
        f"{(duel.candidate_y if duel.decision.passed else duel.champion_y):.1f}"
        for index, duel in enumerate(duels)
    )
    return ScoreChart(duels, tuple((y(step), f"{100 * step:.0f}") for step in steps), line)


def mean_score(scores: Any) -> float | None:
    """The mean over documents of stored scores; None where nothing is scored."""
    documents = scores.get("documents") if isinstance(scores, Mapping) else None
    by_document: dict[str, list[float]] = {}
    for entry in documents or ():
        if isinstance(entry, Mapping) and isinstance(entry.get("score"), int | float):
            by_document.setdefault(str(entry.get("document")), []).append(float(entry["score"]))
    means = [sum(values) / len(values) for values in by_document.values()]
    return sum(means) / len(means) if means else None


def correction_share(counts: LiveCounts | None) -> Share:
    """How often people corrected a version, with the 95 % interval of Wilson (1927)."""
    if counts is None or not counts.reviewed:
        return Share(None, None, None, 0, 0)
    hits, count = counts.corrected, counts.reviewed
    ratio, z = hits / count, _Z95
    middle = ratio + z * z / (2 * count)
    spread = z * math.sqrt(ratio * (1 - ratio) / count + z * z / (4 * count * count))
    whole = 1 + z * z / count
    low, high = max(0.0, (middle - spread) / whole), min(1.0, (middle + spread) / whole)
    return Share(ratio, low, high, hits, count)


def lineage_graph(models: Sequence[ModelVersion]) -> tuple[tuple[Node, ...], int, int]:
    """Versions, newest first, in lanes as of a commit graph; and the picture's width and height."""
    lanes: list[str | None] = []
    places: dict[str, tuple[int, int]] = {}
    for row, model in enumerate(models):
        lane = lanes.index(model.id) if model.id in lanes else _free(lanes)
        lanes = [None if waits == model.id else waits for waits in lanes]
        lanes[lane] = model.parent_id
        places[model.id] = (lane, row)
    width = _LANE * (max(lane for lane, _ in places.values()) + 1) + 8 if places else 0

    def centre(place: tuple[int, int]) -> tuple[float, float]:
        return place[0] * _LANE + 12, place[1] * _ROW + _ROW / 2

    nodes = []
    for model in models:
        x, y = centre(places[model.id])
        line = ""
        if model.parent_id in places:
            to_x, to_y = centre(places[model.parent_id])
            bend = to_y - _ROW / 2
            line = f"M{x} {y} L{x} {bend} C{x} {to_y - 8} {to_x} {bend + 8} {to_x} {to_y}"
        nodes.append(Node(model, x, y, line))
    return tuple(nodes), width, _ROW * len(models)


def _free(lanes: list[str | None]) -> int:
    if None in lanes:
        return lanes.index(None)
    lanes.append(None)
    return len(lanes) - 1
