"""The geometry of a report's pictures; the template draws it, so that every text is escaped once.

Line charts are small multiples in a box of fixed units, one figure each, with a line per run.
Intervals are drawn in per cent of their track, so that they fit any width.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trainer.report.summary import Curve, GrpoRun, Interval

WIDTH, HEIGHT = 320, 168
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 10, 24
_MOST_POINTS = 400
_COLOURS = 6


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis, in units of the box."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Trace:
    """One line of a panel.

    Attributes:
        slot: which of the six colours, from 1.
        dashed: whether it is drawn with gaps.
        pieces: points as SVG takes them; the line has a gap where a value was no number.
        dots: values without a neighbour, as (x, y).
    """

    slot: int
    dashed: bool
    pieces: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One small line chart.

    Attributes:
        title: what is drawn.
        words: the same in a sentence, for who cannot see it.
        rows: values at each axis tick.
        columns: steps at each axis tick.
        traces: its lines.
    """

    title: str
    words: str
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    traces: tuple[Trace, ...]


@dataclass(frozen=True, slots=True)
class Legend:
    """The name of a line and how it is drawn."""

    name: str
    slot: int
    dashed: bool


@dataclass(frozen=True, slots=True)
class Span:
    """An interval on a track, in per cent of its width."""

    low: float
    mean: float
    high: float


def slot_of(index: int) -> int:
    """The colour of the line at `index`."""
    return index % _COLOURS + 1


def grpo_legend(runs: Sequence[GrpoRun]) -> tuple[Legend, ...]:
    """One entry a run; sequence-level runs are dashed."""
    return tuple(
        Legend(run.name, slot_of(index), run.level == "sequence") for index, run in enumerate(runs)
    )


def grpo_panels(runs: Sequence[GrpoRun]) -> tuple[Panel, ...]:
    """One panel for each reward and figure that any run has, in the order of the first run."""
    legend = grpo_legend(runs)
    names = dict.fromkeys(curve.name for run in runs for curve in run.curves)
    panels = []
    for name in names:
        lines = [
            (curve, mark)
            for run, mark in zip(runs, legend, strict=True)
            for curve in run.curves
            if curve.name == name
        ]
        panels.append(panel(name, lines))
    return tuple(found for found in panels if found is not None)


def panel(title: str, lines: Iterable[tuple[Curve, Legend]]) -> Panel | None:
    """A chart of curves that share an axis; None where no curve has a number."""
    drawn = [(_thinned(curve), mark) for curve, mark in lines]
    values = [value for curve, _ in drawn for value in curve.values if value is not None]
    steps = [step for curve, _ in drawn for step in curve.steps]
    if not values:
        return None
    low, high, step = _scale(min(values), max(values))
    first, last = min(steps), max(steps)

    def across(at: float) -> float:
        share = (at - first) / (last - first) if last > first else 0.5
        return round(_LEFT + share * (WIDTH - _LEFT - _RIGHT), 2)

    def down(value: float) -> float:
        return round(HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM), 2)

    traces = []
    for curve, mark in drawn:
        points = [
            None if value is None else (across(at), down(value))
            for at, value in zip(curve.steps, curve.values, strict=True)
        ]
        runs = _pieces(points)
        traces.append(
            Trace(
                mark.slot,
                mark.dashed,
                tuple(" ".join(f"{x},{y}" for x, y in run) for run in runs if len(run) > 1),
                tuple(run[0] for run in runs if len(run) == 1),
            )
        )
    count = round((high - low) / step)
    rows = [low + step * index for index in range(count + 1)]
    ends = "; ".join(f"{mark.name}: {_ends(curve)}" for curve, mark in drawn)
    return Panel(
        title,
        f"{title} over steps {first} to {last}. {ends}.",
        tuple(Tick(down(value), _short(value, step)) for value in rows),
        tuple(Tick(across(at), str(at)) for at in dict.fromkeys((first, last))),
        tuple(traces),
    )


def spans(intervals: Mapping[str, Interval], low: float, high: float) -> dict[str, Span]:
    """Intervals on a track from `low` to `high`."""

    def place(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(100 * min(1.0, max(0.0, share)), 2)

    return {
        name: Span(
            place(found.mean if found.low is None else found.low),
            place(found.mean),
            place(found.mean if found.high is None else found.high),
        )
        for name, found in intervals.items()
    }


def _thinned(curve: Curve) -> Curve:
    """At most `_MOST_POINTS` points, the last one among them."""
    every = math.ceil(len(curve.steps) / _MOST_POINTS)
    if every <= 1:
        return curve
    kept = sorted({*range(0, len(curve.steps), every), len(curve.steps) - 1})
    return Curve(
        curve.name, tuple(curve.steps[i] for i in kept), tuple(curve.values[i] for i in kept)
    )


def _pieces(points: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            pieces.append([])
        else:
            pieces[-1].append(point)
    return [piece for piece in pieces if piece]


def _scale(low: float, high: float) -> tuple[float, float, float]:
    """Round ends and a round step with two to six intervals between them."""
    if math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-12):
        margin = abs(low) * 0.1 or 0.5
        low, high = low - margin, high + margin
    raw = (high - low) / 3
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1.0, 2.0, 5.0, 10.0) if m * magnitude >= raw)
    return math.floor(low / step) * step, math.ceil(high / step) * step, step


def _short(value: float, step: float) -> str:
    """A tick's value with as many decimals as its step needs."""
    if step < 1e-4 or abs(value) >= 1e5:  # noqa: PLR2004 - beyond that a power reads better
        return f"{value:.1e}" if value else "0"
    decimals = max(0, -math.floor(math.log10(step)))
    return f"{value:.{decimals}f}"


def _ends(curve: Curve) -> str:
    known = [value for value in curve.values if value is not None]
    return f"{known[0]:.3g} to {known[-1]:.3g}" if known else "no numbers"
