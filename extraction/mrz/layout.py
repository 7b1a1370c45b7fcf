"""Where things stand in a machine-readable zone: ICAO Doc 9303, parts 3 to 7, 8th edition.

Positions are zero-based and end-exclusive, so Doc 9303's "positions 1 to 9 of the lower line" is
`Span(1, 0, 9)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from extraction.errors import InvalidMrz

FILLER = "<"
WEIGHTS = (7, 3, 1)
NUMBER_WIDTH = 9


class Alphabet(StrEnum):
    """Which characters a position can hold, the filler apart."""

    LETTERS = "letters"
    DIGITS = "digits"
    BOTH = "both"
    SEX = "sex"


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` of line `line`."""

    line: int
    start: int
    end: int

    def of(self, lines: Sequence[str]) -> str:
        """The characters that stand there."""
        return lines[self.line][self.start : self.end]


@dataclass(frozen=True, slots=True)
class Slot:
    """A field of the zone: its name, where it stands and what it can hold."""

    name: str
    span: Span
    alphabet: Alphabet


@dataclass(frozen=True, slots=True)
class Digit:
    """A check digit: its name, where it stands and the characters that it covers."""

    name: str
    span: Span
    covers: tuple[Span, ...]


class MrzFormat(StrEnum):
    """The sizes of a zone: Doc 9303 parts 4 to 7, and France's identity card of 1988 to 2021."""

    TD1 = "TD1"
    TD2 = "TD2"
    TD3 = "TD3"
    MRV_A = "MRV-A"
    MRV_B = "MRV-B"
    FRA_ID = "FRA-ID"

    @property
    def width(self) -> int:
        """Characters of a line."""
        return _WIDTH[self]

    @property
    def height(self) -> int:
        """Lines of the zone."""
        return 3 if self is MrzFormat.TD1 else 2

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The fields; check digits are not among them."""
        return _SLOTS[self]

    @property
    def digits(self) -> tuple[Digit, ...]:
        """The check digits that this format has, the composite last."""
        return _DIGITS[self]

    def slot(self, name: str) -> Slot:
        """The field of that name; KeyError where this format has none."""
        for slot in self.slots:
            if slot.name == name:
                return slot
        raise KeyError(name)

    def has_slot(self, name: str) -> bool:
        """Whether this format has a field of that name."""
        return any(slot.name == name for slot in self.slots)


def check_digit(text: str) -> str:
    """The check digit of `text`: weights 7, 3, 1 repeated, modulo 10 (Doc 9303-3, 4.9).

    A digit counts as itself, A to Z as 10 to 35, the filler as 0.

    Raises:
        InvalidMrz: a character that a zone cannot hold.
    """
    total = 0
    for index, character in enumerate(text):
        if character == FILLER:
            continue
        if not (character.isascii() and character.isalnum()) or character.islower():
            raise InvalidMrz("a check digit is asked for characters outside A-Z, 0-9 and <")
        total += int(character, 36) * WEIGHTS[index % 3]
    return str(total % 10)


_WIDTH = {
    MrzFormat.TD1: 30,
    MrzFormat.TD2: 36,
    MrzFormat.TD3: 44,
    MrzFormat.MRV_A: 44,
    MrzFormat.MRV_B: 36,
    MrzFormat.FRA_ID: 36,
}


def _heading(width: int) -> tuple[Slot, ...]:
    return (
        Slot("document_code", Span(0, 0, 2), Alphabet.LETTERS),
        Slot("issuing_state", Span(0, 2, 5), Alphabet.LETTERS),
        Slot("names", Span(0, 5, width), Alphabet.LETTERS),
    )


def _two_lines(width: int, optional_end: int) -> tuple[Slot, ...]:
    return (
        *_heading(width),
        Slot("document_number", Span(1, 0, 9), Alphabet.BOTH),
        Slot("nationality", Span(1, 10, 13), Alphabet.LETTERS),
        Slot("date_of_birth", Span(1, 13, 19), Alphabet.DIGITS),
        Slot("sex", Span(1, 20, 21), Alphabet.SEX),
        Slot("date_of_expiry", Span(1, 21, 27), Alphabet.DIGITS),
        Slot("optional_data", Span(1, 28, optional_end), Alphabet.BOTH),
    )


_SLOTS: dict[MrzFormat, tuple[Slot, ...]] = {
    MrzFormat.TD3: _two_lines(44, 42),
    MrzFormat.MRV_A: _two_lines(44, 44),
    MrzFormat.TD2: _two_lines(36, 35),
    MrzFormat.MRV_B: _two_lines(36, 36),
    MrzFormat.TD1: (
        Slot("document_code", Span(0, 0, 2), Alphabet.LETTERS),
        Slot("issuing_state", Span(0, 2, 5), Alphabet.LETTERS),
        Slot("document_number", Span(0, 5, 14), Alphabet.BOTH),
        Slot("optional_data", Span(0, 15, 30), Alphabet.BOTH),
        Slot("date_of_birth", Span(1, 0, 6), Alphabet.DIGITS),
        Slot("sex", Span(1, 7, 8), Alphabet.SEX),
        Slot("date_of_expiry", Span(1, 8, 14), Alphabet.DIGITS),
        Slot("nationality", Span(1, 15, 18), Alphabet.LETTERS),
        Slot("optional_data_2", Span(1, 18, 29), Alphabet.BOTH),
        Slot("names", Span(2, 0, 30), Alphabet.LETTERS),
    ),
    # Not in Doc 9303; the layout is the one that France published with the card's decree.
    MrzFormat.FRA_ID: (
        Slot("document_code", Span(0, 0, 2), Alphabet.LETTERS),
        Slot("issuing_state", Span(0, 2, 5), Alphabet.LETTERS),
        Slot("surname", Span(0, 5, 30), Alphabet.LETTERS),
        Slot("optional_data", Span(0, 30, 36), Alphabet.BOTH),
        Slot("document_number", Span(1, 0, 12), Alphabet.BOTH),
        Slot("given_names", Span(1, 13, 27), Alphabet.LETTERS),
        Slot("date_of_birth", Span(1, 27, 33), Alphabet.DIGITS),
        Slot("sex", Span(1, 34, 35), Alphabet.SEX),
    ),
}

_NUMBER = Digit("document_number", Span(1, 9, 10), (Span(1, 0, 9),))
_BIRTH = Digit("date_of_birth", Span(1, 19, 20), (Span(1, 13, 19),))
_EXPIRY = Digit("date_of_expiry", Span(1, 27, 28), (Span(1, 21, 27),))


def _composite(position: int) -> Digit:
    covers = (Span(1, 0, 10), Span(1, 13, 20), Span(1, 21, position))
    return Digit("composite", Span(1, position, position + 1), covers)


_DIGITS: dict[MrzFormat, tuple[Digit, ...]] = {
    MrzFormat.TD3: (
        _NUMBER,
        _BIRTH,
        _EXPIRY,
        Digit("personal_number", Span(1, 42, 43), (Span(1, 28, 42),)),
        _composite(43),
    ),
    MrzFormat.MRV_A: (_NUMBER, _BIRTH, _EXPIRY),
    MrzFormat.TD2: (_NUMBER, _BIRTH, _EXPIRY, _composite(35)),
    MrzFormat.MRV_B: (_NUMBER, _BIRTH, _EXPIRY),
    MrzFormat.TD1: (
        Digit("document_number", Span(0, 14, 15), (Span(0, 5, 14),)),
        Digit("date_of_birth", Span(1, 6, 7), (Span(1, 0, 6),)),
        Digit("date_of_expiry", Span(1, 14, 15), (Span(1, 8, 14),)),
        Digit(
            "composite",
            Span(1, 29, 30),
            (Span(0, 5, 30), Span(1, 0, 7), Span(1, 8, 15), Span(1, 18, 29)),
        ),
    ),
    MrzFormat.FRA_ID: (
        Digit("document_number", Span(1, 12, 13), (Span(1, 0, 12),)),
        Digit("date_of_birth", Span(1, 33, 34), (Span(1, 27, 33),)),
        Digit("composite", Span(1, 35, 36), (Span(0, 0, 36), Span(1, 0, 35))),
    ),
}
