"""A value as printed -> the value itself, by the kind of its field.

`None` means that the text is no such value, or that it can be read in two ways. Nothing here
guesses, and nothing is a float.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import date, time
from decimal import Decimal

from extraction.countries import is_currency, parse_country, parse_currency
from extraction.dates import parse_date, parse_time
from extraction.document_types.base import Kind

__all__ = [
    "Value",
    "clean_markdown",
    "clean_text",
    "normalize",
    "parse_boolean",
    "parse_choice",
    "parse_country",
    "parse_currency",
    "parse_date",
    "parse_integer",
    "parse_money",
    "parse_number",
    "parse_rate",
    "parse_time",
]

Value = str | Decimal | date | time | bool | int

_MINUS = "-\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d"
_PLAIN_SIGNS = str.maketrans(
    dict.fromkeys(_MINUS, "-")
    | dict.fromkeys("'\u2019\u2018\u02bc\u00b4`", "'")
    | {"\u066b": ".", "\u066c": ",", "\u060c": ",", "\u00b7": "."}
)
_MOST_DIGITS = 15
_NUMBER = re.compile(r"[\d.,' ]*\d[\d.,' ]*")
_WORD = r"[^\W\d_]"
# Behind an amount: a tax code of one or two letters, or a mark. CR and DR are signs of a ledger,
# which one of them is negative depends on whose it is.
_TAX_CODE = re.compile(rf"^(?!CR$|DR$)(?:{_WORD}{{1,2}}|[*#])$")
_UNIT = re.compile(rf"^(?:[@#xX\u00d7*]|{_WORD}{{1,12}}[.)]?)?$")
_THREE_DECIMALS = frozenset({"KWD", "BHD", "OMR", "JOD", "TND", "LYD", "IQD"})
# Currencies whose amounts part thousands with a comma, so that a point is decimal even before
# three digits, as in the price of a litre.
_POINT_IS_DECIMAL = frozenset(
    {"MYR", "USD", "GBP", "SGD", "AUD", "NZD", "CAD", "HKD", "INR", "THB", "CNY", "PHP", "MXN"}
)
_DASH_FOR_ZERO = re.compile(r"(\d)[.,:] ?-{1,2}$")  # 12.- in Switzerland, 12:- in Sweden
_YES = "true yes y 1 on x ja oui si sí sim da tak ano ya evet kyllä ✓ ✔ ☑ ☒"
_NO = "false no n 0 off nein non nee nie ne não tidak hay\u0131r ei ☐"
_TRUE, _FALSE = frozenset(_YES.split()), frozenset(_NO.split())
_SEX = frozenset({"M", "F", "X"})
_SEX_WORDS = {
    "M": "M MALE MAN MASCULIN MASCULINE MASCULINO MASCHIO MANNLICH MANN MUZ MEZCZYZNA H HOMME "
    "HOMBRE E ERKEK LELAKI LAKI NAM MIES MZ МУЖ \u041c 男",
    "F": "F FEMALE WOMAN FEMININ FEMININE FEMENINO FEMMINA FEMME WEIBLICH W V VROUW K KOBIETA "
    "KVINNA KVINDE KVINNE KADIN Z ZENA N NAINEN MUJER PEREMPUAN NU ЖЕН Ж 女",
    "X": "X < U UNSPECIFIED DIVERS NONBINARY NEUTRAL",
}


def normalize(
    kind: Kind,
    raw: str,
    *,
    day_first: bool | None = None,
    choices: Sequence[str] = (),
) -> Value | None:
    """The value that `raw` prints, or None where it prints no value of this kind.

    Args:
        kind: the kind of a leaf field.
        raw: as the document prints it, or as the model answers it.
        day_first: the order of an all-numeric date; see `parse_date`.
        choices: the accepted values of a CHOICE.

    Raises:
        TypeError: the kind is a container, which has no printed value of its own.
    """
    if kind is Kind.DATE:
        return parse_date(raw, day_first=day_first)
    if kind is Kind.CHOICE:
        return parse_choice(raw, choices)
    parser = _PARSERS.get(kind)
    if parser is None:
        raise TypeError(f"a field of kind {kind} has no printed value")
    return parser(raw)


def clean_text(raw: str) -> str | None:
    """NFC, no control, format or surrogate characters, one space for white space; None if empty.

    Right-to-left text keeps its logical order; only the invisible marks go.
    """
    kept = (
        " " if character.isspace() else character
        for character in unicodedata.normalize("NFC", raw)
        if character.isspace() or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co"}
    )
    return " ".join("".join(kept).split()) or None


def clean_markdown(raw: str) -> str | None:
    """NFC; line feeds and tabs stay, lines end without white space; None if empty.

    Control, surrogate and private characters go, and of the invisible marks all but the joiners,
    which some scripts need.
    """
    lines = unicodedata.normalize("NFC", raw).replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(
        character
        for character in lines
        if character in "\n\t\u200c\u200d"
        or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co"}
    )
    return "\n".join(line.rstrip() for line in kept.split("\n")).strip("\n") or None


def parse_money(raw: str) -> Decimal | None:
    """An amount in any of the world's usual styles, with or without a currency beside it.

    "RM 31.60", "1.234,56 EUR", "1 234,56", "1'234.50", "12,34,567.00", "(5.00)", "5.00-", "12.-".
    Three digits behind the only separator are thousands ("Rp 25.000", "1,234"), except where the
    currency says otherwise; "1.234" alone can be either and is None.
    """
    text = _plain(raw)
    negative = False
    if text.startswith("(") and text.endswith(")"):
        text, negative = text[1:-1].strip(), True
    text = _DASH_FOR_ZERO.sub(r"\1", text)
    parts = _split(text)
    if parts is None:
        return None
    before, number, behind = parts
    if before.endswith("-") or before.startswith("-"):
        before, negative = before.strip("- "), not negative
    elif behind.startswith("-"):
        behind, negative = behind[1:].strip(), not negative
    if not (is_currency(before) or before in {"", "@"}):
        return None
    if not (is_currency(behind) or not behind or _TAX_CODE.match(behind)):
        return None
    value = _decimal(number, parse_currency(before) or parse_currency(behind), is_money=True)
    return -value if negative and value else value


def parse_number(raw: str) -> Decimal | None:
    """A quantity: a number with or without a unit or a multiplication sign, "2 x", "1.250 kg"."""
    parts = _split(_plain(raw))
    if parts is None:
        return None
    before, number, behind = parts
    negative = before.endswith("-")
    before = before.removesuffix("-").strip()
    if not _UNIT.match(before) or not _UNIT.match(behind):
        return None
    value = _decimal(number, None, is_money=False)
    return -value if negative and value else value


def parse_integer(raw: str) -> int | None:
    """A whole number; "3.00" is one, "3.5" is none."""
    value = parse_number(raw)
    return int(value) if value is not None and value == value.to_integral_value() else None


def parse_rate(raw: str) -> Decimal | None:
    """A share from 0 to 1: "6%", "SR 6.00 %" and "6" are 0.06; "1" can be either and is None."""
    text = _plain(raw)
    is_percent = "%" in text
    parts = _split(text.replace("%", " ").strip())
    if parts is None or parts[0].endswith("-"):
        return None
    if not is_percent and not (_UNIT.match(parts[0]) and _UNIT.match(parts[2])):
        return None
    value = _decimal(parts[1], None, is_money=False)
    if value is None or (value == 1 and not is_percent):
        return None
    share = value / 100 if is_percent or value > 1 else value
    if share > 1:
        return None
    return Decimal(format(share.normalize(), "f"))


def parse_boolean(raw: str) -> bool | None:
    """True for yes, x or a tick in several languages, False for no."""
    word = (clean_text(raw) or "").casefold().rstrip(".")
    return True if word in _TRUE else False if word in _FALSE else None


def parse_choice(raw: str, choices: Sequence[str]) -> str | None:
    """The choice that equals `raw` but for case.

    Where the choices are M, F and X, words for a sex in several languages are known too, and of
    bilingual print ("V/F", "K / F") the international letter counts.
    """
    text = (clean_text(raw) or "").casefold()
    for choice in choices:
        if choice.casefold() == text:
            return choice
    return _sex(text) if _SEX.issubset(choices) else None


def _sex(text: str) -> str | None:
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", text)
        if not unicodedata.combining(letter)
    ).upper()
    words: list[str] = re.findall(rf"{_WORD}+|<", plain)
    international = {word for word in words if word in {"M", "F"}}
    if len(international) == 1:
        return international.pop()
    known = {sex for sex, listed in _SEX_WORDS.items() for w in words if w in listed.split()}
    return known.pop() if len(known) == 1 else None


def _plain(raw: str) -> str:
    """NFKC, ASCII digits, one kind of minus and apostrophe, one space for white space."""
    text = unicodedata.normalize("NFKC", raw.translate(_PLAIN_SIGNS))
    letters = []
    for character in text:
        digit = unicodedata.decimal(character, None)
        if digit is not None:
            letters.append(str(digit))
        elif character.isspace() or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}:
            letters.append(character)
    return " ".join("".join(letters).translate(_PLAIN_SIGNS).split())


def _split(text: str) -> tuple[str, str, str] | None:
    """What stands before, in and behind the only number of a text; None if there are several."""
    found = [match for match in _NUMBER.finditer(text) if any(c.isdigit() for c in match[0])]
    if len(found) != 1:
        return None
    start, end = found[0].span()
    number = found[0][0]
    # A full stop of an abbreviation ("Rs. 5", "EUR. 5") is no part of the number.
    lead = len(number) - len(number.lstrip(" ,'"))
    if start and text[start - 1].isalpha() and number.startswith("."):
        lead = 1
    return text[: start + lead].strip(), number[lead:].strip(), text[end:].strip()


def _decimal(number: str, currency: str | None, *, is_money: bool) -> Decimal | None:
    """The value of digits and separators, or None where they can be read in two ways."""
    text = re.sub(r" ?([.,]) ?", r"\1", number).rstrip(".,' ")
    if sum(character.isdigit() for character in text) > _MOST_DIGITS:
        return None
    points, commas = text.count("."), text.count(",")
    mark = ""
    if points and commas:
        mark = max(".,", key=text.rfind)
    elif points + commas == 1:
        mark = "." if points else ","
        head, _, tail = text.partition(mark)
        if len(tail) == len("000") and not re.search("[ ']", text) and head.lstrip("0"):
            is_decimal = _three_digits_are_decimals(mark, tail, currency, is_money=is_money)
            if is_decimal is None or not head:
                return None
            mark = mark if is_decimal else ""
    whole, fraction = text, ""
    if mark:
        if text.count(mark) > 1:
            return None
        whole, _, fraction = text.partition(mark)
    if fraction and not fraction.isdigit():
        return None
    digits = _ungrouped(whole)
    if digits is None:
        return None
    return Decimal(f"{digits or '0'}.{fraction}" if fraction else digits or "0")


def _three_digits_are_decimals(
    mark: str, tail: str, currency: str | None, *, is_money: bool
) -> bool | None:
    """Whether "1.234" has three decimals; None where nothing tells."""
    if not is_money:
        return mark == "."
    if currency in _THREE_DECIMALS:
        return True
    if mark == ",":
        return None if currency == "EUR" and not tail.endswith("0") else False
    if currency in _POINT_IS_DECIMAL:
        return True
    return False if currency not in {None, "EUR"} or tail.endswith("0") else None


def _ungrouped(whole: str) -> str | None:
    """The digits of a whole number whose groups, if it has any, are of three or Indian."""
    if not whole or whole.isdigit():
        return whole
    separators = set(re.sub(r"\d", "", whole))
    if len(separators) > 1:
        return None
    first, *groups = re.split(r"[.,' ]", whole)
    if not first or len(first) > len("000") or len(groups[-1]) != len("000"):
        return None
    middle = {len(group) for group in groups[:-1]}
    if middle <= {3} or (separators == {","} and middle <= {2} and len(first) <= len("00")):
        return "".join((first, *groups))
    return None


_PARSERS: dict[Kind, Callable[[str], Value | None]] = {
    Kind.TEXT: clean_text,
    Kind.MARKDOWN: clean_markdown,
    Kind.CODE: clean_text,
    Kind.LABEL: clean_text,
    Kind.MONEY: parse_money,
    Kind.NUMBER: parse_number,
    Kind.INTEGER: parse_integer,
    Kind.RATE: parse_rate,
    Kind.TIME: parse_time,
    Kind.COUNTRY: parse_country,
    Kind.CURRENCY: parse_currency,
    Kind.BOOLEAN: parse_boolean,
}
