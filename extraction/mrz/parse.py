"""Lines of a zone -> typed fields and a verdict per check digit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

from extraction.errors import InvalidMrz
from extraction.mrz.layout import FILLER, Digit, MrzFormat, check_digit

Sex = Literal["M", "F", "X"]

CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789<")
VISA = "V"
# A document is valid for a few years and read long after: a two-digit year of expiry lies in the
# hundred years that end so far ahead of today.
_FURTHEST_EXPIRY_YEARS = 30


@dataclass(frozen=True, slots=True)
class MrzFields:
    """What the zone says; absent is None, never fillers.

    Attributes:
        document_code: "P", "ID", "V", "AC".
        issuing_state: as in the zone, so "D" for Germany and "UTO" for Utopia.
        surname: primary identifier, words parted by spaces.
        given_names: secondary identifier.
        document_number: whole, also where TD1 or TD2 continue it in the optional data.
        nationality: as issuing_state; None in a French identity card.
        date_of_birth: None where the zone leaves a part of it open, or it is no date.
        sex: X where the zone holds a filler.
        date_of_expiry: as date_of_birth.
        optional_data: the personal number in TD3; fillers at both ends dropped.
        optional_data_2: TD1 alone.
    """

    document_code: str
    issuing_state: str | None
    surname: str | None
    given_names: str | None
    document_number: str | None
    nationality: str | None
    date_of_birth: date | None
    sex: Sex | None
    date_of_expiry: date | None
    optional_data: str | None = None
    optional_data_2: str | None = None


@dataclass(frozen=True, slots=True)
class DigitVerdict:
    """Whether one check digit agrees with the characters that it covers.

    Attributes:
        name: document_number, date_of_birth, date_of_expiry, personal_number or composite.
        passed: the printed digit is the computed one.
    """

    name: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Mrz:
    """A zone of the right shape; its check digits may still disagree.

    Attributes:
        format: the size of the zone.
        lines: its lines, exactly as wide as the format asks.
        fields: what they say.
        digits: a verdict for each check digit that the format has.
        repaired: a character differs from what was read.
    """

    format: MrzFormat
    lines: tuple[str, ...]
    fields: MrzFields
    digits: tuple[DigitVerdict, ...]
    repaired: bool = False

    @property
    def is_proven(self) -> bool:
        """Every check digit agrees."""
        return all(digit.passed for digit in self.digits)

    @property
    def proven_fields(self) -> frozenset[str]:
        """Names of the fields whose own check digit agrees."""
        return frozenset(digit.name for digit in self.digits if digit.passed) - {"composite"}


def parse_mrz(lines: Sequence[str], *, today: date | None = None, repaired: bool = False) -> Mrz:
    """The zone that `lines` are: strict in its shape, with a verdict on its check digits.

    Args:
        lines: two lines of 44 or 36 characters or three of 30, A-Z, 0-9 and fillers only.
        today: what decides the century of a two-digit year; the current day by default.
        repaired: carried into the result.

    Raises:
        InvalidMrz: another number or width of lines, other characters, or no letter at the start.
    """
    rows = tuple(lines)
    format_ = format_of(rows)
    return Mrz(format_, rows, _fields(format_, rows, today), verdicts(format_, rows), repaired)


def format_of(lines: Sequence[str]) -> MrzFormat:
    """The format that the shape of `lines` and its document code name.

    Raises:
        InvalidMrz: no format has this shape.
    """
    shape = (len(lines), *sorted({len(line) for line in lines}))
    if not all(CHARACTERS.issuperset(line) for line in lines):
        raise InvalidMrz("it holds characters outside A-Z, 0-9 and <")
    if not lines or not lines[0][:1].isalpha():
        raise InvalidMrz("it does not start with the letter of a document code")
    is_visa = lines[0].startswith(VISA)
    if shape == (3, 30):
        return MrzFormat.TD1
    if shape == (2, 44):
        return MrzFormat.MRV_A if is_visa else MrzFormat.TD3
    if shape == (2, 36):
        if is_visa:
            return MrzFormat.MRV_B
        return MrzFormat.FRA_ID if _is_french_card(lines) else MrzFormat.TD2
    raise InvalidMrz("it is not two lines of 44 or 36 characters or three lines of 30")


def _is_french_card(lines: Sequence[str]) -> bool:
    """France's old card has given names where Doc 9303 has dates, and they decide."""
    birth = MrzFormat.FRA_ID.slot("date_of_birth").span.of(lines)
    expiry = MrzFormat.TD2.slot("date_of_expiry").span.of(lines)
    return lines[0].startswith("IDFRA") and birth.isdigit() and not expiry.isdigit()


