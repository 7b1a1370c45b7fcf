"""Dates and times as receipts and passports print them.

Month names come from CLDR (Babel) in the languages below, with and without accents, whole or cut to
three letters and more; bilingual ones ("AUG/AOUT", "LIS/NOV") have to agree.
"""

import re
import unicodedata
from collections.abc import Iterator
from datetime import date, time
from functools import cache

# Languages of ICAO members' passports that print months in letters; English first, for it decides.
_LANGUAGES = (
    "en fr de es it pt nl pl cs sk sl hr sr_Latn sr bs mk bg ro hu fi sv da nb is et lv lt el tr "
    "ru uk be sq ga mt ca eu gl id ms az uz_Latn kk ka hy sw af"
)
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
# Not in CLDR: what passports print in two or four letters, and older spellings.
_EXTRA_MONTHS = {"sept": 9, "juin": 6, "juil": 7, "maa": 3, "mrt": 3, "iul": 7, "iun": 6, "juni": 6}
_LEAST_PREFIX = 3
_PIVOT = 50  # two-digit years from 50 on are of the twentieth century
_EARLIEST, _LATEST = 1850, 2150
_BUDDHIST_EARLIEST, _BUDDHIST_LATEST, _BUDDHIST_OFFSET = 2443, 2643, 543
_NOON = 12

_CLOCK = re.compile(
    r"(?<![\d.])(\d{1,2})\s?[:hH\uff1a]\s?(\d{2})(?:\s?[:.mM]\s?(\d{2}))?(?:[.,]\d+)?s?"
    r"\s?([AaPp]\.?\s?[Mm]\.?)?(?![\d])"
)
_DOTTED_CLOCK = re.compile(r"^(\d{1,2})\.(\d{2})(?:\.(\d{2}))?\s?([AaPp]\.?\s?[Mm]\.?)?$")
_HOUR = re.compile(r"^(\d{1,2})()()\s?([AaPp]\.?\s?[Mm]\.?)$")
_BARE_CLOCK = re.compile(r"^(\d{2})(\d{2})(\d{2})?()$")
_YEAR_FIRST = re.compile(
    r"(?<!\d)(\d{4})\s?[-/.,年년 ]\s?(\d{1,2})\s?[-/.,月월 ]\s?(\d{1,2})(?!\d)"
)
_TRIPLE = re.compile(r"(?<!\d)(\d{1,2})\s?[-/.,' ]\s?(\d{1,2})\s?[-/.,' ]\s?(\d{4}|\d{2})(?!\d)")
_COMPACT = re.compile(r"(?<!\d)(\d{8}|\d{6})(?!\d)")
_TOKEN = re.compile(r"\d+|[^\W\d_]+")


def parse_date(
    raw: str, *, day_first: bool | None = None, not_after: date | None = None
) -> date | None:
    """The day that `raw` names, or None where it names none, or several disagree.

    Args:
        raw: as printed, with any time of day behind it.
        day_first: what "05/03/18" is: 5 March (True) or 3 May (False). Unknown reads the day first,
            as most of the world prints it, unless only the other reading is a date.
        not_after: a two-digit year that would lie after this day is taken from the century before;
            without it 00 to 49 are 2000 to 2049.
    """
    text = _plain(raw)
    text = _CLOCK.sub(" ", text.replace("T", " ") if _ISO_TIME.search(text) else text)
    for read in (_year_first, _with_month_name, _three_numbers, _compact):
        found = next(read(text, day_first=day_first, not_after=not_after), None)
        if found is not None:
            return found
    return None


_ISO_TIME = re.compile(r"\dT\d{2}:?\d{2}")


def parse_time(raw: str) -> time | None:
    """The time of day in `raw`, with or without a date before it; 12 and 24 hours."""
    text = _plain(raw)
    if _ISO_TIME.search(text):
        text = text.replace("T", " ")
    match = _CLOCK.search(text)
    if match is None:
        for pattern in (_DOTTED_CLOCK, _HOUR, _BARE_CLOCK):
            match = pattern.match(text)
            if match is not None:
                break
        else:
            return None
    hour, minute, second = (int(part) if part else 0 for part in match.groups()[:3])
    half = (match.group(4) or "")[:1].upper()
    if half and hour <= _NOON:  # some tills print 13:05 PM
        hour = hour % _NOON + (_NOON if half == "P" else 0)
    try:
        return time(hour, minute, second)
    except ValueError:  # 25:00 is no time
        return None


def _plain(raw: str) -> str:
    """NFKC with ASCII digits, one space, no control or format characters."""
    text = unicodedata.normalize("NFKC", raw)
    letters = []
    for character in text:
        digit = unicodedata.decimal(character, None)
        if digit is not None:
            letters.append(str(digit))
        elif unicodedata.category(character) not in {"Cc", "Cf"} or character.isspace():
            letters.append(
                "-" if character in "\u2010\u2011\u2012\u2013\u2014\u2212" else character
            )
    return " ".join("".join(letters).split())


def _year_first(text: str, *, day_first: bool | None, not_after: date | None) -> Iterator[date]:
    del day_first, not_after  # a year in front says the order
    for match in _YEAR_FIRST.finditer(text):
        year, month, day = (int(part) for part in match.groups())
        yield from _day(year, month, day)


