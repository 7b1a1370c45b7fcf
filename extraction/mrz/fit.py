"""A line of OCR text -> the line of a format that it is, with how much speaks for that."""

from dataclasses import dataclass

from extraction.mrz.codes import state_codes
from extraction.mrz.layout import FILLER, Alphabet, Digit, MrzFormat, Slot
from extraction.mrz.parse import agrees
from extraction.mrz.repair import Proof, Repair, by_alphabet, violations
from extraction.mrz.width import Width, likely_widths, widths_anywhere, widths_behind_number

# Weights of the evidence that a text is this line of this format. A passed check digit is a one in
# ten chance; a character of the wrong kind contradicts; the rest only breaks ties.
_DIGIT, _DATE, _CODE, _START = 3.0, 1.0, 1.5, 1.0
_VIOLATION, _REPAIR = 1.0, 0.25
_MOST_VIOLATIONS = 4
_LEAST_SCORE = -1.0
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


def fit(format_: MrzFormat, line: int, text: str) -> Fit | None:
    """The best way in which `text` is line `line` of a format; None where it is none.

    Less likely changes are tried only where the likelier ones leave characters of the wrong kind,
    no date where a date belongs, or an unknown state: a check digit alone would be met by chance
    among so many.
    """
    best: Fit | None = None
    for widths in (likely_widths, widths_behind_number, widths_anywhere):
        for option in widths(format_, line, text):
            found = _fit(format_, line, option)
            if found is not None and (best is None or found.score > best.score):
                best = found
        if best is None or not _is_sound(format_, line, best.text):
            continue
        if widths is not likely_widths or _own_digits(format_, line, best.text) == 0:
            break
    return best if best is not None and best.score >= _LEAST_SCORE else None


def _fit(format_: MrzFormat, line: int, option: Width) -> Fit | None:
    text, repairs = by_alphabet(format_, line, option.text)
    wrong = violations(format_, line, text)
    if wrong > _MOST_VIOLATIONS:
        return None
    score = _evidence(format_, line, text)
    score -= wrong * _VIOLATION + len(repairs) * _REPAIR + option.cost
    if option.before or option.after:
        change = Repair(line, option.position, option.before, option.after, Proof.WIDTH)
        repairs = [change, *repairs]
    return Fit(text, score, tuple(repairs))


def _is_sound(format_: MrzFormat, line: int, text: str) -> bool:
    """Whether every character is of its kind, dates are dates and states are listed."""
    if violations(format_, line, text):
        return False
    for slot in format_.slots:
        if slot.span.line == line:
            value = text[slot.span.start : slot.span.end]
            if slot.alphabet is Alphabet.DIGITS and value.strip(FILLER) and not _is_day(value):
                return False
            is_state = slot.name in {"issuing_state", "nationality"}
            if is_state and value.rstrip(FILLER) not in state_codes():
                return False
    return True


def _own_digits(format_: MrzFormat, line: int, text: str) -> int:
    """How many check digits that lie in this line alone disagree."""
    rows = [""] * format_.height
    rows[line] = text
    return sum(not agrees(format_, digit, rows) for digit in _digits_of(format_, line))


def _digits_of(format_: MrzFormat, line: int) -> list[Digit]:
    return [
        digit
        for digit in format_.digits
        if all(span.line == line for span in (digit.span, *digit.covers))
    ]


def _evidence(format_: MrzFormat, line: int, text: str) -> float:
    """What speaks for a text of the right width: digits, dates, codes, the first letter."""
    rows = [""] * format_.height
    rows[line] = text
    # The digit of an empty field is a filler, and agrees with every run of fillers.
    telling = (
        digit
        for digit in _digits_of(format_, line)
        if any(span.of(rows).strip(FILLER) for span in digit.covers)
    )
    score = _DIGIT * sum(agrees(format_, digit, rows) for digit in telling)
    return score + sum(
        _slot_evidence(format_, slot, slot.span.of(rows))
        for slot in format_.slots
        if slot.span.line == line
    )


def _slot_evidence(format_: MrzFormat, slot: Slot, value: str) -> float:
    """What speaks for the content of one field."""
    match slot.name:
        case "issuing_state" | "nationality":
            return _CODE * (value.rstrip(FILLER) in state_codes())
        case "date_of_birth" | "date_of_expiry":
            return _DATE * _is_day(value)
        case "document_code":
            return _START if value[0] in _FIRST_LETTERS[format_] else -4 * _START
        case "sex":
            return _DATE / 2 if value in "MF<" else 0.0
        case "names" | "surname":
            stripped = value.rstrip(FILLER)
            return 0.5 * (FILLER * 2 in stripped) - 2.0 * (not stripped or value[0] == FILLER)
        case _:
            return 0.0


def _is_day(text: str) -> bool:
    """YYMMDD with month and day in their ranges."""
    return text.isdigit() and 1 <= int(text[2:4]) <= 12 and 1 <= int(text[4:]) <= 31  # noqa: PLR2004
