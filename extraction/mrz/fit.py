"""A line of OCR text -> a line of a zone, exactly as wide as its format asks.

OCR reads the characters and loses count of the fillers. Their number is not a guess: a name field
and an optional field are filled up to a fixed width, so what is missing or surplus follows from the
width, and the dates and check digits around them say where.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from extraction.errors import InvalidMrz
from extraction.mrz.codes import state_codes
from extraction.mrz.layout import FILLER, Alphabet, MrzFormat
from extraction.mrz.parse import agrees
from extraction.mrz.repair import Proof, Repair, alphabets, by_alphabet, violations

# Weights of the evidence that a text is this line of this format. A passed check digit is a one in
# ten chance; a character of the wrong kind contradicts; the rest only breaks ties.
_DIGIT, _DATE, _CODE, _START = 3.0, 1.0, 1.5, 1.0
_VIOLATION, _REPAIR, _MOVED, _REMOVED, _FILLER = 1.0, 0.25, 0.6, 1.0, 0.03
_MOST_VIOLATIONS = 4
_LEAST_SCORE = -1.0
_MOST_MISSING, _MOST_SURPLUS = 18, 6
_LONGEST_TRIM = 3
_FIRST_LETTERS = {
    MrzFormat.TD3: "P",
    MrzFormat.MRV_A: "V",
    MrzFormat.MRV_B: "V",
    MrzFormat.FRA_ID: "I",
    MrzFormat.TD1: "IAC",
    MrzFormat.TD2: "IACP",
}


@dataclass(frozen=True, slots=True)
class Fit:
    """A text as one line of a format.

    Attributes:
        text: as wide as the format asks.
        score: how much speaks for it; comparable between texts and formats.
        repairs: what was changed to make it fit.
    """

    text: str
    score: float
    repairs: tuple[Repair, ...]


@dataclass(frozen=True, slots=True)
class _Width:
    """A text of the right width, what it took and where it changed."""

    text: str
    cost: float
    position: int = 0
    before: str = ""
    after: str = ""


def fit(format_: MrzFormat, line: int, text: str) -> Fit | None:
    """The best way in which `text` is line `line` of a format; None where it is none."""
    options = dict[str, _Width]()
    for option in _widths(format_, line, text):
        known = options.get(option.text)
        if known is None or option.cost < known.cost:
            options[option.text] = option
    best: Fit | None = None
    for option in options.values():
        repaired, repairs = by_alphabet(format_, line, option.text)
        wrong = violations(format_, line, repaired)
        if wrong > _MOST_VIOLATIONS:
            continue
        score = _evidence(format_, line, repaired)
        score -= wrong * _VIOLATION + len(repairs) * _REPAIR + option.cost
        if best is None or score > best.score:
            if option.before or option.after:
                change = Repair(line, option.position, option.before, option.after, Proof.WIDTH)
                repairs = [change, *repairs]
            best = Fit(repaired, score, tuple(repairs))
    return best if best is not None and best.score >= _LEAST_SCORE else None


def is_name_line(format_: MrzFormat, line: int) -> bool:
    """Whether fillers of this line are missing or surplus at its end alone."""
    return any(
        slot.span.line == line and slot.name == "names" and slot.span.end == format_.width
        for slot in format_.slots
    )


def _widths(format_: MrzFormat, line: int, text: str) -> Iterator[_Width]:
    if is_name_line(format_, line):
        yield from _name_widths(format_.width, text)
        return
    missing = format_.width - len(text)
    if missing == 0:
        yield _Width(text, 0.0)
    elif 0 < missing <= _MOST_MISSING:
        yield from _filled(text, missing)
    elif 0 < -missing <= _MOST_SURPLUS:
        yield from _thinned(text, -missing)
    # A stray character at an end, with a filler lost elsewhere.
    if abs(missing) <= 1:
        for stripped in (text[1:], text[:-1]):
            for option in _filled(stripped, format_.width - len(stripped)):
                yield _Width(
                    option.text,
                    option.cost + _REMOVED,
                    option.position,
                    option.before,
                    option.after,
                )


def _filled(text: str, missing: int) -> Iterator[_Width]:
    """`missing` fillers at any one place; beside others, and where most of those are, first."""
    runs = _runs(text)
    longest = max((end - start for start, end in runs), default=0)
    fillers = FILLER * missing
    for start, end in runs:
        cost = _FILLER * (missing + longest - (end - start))
        yield _Width(text[:end] + fillers + text[end:], cost, end, "", fillers)
    for place in range(len(text) + 1):
        cost = _MOVED + _FILLER * missing
        yield _Width(text[:place] + fillers + text[place:], cost, place, "", fillers)
    if 1 < missing <= _LONGEST_TRIM + 1:
        # One filler lost alone, and the others in the long run.
        start, end = max(runs, key=lambda run: run[1] - run[0], default=(len(text), len(text)))
        rest = FILLER * (missing - 1)
        for place in range(len(text) + 1):
            if start <= place <= end:
                continue
            widened = text[:end] + rest + text[end:]
            at = place if place < start else place + missing - 1
            widened = widened[:at] + FILLER + widened[at:]
            yield _Width(widened, 2 * _MOVED + _FILLER * missing, end, "", fillers)


def _thinned(text: str, surplus: int) -> Iterator[_Width]:
    """`surplus` characters fewer: fillers out of one run, or strays at either end."""
    runs = _runs(text)
    longest = max((end - start for start, end in runs), default=0)
    for start, end in runs:
        if end - start >= surplus:
            cost = _FILLER * (surplus + longest - (end - start))
            yield _Width(text[: end - surplus] + text[end:], cost, start, text[end - surplus : end])
    if surplus <= _LONGEST_TRIM:
        for front in range(surplus + 1):
            back = len(text) - (surplus - front)
            gone = text[:front] + text[back:]
            yield _Width(text[front:back], _REMOVED * surplus, 0, gone)
    if surplus > 1:
        # Strays at one end, and the other surplus in a run.
        for stripped, gone in ((text[1:], text[0]), (text[:-1], text[-1])):
            for option in _thinned(stripped, surplus - 1):
                before = option.before + gone
                yield _Width(option.text, option.cost + _REMOVED, option.position, before)


def _name_widths(width: int, text: str) -> Iterator[_Width]:
    for front in range(_LONGEST_TRIM + 1):
        rest = text[front:]
        cost = front * _REMOVED
        gone = text[:front]
        if len(rest) == width:
            yield _Width(rest, cost, 0, gone)
        elif len(rest) < width:
            fillers = FILLER * (width - len(rest))
            yield _Width(rest + fillers, cost + _FILLER * len(fillers), len(rest), gone, fillers)
        elif len(rest) - width <= _MOST_SURPLUS:
            # A letter behind the fillers is noise; letters at the very end were cut by the issuer.
            surplus = rest[width:]
            strays = len(surplus.replace(FILLER, ""))
            cost += strays * _REMOVED + _FILLER * len(surplus)
            yield _Width(rest[:width], cost, width, gone + surplus)


def _runs(text: str) -> list[tuple[int, int]]:
    """Start and end of each run of fillers."""
    runs, start = [], 0
    for character, group in groupby(text):
        end = start + len(list(group))
        if character == FILLER:
            runs.append((start, end))
        start = end
    return runs


def _evidence(format_: MrzFormat, line: int, text: str) -> float:
    """What speaks for a text of the right width: digits, dates, codes, the first letter."""
    score = 0.0
    rows = [""] * format_.height
    rows[line] = text
    for digit in format_.digits:
        spans = (digit.span, *digit.covers)
        if all(span.line == line for span in spans):
            try:
                score += _DIGIT * agrees(format_, digit, rows)
            except InvalidMrz:
                return -_DIGIT
    for slot in format_.slots:
        if slot.span.line != line:
            continue
        value = slot.span.of(rows)
        if slot.name in {"issuing_state", "nationality"}:
            score += _CODE * (value.rstrip(FILLER) in state_codes())
        elif slot.alphabet is Alphabet.DIGITS:
            score += _DATE * _is_day(value)
        elif slot.name == "document_code":
            score += _START if value[0] in _FIRST_LETTERS[format_] else -4 * _START
        elif slot.name == "sex":
            score += _DATE / 2 if value in "MF<" else 0.0
        elif slot.name in {"names", "surname"}:
            stripped = value.rstrip(FILLER)
            score += 0.5 * (FILLER * 2 in stripped) - 2.0 * (not stripped or value[0] == FILLER)
    return score


def _is_day(text: str) -> bool:
    """YYMMDD with month and day in their ranges."""
    return text.isdigit() and 1 <= int(text[2:4]) <= 12 and 1 <= int(text[4:]) <= 31  # noqa: PLR2004


def fixed_digit_share(format_: MrzFormat, line: int, text: str) -> float:
    """Share of a line's digit positions that hold digits or fillers, 0 to 1; 1 if it has none."""
    places = [i for i, a in enumerate(alphabets(format_, line)) if a is Alphabet.DIGITS]
    good = sum(text[i].isdigit() or text[i] == FILLER for i in places)
    return good / len(places) if places else 1.0