def _three_numbers(text: str, *, day_first: bool | None, not_after: date | None) -> Iterator[date]:
    for match in _TRIPLE.finditer(text):
        first, second, last = match.groups()
        for year in _years(last, not_after):
            orders = [(int(second), int(first)), (int(first), int(second))]
            for month, day in orders if day_first is not False else reversed(orders):
                yield from _day(year, month, day)
        if len(last) == 2:  # noqa: PLR2004 - 99-12-31
            for year in _years(first, not_after):
                yield from _day(year, int(second), int(last))


def _compact(text: str, *, day_first: bool | None, not_after: date | None) -> Iterator[date]:
    for match in _COMPACT.finditer(text):
        digits = match.group(1)
        if len(digits) == len("YYYYMMDD"):
            yield from _day(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
            tail = digits[4:]
        else:
            tail = digits[4:]
        first, second = int(digits[:2]), int(digits[2:4])
        for year in _years(tail, not_after):
            orders = [(second, first), (first, second)]
            for month, day in orders if day_first is not False else reversed(orders):
                yield from _day(year, month, day)
        if len(digits) == len("YYMMDD"):
            for year in _years(digits[:2], not_after):
                yield from _day(year, second, int(tail))


def _with_month_name(
    text: str, *, day_first: bool | None, not_after: date | None
) -> Iterator[date]:
    del day_first  # letters say the order
    tokens = _TOKEN.findall(text)
    numbers = [token for token in tokens if token.isdigit()]
    if any(len(number) > len("YYYY") for number in numbers):
        return
    month = _month([token for token in tokens if not token.isdigit()])
    if month is None or not 2 <= len(numbers) <= 3:  # noqa: PLR2004 - a day and a year
        return
    if len(numbers) == 3:  # noqa: PLR2004 - 12 08 AUG 1974 repeats the month
        numbers = [n for i, n in enumerate(numbers) if not (int(n) == month and i == 1)]
        if len(numbers) == 3:  # noqa: PLR2004
            return
    first, last = numbers
    if len(first) == 4:  # noqa: PLR2004 - 2018 MAR 5
        yield from _day(int(first), month, int(last))
        return
    for year in _years(last, not_after):
        yield from _day(year, month, int(first))


def _years(digits: str, not_after: date | None) -> Iterator[int]:
    number = int(digits)
    if len(digits) == 4:  # noqa: PLR2004 - a whole year
        yield number
    elif len(digits) == 2:  # noqa: PLR2004
        if not_after is None:
            yield number + (1900 if number >= _PIVOT else 2000)
        else:
            century = not_after.year // 100 * 100
            yield number + (century if century + number <= not_after.year else century - 100)


def _day(year: int, month: int, day: int) -> Iterator[date]:
    if _BUDDHIST_EARLIEST <= year <= _BUDDHIST_LATEST:
        year -= _BUDDHIST_OFFSET  # Thailand counts from the Buddha's death
    if not _EARLIEST <= year <= _LATEST:
        return
    try:
        yield date(year, month, day)
    except ValueError:  # 31 February: not this reading
        return


def _month(words: list[str]) -> int | None:
    """The month on which all month names among the words agree; other words are passed over."""
    known = [(word, found) for word in words if (found := _month_names(_bare(word)))]
    if known:
        english = {month for word, _ in known for month in _english_months(_bare(word))}
        if len(english) == 1:
            return english.pop()
        shared = set.intersection(*(set(found) for _, found in known))
        return shared.pop() if len(shared) == 1 else None
    roman = [word for word in words if word.upper() in _ROMAN]
    return _ROMAN.index(roman[0].upper()) + 1 if len(roman) == 1 else None


def _bare(word: str) -> str:
    """Lower case without accents."""
    plain = unicodedata.normalize("NFKD", word.casefold().translate({0x142: "l", 0x131: "i"}))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


@cache
def _month_names(word: str) -> frozenset[int]:
    if len(word) < _LEAST_PREFIX and not any(ord(letter) > 0x7F for letter in word):  # noqa: PLR2004
        return frozenset()
    english = _english_months(word)
    if english:
        return english
    if word in _EXTRA_MONTHS:
        return frozenset({_EXTRA_MONTHS[word]})
    # A whole name before a cut one: "mei" is May in Dutch, Malay and Indonesian, and begins June
    # in Irish.
    whole = frozenset(month for name, month in _all_months() if name == word)
    return whole or frozenset(month for name, month in _all_months() if _is_prefix(word, name))


def _english_months(word: str) -> frozenset[int]:
    found = {m for name, m in _all_months()[:12] if name == word or _is_prefix(word, name)}
    return frozenset(found)


def _is_prefix(word: str, name: str) -> bool:
    return len(word) >= _LEAST_PREFIX and name.startswith(word)


@cache
def _all_months() -> tuple[tuple[str, int], ...]:
    """Month names, bare, English wide names first; loaded where first needed, it takes a moment."""
    from babel import Locale

    found: dict[tuple[str, int], None] = {}
    for language in _LANGUAGES.split():
        months = Locale.parse(language).months
        for context in ("format", "stand-alone"):
            for width in ("wide", "abbreviated"):
                for number, name in months[context][width].items():
                    words = _TOKEN.findall(_bare(name))
                    # Some languages put a particle before: "d'abril".
                    word = max(words, key=len) if words else ""
                    if word and not word.isdigit():
                        found[word, number] = None
    return tuple(found)
