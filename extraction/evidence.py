"""Where on the page a value was read: value -> page, box, text.

A value stands within one line, or runs over several that follow each other (an address). Both are
found by aligning texts with RapidFuzz, so that a misread character does not lose the place. A date
or an amount is found in another form too: 12-08-1974 where "12 AUG 1974" is printed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from rapidfuzz import fuzz

from extraction.document_types.base import FieldSpec, Kind
from extraction.lines import Box, Line, rows
from extraction.normalize import normalize, parse_date, parse_money
from extraction.places import (
    AMOUNTS,
    EXACT,
    LABELS,
    amount_spans,
    date_spans,
    differs,
    is_whole,
    widened,
    words_of,
)

# Below this similarity (0 to 100) a text is not the value's place.
_LEAST_SIMILARITY = 70.0
# A line belongs to a longer value when it is nearly contained in it.
_LEAST_PART = 82.0
_SHORTEST_PART = 3
_MOST_LINES = 8
# A shorter text stands in many words that it is no part of, and says nothing when misread.
_SHORT = 4
_AS_GOOD_AS_EQUAL = 0.95
_WITHIN_A_WORD = 0.9


class Source(StrEnum):
    """Who read a value."""

    MODEL = "model"
    MRZ = "mrz"
    LINES = "lines"
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
        start: offset in a plain text; -1 on a page.
        end: offset behind it.
    """

    page: int
    box: Box
    text: str
    similarity: float = 1.0
    score: float = 1.0
    alternatives: int = 0
    labelled: bool = False
    start: int = -1
    end: int = -1


