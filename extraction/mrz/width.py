"""A line of OCR text -> texts of the right width that it can stand for.

OCR reads the characters and loses count of the fillers. Their number is not a guess: a name field
and an optional field are filled up to a fixed width, so what is missing or surplus follows from the
width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from extraction.mrz.layout import FILLER, MrzFormat

# Costs on the scale of `extraction.mrz.fit`, where a check digit that agrees is worth 3.
_FILLER, _MOVED, _REMOVED = 0.03, 0.6, 1.0
_MOST_MISSING, _MOST_SURPLUS = 18, 6
_LONGEST_TRIM = 3
# So many fillers are missed beside a single one; more only where a run of them was seen.
_FEW_MISSING, _CERTAIN_RUN = 4, 2


@dataclass(frozen=True, slots=True)
class Width:
    """A text of the right width, what it took and where it changed."""

    text: str
    cost: float
    position: int = 0
    before: str = ""
    after: str = ""


def is_name_line(format_: MrzFormat, line: int) -> bool:
    """Whether fillers of this line are missing or surplus at its end alone."""
    return any(
        slot.span.line == line and slot.name == "names" and slot.span.end == format_.width
        for slot in format_.slots
    )


def likely_widths(format_: MrzFormat, line: int, text: str) -> Iterator[Width]:
    """The text itself, its runs of fillers longer or shorter, or strays at its ends gone."""
    if is_name_line(format_, line):
        yield from _name_widths(format_.width, text)
        return
    missing = format_.width - len(text)
    if missing == 0:
        yield Width(text, 0.0)
    elif 0 < missing <= _MOST_MISSING:
        yield from _longer_runs(text, missing)
    elif 0 < -missing <= _MOST_SURPLUS:
        yield from _thinned(text, -missing)


def widths_behind_number(format_: MrzFormat, line: int, text: str) -> Iterator[Width]:
    """Fillers missing at the end of a short document number, the others in a run."""
    missing = format_.width - len(text)
    slot = format_.slot("document_number")
    if slot.span.line != line or is_name_line(format_, line) or not 0 < missing <= _FEW_MISSING:
        return
    for behind in range(1, missing + 1):
        place = slot.span.end - behind
        widened = text[:place] + FILLER * behind + text[place:]
        cost = _MOVED + _FILLER * missing
        if behind == missing:
            yield Width(widened, cost, place, "", FILLER * behind)
            continue
        for option in _longer_runs(widened, missing - behind):
            yield Width(option.text, cost + option.cost, place, "", FILLER * missing)


def widths_anywhere(format_: MrzFormat, line: int, text: str) -> Iterator[Width]:
    """Missing fillers at any place, at two places, or beside a stray character at an end."""
    if is_name_line(format_, line):
        return
    missing = format_.width - len(text)
    if 0 < missing <= _FEW_MISSING:
        yield from _at_any_place(text, missing)
    if abs(missing) > 1:
        return
    for stripped, gone in ((text[1:], text[:1]), (text[:-1], text[-1:])):
        for option in _at_any_place(stripped, format_.width - len(stripped)):
            yield Width(option.text, option.cost + _REMOVED, option.position, gone, option.after)


def _longer_runs(text: str, missing: int) -> Iterator[Width]:
    """`missing` fillers more in any one run, the longest first."""
    runs = _runs(text)
    longest = max((end - start for start, end in runs), default=0)
    fillers = FILLER * missing
    for start, end in runs:
        if missing <= _FEW_MISSING or end - start >= _CERTAIN_RUN:
            cost = _FILLER * (missing + longest - (end - start))
            yield Width(text[:end] + fillers + text[end:], cost, end, "", fillers)


def _at_any_place(text: str, missing: int) -> Iterator[Width]:
    """`missing` fillers at one place, or one lost alone and the others in the longest run."""
    fillers = FILLER * missing
    for place in range(len(text) + 1):
        cost = _MOVED + _FILLER * missing
        yield Width(text[:place] + fillers + text[place:], cost, place, "", fillers)
    if missing <= 1:
        return
    start, end = max(_runs(text), key=lambda run: run[1] - run[0], default=(len(text), len(text)))
    rest = FILLER * (missing - 1)
    for place in range(len(text) + 1):
        if start <= place <= end:
            continue
        widened = text[:end] + rest + text[end:]
        at = place if place < start else place + missing - 1
        widened = widened[:at] + FILLER + widened[at:]
        yield Width(widened, 2 * _MOVED + _FILLER * missing, end, "", fillers)


def _thinned(text: str, surplus: int) -> Iterator[Width]:
    """`surplus` characters fewer: fillers out of one run, or strays at either end."""
    runs = _runs(text)
    longest = max((end - start for start, end in runs), default=0)
    for start, end in runs:
        if end - start >= surplus:
            cost = _FILLER * (surplus + longest - (end - start))
            yield Width(text[: end - surplus] + text[end:], cost, start, text[end - surplus : end])
    if surplus <= _LONGEST_TRIM:
        for front in range(surplus + 1):
            back = len(text) - (surplus - front)
            gone = text[:front] + text[back:]
            yield Width(text[front:back], _REMOVED * surplus, 0, gone)
    if surplus > 1:
        # Strays at one end, and the other surplus in a run.
        for stripped, gone in ((text[1:], text[0]), (text[:-1], text[-1])):
            for option in _thinned(stripped, surplus - 1):
                before = option.before + gone
                yield Width(option.text, option.cost + _REMOVED, option.position, before)


def _name_widths(width: int, text: str) -> Iterator[Width]:
    for front in range(_LONGEST_TRIM + 1):
        rest = text[front:]
        cost = front * _REMOVED
        gone = text[:front]
        if len(rest) == width:
            yield Width(rest, cost, 0, gone)
        elif len(rest) < width:
            fillers = FILLER * (width - len(rest))
            yield Width(rest + fillers, cost + _FILLER * len(fillers), len(rest), gone, fillers)
        elif len(rest) - width <= _MOST_SURPLUS:
            # A letter behind the fillers is noise; letters at the very end were cut by the issuer.
            surplus = rest[width:]
            strays = len(surplus.replace(FILLER, ""))
            cost += strays * _REMOVED + _FILLER * len(surplus)
            yield Width(rest[:width], cost, width, gone + surplus)


def _runs(text: str) -> list[tuple[int, int]]:
    """Start and end of each run of fillers."""
    runs, start = [], 0
    for character, group in groupby(text):
        end = start + len(list(group))
        if character == FILLER:
            runs.append((start, end))
        start = end
    return runs
