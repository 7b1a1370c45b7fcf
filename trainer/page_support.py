"""Whether a document's lines bear a value out: printed there, misread perhaps, or nowhere.

A value that an OCR misread is not on the lines either, and correcting it is what people are for. So
a value is only "nowhere" where no text on the page could be a misreading of it. The confusions are
those that RapidOCR makes on SROIE's receipts (8 read as 3 or 6, a date's time glued to it, a mark
read as 1 before an amount).
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from enum import IntEnum
from functools import cached_property
from itertools import pairwise
from typing import Any

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from extraction.document_types.base import FieldSpec, Kind
from extraction.lines import Line
from trainer.page_spans import code_spans, prints, spans, typed

# Pairs of digits that recognisers mistake for one another.
_ALIKE = frozenset(
    frozenset(pair)
    for pair in ("83", "86", "80", "89", "60", "65", "90", "17", "14", "27", "35", "49")
)
_LOOKS = str.maketrans("OoQDIl|iSsBbZzGgqA", "000011115588226994")
_LIKE = r"\dOoQDIl|SsBbZzGgq"
_AMOUNT_RUN = re.compile(rf"[{_LIKE}][{_LIKE}.,:']*(?:[ -]\d\d(?![\d/-]))?")
_DATE_RUN = re.compile(rf"[{_LIKE}][{_LIKE}.,:;'~ /-]*")
_DIGITS = re.compile(r"\d+")
_WORD = re.compile(r"[^\W_]{3,}")
_DATE_FORMS = ("%d%m%Y", "%d%m%y", "%Y%m%d", "%y%m%d", "%m%d%Y", "%m%d%y")
_LEAST_CODE = 4
_LEAST_CODE_SIMILARITY = 80.0
_LEAST_TEXT_SIMILARITY = 60.0
_SAME_TEXT_SIMILARITY = 90.0
_LEAST_WORD_SIMILARITY = 75.0
_LEAST_WORD_RATIO = 1 / 3


class Support(IntEnum):
    """How a page bears a value out; more is more."""

    NOWHERE = 0
    MISREAD = 1
    PRINTED = 2


JUDGED = frozenset({Kind.MONEY, Kind.DATE, Kind.TIME, Kind.CODE, Kind.TEXT})
"""Kinds whose values are printed as they are. What people derive or imply (a country, a currency, a
rate, a quantity of one, a choice, a tick) says nothing when it is not on the page."""


@dataclass(frozen=True, slots=True)
class Found:
    """How a page bears a value out.

    Attributes:
        support: how well.
        score: the OCR's score of the best of those lines that print it, 0 to 1; 0 where none does.
        line_count: how many lines print it.
    """

    support: Support
    score: float = 0.0
    line_count: int = 0


class PageText:
    """The lines of one document.

    Args:
        lines: of all pages.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    @property
    def line_count(self) -> int:
        """How many lines were read."""
        return len(self._lines)

    @cached_property
    def mean_score(self) -> float:
        """The OCR's mean score, 0 to 1; 0 where nothing was read."""
        return sum(line.score for line in self._lines) / max(len(self._lines), 1)

    def find(self, spec: FieldSpec, kind: Kind, value: Any) -> Found:
        """How the page bears out a value of a judged kind.

        Args:
            spec: of the leaf, or of the list whose element it is.
            kind: of the leaf, one of `JUDGED`.
            value: as JSON, not None.
        """
        printing = [line for line in self._lines if self._prints(line, spec, kind, value)]
        if printing:
            best = max(line.score for line in printing)
            return Found(Support.PRINTED, best, len(printing))
        known = typed(kind, value)
        could_be = known is not None and _READERS[kind](self, known)
        return Found(Support.MISREAD if could_be else Support.NOWHERE)

    def _prints(self, line: Line, spec: FieldSpec, kind: Kind, value: Any) -> bool:
        if kind is Kind.TEXT:
            wanted = " ".join(str(value).casefold().split())
            there = " ".join(line.text.casefold().split())
            return wanted in there or (
                len(there) * 2 > len(wanted) and fuzz.ratio(wanted, there) >= _SAME_TEXT_SIMILARITY
            )
        if kind is Kind.CODE:
            return any(code_spans(str(value), line.text))
        return any(
            prints(spec, kind, line.text[start:end].strip(), value)
            for start, end in spans(kind, line.text)
        )

    @cached_property
    def _amount_runs(self) -> frozenset[str]:
        return self._runs(_AMOUNT_RUN)

    @cached_property
    def _date_runs(self) -> frozenset[str]:
        return self._runs(_DATE_RUN)

    def _runs(self, pattern: re.Pattern[str]) -> frozenset[str]:
        """Digits that stand together, signs between them aside, and letters that look like them."""
        found = set[str]()
        for line in self._lines:
            for match in pattern.finditer(unicodedata.normalize("NFKC", line.text)):
                signs = [sign for sign in match[0] if sign.isalnum() or sign == "|"]
                if sum(sign.isdigit() for sign in signs) * 2 >= len(signs):
                    found.add("".join(signs).translate(_LOOKS))
        return frozenset(found)

    @cached_property
    def _squeezed(self) -> str:
        return "\n".join("".join(line.text.split()).casefold() for line in self._lines)

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(
            word for line in self._lines for word in _WORD.findall(line.text.casefold())
        )

    def _amount(self, value: Decimal) -> bool:
        wanted = "".join(sign for sign in format(abs(value), "f") if sign.isdigit())
        wanted = wanted.lstrip("0") or "0"
        return any(_misreads(run.lstrip("0"), wanted) for run in self._amount_runs)

    def _date(self, value: date) -> bool:
        forms = {value.strftime(form) for form in _DATE_FORMS}
        forms |= {form.lstrip("0") for form in forms}
        for run in self._date_runs:
            for form in forms:
                if len(form) > len("1218") and (
                    form in run
                    or _misreads(run[: len(form)], form)  # a time of day may follow
                    or Levenshtein.distance(run, form) <= 1
                ):
                    return True
        return any(map(_names_day(value), self._lines))

    def _time(self, value: time) -> bool:
        forms = {value.strftime("%H%M%S"), value.strftime("%H%M"), value.strftime("%I%M")}
        forms |= {form.lstrip("0") for form in forms}
        return any(
            form in run or _misreads(run, form)
            for form in forms
            if len(form) >= len("830")
            for run in self._date_runs
        )

    def _code(self, value: str) -> bool:
        wanted = "".join(value.split()).casefold()
        if len(wanted) < _LEAST_CODE:
            return True  # so few signs are misread as anything
        return fuzz.partial_ratio(wanted, self._squeezed) >= _LEAST_CODE_SIMILARITY

    def _text(self, value: str) -> bool:
        """Some of it is there: a third of its words, or much of one line of it."""
        words = set(_WORD.findall(value.casefold()))
        known = sum(
            any(fuzz.ratio(word, other) >= _LEAST_WORD_SIMILARITY for other in self._words)
            for word in words
        )
        if not words or known >= _LEAST_WORD_RATIO * len(words):
            return True
        wanted = "".join(value.split()).casefold()
        return any(
            fuzz.ratio(wanted, there) >= _LEAST_TEXT_SIMILARITY
            for there in self._squeezed.split("\n")
        )