def verdicts(format_: MrzFormat, lines: Sequence[str]) -> tuple[DigitVerdict, ...]:
    """A verdict for each check digit of the format."""
    return tuple(
        DigitVerdict(digit.name, agrees(format_, digit, lines)) for digit in format_.digits
    )


def agrees(format_: MrzFormat, digit: Digit, lines: Sequence[str]) -> bool:
    """Whether a check digit agrees with what it covers.

    The digit of an empty field may be a filler or 0 (Doc 9303-4, 4.2.2.2, and in practice for
    unknown dates). A document number that runs on in the optional data has its digit there.
    """
    printed = digit.span.of(lines)
    covered = "".join(span.of(lines) for span in digit.covers)
    if digit.name == "document_number" and printed == FILLER and covered.strip(FILLER):
        covered, printed = _long_number(format_, lines)
    if not covered.strip(FILLER):
        return printed in {FILLER, "0"}
    return printed.isdigit() and check_digit(covered) == printed


def _long_number(format_: MrzFormat, lines: Sequence[str]) -> tuple[str, str]:
    """A document number of more than nine characters and its check digit (Doc 9303-5, note j)."""
    start = format_.slot("document_number").span.of(lines)
    if format_ not in {MrzFormat.TD1, MrzFormat.TD2}:
        return start, ""
    rest = format_.slot("optional_data").span.of(lines).split(FILLER)[0]
    return start + rest[:-1], rest[-1:]


def _fields(format_: MrzFormat, lines: Sequence[str], today: date | None) -> MrzFields:
    day = today or datetime.now(UTC).date()
    read = {slot.name: slot.span.of(lines) for slot in format_.slots}
    number, optional = read["document_number"], read.get("optional_data", "")
    number_digit = format_.digits[0]
    if number_digit.span.of(lines) == FILLER and number.strip(FILLER):
        longer, digit = _long_number(format_, lines)
        if digit:
            optional = optional[len(longer) - len(number) + 1 :]
            number = longer
    if format_ is MrzFormat.FRA_ID:
        surname, given = _words(read["surname"]), _words(read["given_names"])
    else:
        surname, given = split_names(read["names"])
    birth = _birth(read["date_of_birth"], day)
    return MrzFields(
        document_code=read["document_code"].strip(FILLER),
        issuing_state=read["issuing_state"].strip(FILLER) or None,
        surname=surname,
        given_names=given,
        document_number=number.strip(FILLER) or None,
        nationality=read.get("nationality", "").strip(FILLER) or None,
        date_of_birth=birth,
        sex=_sex(read["sex"]),
        date_of_expiry=_expiry(read.get("date_of_expiry", ""), birth, day),
        optional_data=optional.strip(FILLER) or None,
        optional_data_2=read.get("optional_data_2", "").strip(FILLER) or None,
    )


def split_names(text: str) -> tuple[str | None, str | None]:
    """Primary and secondary identifier of a name field."""
    primary, _, secondary = text.strip(FILLER).partition(FILLER * 2)
    return _words(primary), _words(secondary)


def _words(text: str) -> str | None:
    return " ".join(word for word in text.split(FILLER) if word) or None


def _sex(text: str) -> Sex | None:
    found: dict[str, Sex] = {"M": "M", "F": "F", FILLER: "X", "X": "X"}
    return found.get(text)


def _birth(text: str, today: date) -> date | None:
    """The latest century that puts the birth not after today."""
    return _date(text, today.year // 100 * 100, today)


def _expiry(text: str, birth: date | None, today: date) -> date | None:
    latest = date(today.year + _FURTHEST_EXPIRY_YEARS, 12, 31)
    found = _date(text, latest.year // 100 * 100, latest)
    if found is not None and birth is not None and found < birth:
        return _date(text, birth.year // 100 * 100 + 100, date.max)
    return found


def _date(text: str, century: int, latest: date) -> date | None:
    """YYMMDD in `century`, or in the one before where it would lie after `latest`."""
    if not (len(text) == len("YYMMDD") and text.isascii() and text.isdigit()):
        return None
    year, month, day = century + int(text[:2]), int(text[2:4]), int(text[4:])
    for candidate in (year, year - 100):
        try:
            found = date(candidate, month, day)
        except ValueError:  # the zone holds no date: 29 February of the wrong year, or noise
            continue
        if found <= latest:
            return found
    return None