@dataclass(frozen=True, slots=True)
class _Hit:
    """A part of one line that may be a value's place."""

    similarity: float
    index: int
    start: int
    end: int


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
        place = {id(line): index for index, line in enumerate(self._lines)}
        self._row = [0] * len(self._lines)
        self._row_words: list[frozenset[str]] = []
        for number, row in enumerate(rows(self._lines)):
            for line in row:
                self._row[place[id(line)]] = number
            self._row_words.append(words_of(self._folded[place[id(line)]] for line in row))

    @property
    def lines(self) -> Sequence[Line]:
        """All lines of the document."""
        return self._lines

    def find(self, raw: str, spec: FieldSpec) -> Evidence | None:
        """The place of a value as printed, or of the same date or amount printed otherwise.

        Of several equal places the one in a row that names the field wins; then the last for
        amounts, which stand below what they sum up, and the first for everything else.
        """
        spec, wanted = _of_one(spec), _fold(raw).strip()
        if not wanted or not self._lines:
            return None
        hits = self._hits(raw, wanted, spec)
        sign = 1 if spec.kind is Kind.MONEY else -1
        ranks = {hit: (hit.similarity, self._labels(hit, spec), sign * hit.index) for hit in hits}
        best = max(hits, key=ranks.__getitem__, default=None)
        within = None
        if best is not None:
            equal = sum(rank[:2] == ranks[best][:2] for rank in ranks.values()) - 1
            within = self._evidence(best, equal, labelled=ranks[best][1] >= 1)
        return self._best_of(within, wanted, spec)

    def count(self, raw: str, spec: FieldSpec) -> int:
        """How often a value stands there, word for word or as the same date or amount."""
        spec, wanted = _of_one(spec), _fold(raw).strip()
        hits = self._hits(raw, wanted, spec) if wanted else []
        return sum(hit.similarity == 1 for hit in hits)

    def find_all(self, values: Iterable[tuple[str, str, FieldSpec]]) -> dict[str, Evidence | None]:
        """The place of each value: path, raw and specification -> evidence by path.

        The elements of a list stand one below the other. So theirs is the nearest place to the one
        found before, and one that no other element has.
        """
        found: dict[str, Evidence | None] = {}
        row_of_list: dict[str, int] = {}
        taken: dict[str, set[tuple[int, int]]] = {}
        for path, raw, spec in values:
            name, *inside = path.split(".")
            if not any(part.isdigit() for part in inside):
                found[path] = self.find(raw, spec)
                continue
            spec, wanted = _of_one(spec), _fold(raw).strip()  # noqa: PLW2901 - the element's
            hits = self._hits(raw, wanted, spec) if wanted else []
            used, near = taken.setdefault(name, set()), row_of_list.get(name, 0)
            best = max(
                hits,
                key=lambda hit: (
                    hit.similarity,
                    (hit.index, hit.start) not in used,
                    -abs(self._row[hit.index] - near),
                    -hit.index,
                    -hit.start,
                ),
                default=None,
            )
            within = None
            if best is not None:
                used.add((best.index, best.start))
                row_of_list[name] = self._row[best.index]
                equal = sum(hit.similarity == best.similarity for hit in hits) - 1
                within = self._evidence(best, equal, labelled=False)
            found[path] = self._best_of(within, wanted, spec)
        return found

    def _best_of(self, within: Evidence | None, wanted: str, spec: FieldSpec) -> Evidence | None:
        if within is not None and within.similarity >= _AS_GOOD_AS_EQUAL:
            return within
        across = None
        if wanted and len(wanted) > _SHORT and spec.kind not in EXACT - {Kind.DATE}:
            across = self._across_lines(wanted)
        if across is not None and differs(across.text, wanted, spec):
            across = None
        found = [item for item in (within, across) if item is not None]
        return max(found, key=lambda item: item.similarity, default=None)

    def _hits(self, raw: str, wanted: str, spec: FieldSpec) -> list[_Hit]:
        """Where it stands word for word; else in another form; else as a part, or misread."""
        hits = [hit for index in range(len(self._lines)) for hit in self._same(index, wanted, spec)]
        whole = [hit for hit in hits if hit.similarity == 1]
        if whole:
            return whole
        same_value = list(self._same_value(raw, spec))
        if same_value or len(wanted) <= _SHORT:
            return same_value
        parts = [] if spec.kind in EXACT else hits
        return parts or list(self._alike(wanted, spec))

    def _same(self, index: int, wanted: str, spec: FieldSpec) -> Iterator[_Hit]:
        folded = self._folded[index]
        start = folded.find(wanted)
        while start >= 0:
            end = start + len(wanted)
            similarity = 1.0 if is_whole(folded, start, end, spec.kind) else _WITHIN_A_WORD
            yield _Hit(similarity, index, start, end)
            start = folded.find(wanted, start + 1)

    def _same_value(self, raw: str, spec: FieldSpec) -> Iterator[_Hit]:
        if spec.kind not in {Kind.DATE, Kind.MONEY}:
            return
        value = normalize(spec.kind, raw)
        if value is None:
            return
        is_date = spec.kind is Kind.DATE
        for index, folded in enumerate(self._folded):
            spans = date_spans(folded) if is_date else amount_spans(folded)
            for start, end in spans:
                text = folded[start:end]
                if (parse_date(text) if is_date else parse_money(text)) == value:
                    yield _Hit(1.0, index, start, end)
                    break

    def _alike(self, wanted: str, spec: FieldSpec) -> Iterator[_Hit]:
        for index, folded in enumerate(self._folded):
            if len(folded) * 1.25 < len(wanted):
                continue
            aligned = fuzz.partial_ratio_alignment(wanted, folded, score_cutoff=_LEAST_SIMILARITY)
            if aligned is None or aligned.dest_end <= aligned.dest_start:
                continue
            start, end = aligned.dest_start, aligned.dest_end
            if differs(widened(folded, start, end), wanted, spec):
                continue
            similarity = aligned.score / 100
            if not is_whole(folded, start, end, spec.kind):
                similarity *= _WITHIN_A_WORD
            yield _Hit(round(similarity, 2), index, start, end)

    def _labels(self, hit: _Hit, spec: FieldSpec) -> float:
        """How well the row names the field: 1 and more where it does, 0 where nothing does.

        Half a point more where it names no other amount, as "TOTAL GST" does. The row above counts
        a little, for on forms the label stands there; above an amount stands another amount.
        """
        own = {word for word in spec.name.split("_") if len(word) > 2}  # noqa: PLR2004
        own |= LABELS.get(spec.name, frozenset())
        number = self._row[hit.index]
        row = self._row_words[number]
        # "TOTAL INCL. GST" names the total, "TOTAL GST" the tax.
        is_inclusive = any(word.startswith("incl") for word in row)
        skipped = {spec.name, "tax_total"} if is_inclusive else {spec.name}
        others = [words for name, words in LABELS.items() if name not in skipped]
        if count := len(own & row):
            names_another = any((words - own) & row for words in others)
            return count + (0.0 if names_another else 0.5)
        if spec.kind in AMOUNTS or number == 0:
            return 0.0
        return min(len(own & self._row_words[number - 1]), 3) / 4

    def _evidence(self, hit: _Hit, equal: int, *, labelled: bool) -> Evidence:
        line, folded = self._lines[hit.index], self._folded[hit.index]
        box = _part(line, hit.start / len(folded), hit.end / len(folded))
        same_length = len(line.text) == len(folded)
        text = line.text[hit.start : hit.end] if same_length else line.text
        found = Evidence(line.page, box, text, hit.similarity, line.score, equal, labelled)
        if line.start < 0:
            return found
        begin, end = (hit.start, hit.end) if same_length else (0, len(line.text))
        return replace(found, start=line.start + begin, end=line.start + end)

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
        found = Evidence(chosen[0].page, box, text, score / 100, least)
        if chosen[0].start < 0:
            return found
        end = chosen[-1].start + len(chosen[-1].text)
        return replace(found, start=chosen[0].start, end=end)


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


def _of_one(spec: FieldSpec) -> FieldSpec:
    """The specification of a value; of a list of leaves, that of an element."""
    return replace(spec, kind=spec.element) if spec.kind is Kind.LIST else spec


def _fold(text: str) -> str:
    """Case folded without a change of length, so that offsets stay offsets of the line."""
    folded = text.casefold()
    return folded if len(folded) == len(text) else text.lower()


def _part(line: Line, start: float, end: float) -> Box:
    """The part of a line's box, by the share of its characters. Only for lines that run level."""
    if line.quarter_turns:
        return line.box
    box = line.box
    return Box(box.left + start * box.width, box.top, box.left + end * box.width, box.bottom)