_READERS: dict[Kind, Callable[[PageText, Any], bool]] = {
    Kind.MONEY: PageText._amount,  # noqa: SLF001 - its own class
    Kind.DATE: PageText._date,  # noqa: SLF001
    Kind.TIME: PageText._time,  # noqa: SLF001
    Kind.CODE: PageText._code,  # noqa: SLF001
    Kind.TEXT: PageText._text,  # noqa: SLF001
}


def _misreads(run: str, wanted: str) -> bool:
    """Whether digits on the page may be a misreading of others: one alike, or a mark read as 1."""
    if run in (wanted, f"1{wanted}"):
        return True
    if len(run) != len(wanted):
        return False
    wrong = [frozenset(pair) for pair in zip(run, wanted, strict=True) if pair[0] != pair[1]]
    return len(wrong) == 1 and wrong[0] in _ALIKE


def _names_day(value: date) -> Callable[[Line], bool]:
    """Whether a line has the day and the year as numbers: its month's name may be misread."""
    years = {str(value.year), value.strftime("%y")}
    days = {str(value.day), value.strftime("%d")}

    def holds(line: Line) -> bool:
        numbers = list(_numbers(line.text))
        return any(
            first in days and second in years and any(sign.isalpha() for sign in line.text)
            for first, second in pairwise(numbers)
        )

    return holds


def _numbers(text: str) -> Iterator[str]:
    """The numbers of a line; one before a letter that looks like a digit is not one of them."""
    for match in _DIGITS.finditer(text):
        if not text[match.end() : match.end() + 1].isalpha():
            yield match[0]
