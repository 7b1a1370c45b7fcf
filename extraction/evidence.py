"""Where on the page a value was read: value -> page, box, text.

A value stands within one line, or runs over several that follow each other (an address). Both are
found by aligning texts with RapidFuzz, so that a misread character does not lose the place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from rapidfuzz import fuzz

from extraction.document_types.base import FieldSpec, Kind
from extraction.lines import Box, Line, rows

# Below this similarity (0 to 100) a text is not the value's place.
_LEAST_SIMILARITY = 70.0
# A line belongs to a longer value when it is nearly contained in it.
_LEAST_PART = 82.0
_SHORTEST_PART = 3
_MOST_LINES = 8


class Source(StrEnum):
    """Who read a value."""

    MODEL = "model"
    MRZ = "mrz"
    HUMAN = "human"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A place on a page.

    Attributes:
        page: index of the page, from 0.
        box: the place as ratios of the page.
        text: what the OCR read there.
        similarity: agreement of that text with the value, 0 to 1.
        score: the OCR's own score of the lines, 0 to 1, their least.
        alternatives: how many other places fit as well.
        labelled: whether a word of the field's name stands in the same row.
    """

    page: int
    box: Box
    text: str
    similarity: float = 1.0
    score: float = 1.0
    alternatives: int = 0
    labelled: bool = False


@dataclass(frozen=True, slots=True)
class ReadField:
    """One value of a response.

    Attributes:
        path: "total", "items.0.unit_price".
        value: normalised, as JSON; None where the text is no such value.
        raw: as printed.
        confidence: calibrated probability that the value is right, 0 to 1.
        evidence: where it stands; None where it was not found.
        source: who read it.
        signals: what the confidence was computed from, kept so that it can be refitted on
            corrections; see `confidence.py`.
    """

    path: str
    value: Any
    raw: str | None
    confidence: float
    evidence: Evidence | None
    source: Source
    signals: Mapping[str, float] = field(default_factory=dict)


class EvidenceFinder:
    """Finds places among the lines of one document.

    Args:
        lines: all lines, pages in order, in reading order.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = list(lines)
        self._folded = [_fold(line.text) for line in self._lines]
        self._row_text: dict[int, str] = {}
        for row in rows(self._lines):
            text = " ".join(_fold(line.text) for line in row)
            for line in row:
                self._row_text[id(line)] = text

    def find(self, raw: str, spec: FieldSpec) -> Evidence | None:
        """The place of a value as printed, or None.

        Of several equal places the one in a row that names the field wins; then the last for
        amounts, which stand below what they sum up, and the first for everything else.
        """
        wanted = _fold(raw)
        if not wanted or not self._lines:
            return None
        within = self._within_lines(wanted, spec)
        if within is not None and within.similarity >= 0.95:  # noqa: PLR2004 - as good as equal
            return within
        across = self._across_lines(wanted)
        found = [item for item in (within, across) if item is not None]
        return max(found, key=lambda item: item.similarity, default=None)

    def _within_lines(self, wanted: str, spec: FieldSpec) -> Evidence | None:
        hits: list[tuple[float, bool, int, Evidence]] = []
        labels = {word for word in spec.name.split("_") if len(word) > 2}  # noqa: PLR2004
        for index, (line, folded) in enumerate(zip(self._lines, self._folded, strict=True)):
            if len(folded) * 1.25 < len(wanted):
                continue
            aligned = fuzz.partial_ratio_alignment(wanted, folded, score_cutoff=_LEAST_SIMILARITY)
            if aligned is None or (len(wanted) <= 4 and aligned.score < 100):  # noqa: PLR2004
                continue
            start, end = aligned.dest_start, aligned.dest_end
            similarity = aligned.score / 100
            if not _whole(folded, start, end):
                similarity *= 0.9
            box = _part(line, start / len(folded), end / len(folded))
            labelled = any(label in self._row_text[id(line)] for label in labels)
            text = line.text if len(line.text) != len(folded) else line.text[start:end]
            evidence = Evidence(line.page, box, text, similarity, line.score, labelled=labelled)
            hits.append((similarity, labelled, index, evidence))
        if not hits:
            return None
        sign = 1 if spec.kind is Kind.MONEY else -1
        best = max(hits, key=lambda hit: (round(hit[0], 2), hit[1], sign * hit[2]))
        equal = sum(hit[0] >= best[0] - 0.01 and hit[1] == best[1] for hit in hits) - 1
        found = best[3]
        return Evidence(
            found.page,
            found.box,
            found.text,
            found.similarity,
            found.score,
            alternatives=equal,
            labelled=found.labelled,
        )

    def _across_lines(self, wanted: str) -> Evidence | None:
        """The run of neighbouring lines whose joined text is most like the value."""
        parts = [
            len(folded) >= _SHORTEST_PART and fuzz.partial_ratio(folded, wanted) >= _LEAST_PART
            for folded in self._folded
        ]
        best: tuple[float, int, int] | None = None
        for start, is_part in enumerate(parts):
            if not is_part:
                continue
            joined = ""
            for end in range(start, min(start + _MOST_LINES, len(parts))):
                if self._lines[end].page != self._lines[start].page:
                    break
                joined = f"{joined} {self._folded[end]}".strip()
                if parts[end]:
                    score = fuzz.ratio(joined, wanted)
                    if best is None or score > best[0]:
                        best = (score, start, end)
                if len(joined) > 1.5 * len(wanted):
                    break
        if best is None or best[0] < _LEAST_SIMILARITY:
            return None
        score, start, end = best
        chosen = [
            line
            for line, part in zip(self._lines[start : end + 1], parts[start:], strict=False)
            if part
        ]
        box = chosen[0].box.union(*(line.box for line in chosen[1:]))
        text = " ".join(line.text for line in chosen)
        least = min(line.score for line in chosen)
        return Evidence(chosen[0].page, box, text, score / 100, least)


def evidence_json(evidence: Evidence | None) -> Mapping[str, Any] | None:
    """Evidence as it stands in a response."""
    if evidence is None:
        return None
    box = evidence.box
    edges = (box.left, box.top, box.right, box.bottom)
    return {
        "page": evidence.page,
        "box": [round(edge, 4) for edge in edges],
        "text": evidence.text,
    }


def _fold(text: str) -> str:
    """Case folded without a change of length, so that offsets stay offsets of the line."""
    folded = text.casefold()
    return folded if len(folded) == len(text) else text.lower()


def _whole(text: str, start: int, end: int) -> bool:
    """Whether the place is not a part of a longer number or word."""
    before = text[start - 1] if start > 0 else " "
    after = text[end] if end < len(text) else " "
    return not (
        before.isalnum()
        or after.isalnum()
        or before in ".,"
        or (after == "." and end + 1 < len(text))
    )


def _part(line: Line, start: float, end: float) -> Box:
    """The part of a line's box, by the share of its characters. Only for lines that run level."""
    if line.quarter_turns:
        return line.box
    box = line.box
    return Box(box.left + start * box.width, box.top, box.left + end * box.width, box.bottom)
