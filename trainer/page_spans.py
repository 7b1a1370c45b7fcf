"""Parts of a line that may print a value of some kind, the tightest first."""

import re
import unicodedata
from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal, InvalidOperation
from typing import Any

from extraction.document_types.base import FieldSpec, Kind
from extraction.places import amount_spans, date_spans
from extraction.record import to_json, value_of

DECIMALS = frozenset({Kind.MONEY, Kind.NUMBER, Kind.RATE})
_SEPARATED = r"\s?[-/.,~]\s?"
# Also where a time of day is glued to it, as recognisers like to do: 25/12/201820:13.
_DATE = re.compile(
    rf"(?<!\d)(?:\d{{4}}{_SEPARATED}\d{{1,2}}{_SEPARATED}\d{{1,2}}"
    rf"|\d{{1,2}}{_SEPARATED}\d{{1,2}}{_SEPARATED}(?:(?:19|20)\d{{2}}|\d{{2}}))"
)
_CLOCK = re.compile(r"\d{1,2}\s?[:.hH]\s?\d{2}(?:\s?[:.mM]\s?\d{2})?(?:\s?[AaPp]\.?\s?[Mm]\.?)?")
_SIGN = re.compile(r"[-(\u2212]\s?$")
_CURRENCY = re.compile(
    r"(?:[-(\u2212]\s?)?(?:(?<![^\W\d_])[^\W\d_]{1,4}[.:]?|[^\w\s.,:;()/*#-])\s?[-(\u2212]?\s?$"
)
_BEHIND = re.compile(r"^(?:\s?\)|-|\s?(?:[A-Z]{3}\b|[^\w\s.,:;()/*#%-])\)?)")
# A letter right behind a number that looks like a digit is one that was misread.
_LIKE_DIGITS = frozenset("OoQDIl|SsBbZ")
_PERCENT = re.compile(r"^\s?%")
_WORD = re.compile(r"[^\W\d_]+")
_MOST_WORDS = 4


def spans(kind: Kind, text: str) -> Iterator[tuple[int, int]]:
    """Where in a line a value of this kind may stand, as offsets; may name a place twice."""
    if kind in DECIMALS | {Kind.INTEGER}:
        yield from _amounts(kind, text)
    elif kind is Kind.DATE:
        yield from (match.span() for match in _DATE.finditer(text))
        yield from date_spans(text)
    elif kind is Kind.TIME:
        yield from (match.span() for match in _CLOCK.finditer(text))
    elif kind is Kind.CURRENCY:
        yield from (match.span() for match in _WORD.finditer(text))
        yield from ((i, i + 1) for i, sign in enumerate(text) if unicodedata.category(sign) == "Sc")
    elif kind is Kind.COUNTRY:
        yield from _words(text)


def _amounts(kind: Kind, text: str) -> Iterator[tuple[int, int]]:
    """A number alone, then with its sign, then with its currency."""
    for start, end in amount_spans(text):
        if text[end : end + 1] in _LIKE_DIGITS:
            continue
        percent = _PERCENT.match(text[end:]) if kind is Kind.RATE else None
        yield start, end + percent.end() if percent else end
        before = [
            match.start()
            for pattern in (_SIGN, _CURRENCY)
            if (match := pattern.search(text[:start]))
        ]
        behind = _BEHIND.match(text[end:])
        lefts, rights = [start, *before], [end, *([end + behind.end()] if behind else [])]
        yield from ((left, right) for left in lefts for right in rights)


def _words(text: str) -> Iterator[tuple[int, int]]:
    words = [match.span() for match in _WORD.finditer(text)]
    for count in range(1, _MOST_WORDS + 1):
        for first in range(len(words) - count + 1):
            yield words[first][0], words[first + count - 1][1]


def code_spans(value: str, text: str) -> Iterator[tuple[int, int]]:
    """Where a code stands whole, spaces and case aside: "L 898902" is "l898902"."""
    wanted = "".join(value.split()).casefold()
    places = [index for index, sign in enumerate(text) if not sign.isspace()]
    squeezed = "".join(text[index].lower() for index in places)
    if len(squeezed) != len(places) or not wanted:
        return
    start = squeezed.find(wanted)
    while start >= 0:
        first, last = places[start], places[start + len(wanted) - 1]
        outside = text[max(first - 1, 0) : first] + text[last + 1 : last + 2]
        if not any(sign.isalnum() for sign in outside):
            yield first, last + 1
        start = squeezed.find(wanted, start + 1)


def typed(kind: Kind, value: Any) -> Any:
    """A value of a record's JSON as its type: decimal strings and ISO dates mean just that.

    Returns:
        None where it is no value of the kind.
    """
    if not isinstance(value, str):
        return value
    try:
        if kind in DECIMALS:
            return Decimal(value)
        if kind is Kind.DATE:
            return date.fromisoformat(value)
        if kind is Kind.TIME:
            return time.fromisoformat(value)
    except (InvalidOperation, ValueError):
        return None
    return value


def prints(spec: FieldSpec, kind: Kind, text: str, value: Any) -> bool:
    """Whether a printed text is read as this value when it is served.

    Args:
        spec: of the leaf, or of the list whose element it is.
        kind: of the leaf.
        text: as printed.
        value: as JSON.
    """
    if kind is Kind.CODE:
        return "".join(text.split()).casefold() == "".join(str(value).split()).casefold()
    read = value_of(kind, spec, text)
    return read is not None and read == typed(kind, to_json(value))
