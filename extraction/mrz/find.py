"""Lines of a page -> its machine-readable zone, with what was repaired and where it stands."""

import heapq
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise, product

from extraction.errors import InvalidMrz
from extraction.lines import Line, rows
from extraction.misreadings import LOOKALIKES
from extraction.mrz.fit import Fit, fit
from extraction.mrz.layout import FILLER, MrzFormat
from extraction.mrz.parse import CHARACTERS, Mrz, format_of, parse_mrz
from extraction.mrz.printed import number_by_print, printed_numbers
from extraction.mrz.repair import Repair, by_check_digit, by_print, by_structure
from extraction.mrz.width import is_name_line
from extraction.mrz.write import transliterate

# What a filler is read as, and marks that stand for a capital letter or for nothing.
_AS_FILLER = "‹〈＜⟨《«≪く巜ㄑᐸ<>([{ヘへ入人八Λʌ^"  # noqa: RUF001 - look-alikes are the point
_DOUBLE = "《«≪"
_MARKS = str.maketrans(
    {character: FILLER * (2 if character in _DOUBLE else 1) for character in _AS_FILLER}
    | LOOKALIKES
    | {"l": "I", "エ": "I", "工": "I", "|": "I", "!": "I", "$": "S", "€": "E", "¢": "C", "£": "E"}
)
# A capital E has another shape, and beside fillers these are fillers.
_LOWER_FILLER = re.compile(r"(?<=[<ce])[cekx]|[cekx](?=[<ce])")
_MOST_LOWER = 0.5  # share of a zone's line that is read as lower case
# Signs that a page may have a zone at all; a parenthesis alone is not one.
_SIGNS = frozenset("<«‹〈《≪＜⟨くヘ")  # noqa: RUF001
_LEAST_CHARACTERS, _LEAST_NAME_CHARACTERS = 14, 5
_LEAST_WORD = 3
_MOST_PIECES = 5
_LEAST_SCORE = 4.0
_LEAST_FILLERS = 4
_NEAR, _FAR, _WRONG_ORDER = 1.0, -1.0, -0.25
_MOST_LINES_APART = 3.0
_KEPT_PER_LINE = 6
_MOST_CANDIDATES, _MANY_FILLERS = 60, 4
_LONGEST_CANDIDATE = 120


@dataclass(frozen=True, slots=True)
class FoundMrz:
    """A zone on a page.

    Attributes:
        mrz: the zone, repaired where something proves the repair.
        lines: for each line of the zone the lines of the page that it was read from.
        repairs: every character that differs from what was read, with its proof.
    """

    mrz: Mrz
    lines: tuple[tuple[Line, ...], ...]
    repairs: tuple[Repair, ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Text that may be a line of a zone."""

    text: str
    lines: tuple[Line, ...]

    @property
    def page(self) -> int:
        return self.lines[0].page

    @property
    def left(self) -> float:
        return min(self._upright, key=lambda box: box[0])[0]

    @property
    def right(self) -> float:
        return max(self._upright, key=lambda box: box[2])[2]

    @property
    def middle(self) -> float:
        return sum(box[1] + box[3] for box in self._upright) / (2 * len(self.lines))

    @property
    def height(self) -> float:
        return max(box[3] - box[1] for box in self._upright)

    @property
    def _upright(self) -> list[tuple[float, float, float, float]]:
        boxes = [line.box.turned(line.quarter_turns) for line in self.lines]
        return [(box.left, box.top, box.right, box.bottom) for box in boxes]


def find_mrz(lines: Sequence[Line], *, today: date | None = None) -> FoundMrz | None:
    """The zone among the lines of a document, or None.

    Args:
        lines: all lines of a document, of one or several pages, in any order.
        today: what decides the century of two-digit years.

    Repairs are those that the alphabet of a position, the width of a line, Doc 9303's list of
    codes or the check digits prove; what they do not prove is returned as it was read, and its
    check digit's verdict is a fail.
    """
    # A page full of fillers is an attack on the time that this takes; a zone has many of them.
    candidates = heapq.nlargest(
        _MOST_CANDIDATES,
        _candidates(lines),
        key=lambda candidate: (
            min(candidate.text.count(FILLER), _MANY_FILLERS),
            len(candidate.text),
        ),
    )
    if not candidates:
        return None
    best: tuple[float, MrzFormat, tuple[_Candidate, ...], tuple[Fit, ...]] | None = None
    for format_ in MrzFormat:
        for score, chosen, fits in _hypotheses(format_, candidates):
            if best is None or score > best[0]:
                best = score, format_, chosen, fits
    if best is None or best[0] < _LEAST_SCORE:
        return None
    _, format_, chosen, fits = best
    if sum(candidate.text.count(FILLER) for candidate in chosen) < _LEAST_FILLERS:
        return None
    used = {id(line) for candidate in chosen for line in candidate.lines}
    others = [line for line in lines if id(line) not in used]
    return _found(format_, chosen, fits, others, today)


def _found(
    format_: MrzFormat,
    chosen: tuple[_Candidate, ...],
    fits: tuple[Fit, ...],
    others: Sequence[Line],
    today: date | None,
) -> FoundMrz | None:
    texts = tuple(item.text for item in fits)
    repairs = [repair for item in fits for repair in item.repairs]
    texts, structural = by_structure(format_, texts)
    texts, names = by_print(format_, texts, _printed_words(others))
    texts, number = number_by_print(format_, texts, printed_numbers(others))
    texts, proven = by_check_digit(format_, texts)
    repairs += [*structural, *names, *number, *proven]
    try:
        mrz = parse_mrz(texts, today=today, repaired=bool(repairs))
    except InvalidMrz:
        return None
    if not any(digit.passed for digit in mrz.digits):
        return None  # nothing but the shape speaks for it
    return FoundMrz(mrz, tuple(item.lines for item in chosen), tuple(repairs))


def _printed_words(lines: Sequence[Line]) -> set[str]:
    """Words of the page outside its zone, in the zone's letters."""
    words = set[str]()
    for line in lines:
        if _SIGNS & set(line.text):
            continue
        try:
            found = transliterate(line.text).split(FILLER)
        except InvalidMrz:  # another script; no name of this zone
            continue
        words.update(word for word in found if len(word) >= _LEAST_WORD and word.isalpha())
    return words


def zone_text(text: str) -> str:
    """Text in the zone's characters: upper case, no spaces, look-alikes of the filler replaced."""
    marked = unicodedata.normalize("NFKD", "".join(text.split()).translate(_MARKS))
    marked = _LOWER_FILLER.sub(FILLER, marked)
    return "".join(character for character in marked.upper() if character in CHARACTERS)


def _candidates(lines: Sequence[Line]) -> Iterator[_Candidate]:
    """Lines, and neighbours of a row joined, that are long enough and look like a zone's."""
    if not any(_SIGNS & set(line.text) for line in lines):
        return
    seen = set[str]()
    for row in [*([line] for line in lines), *rows(lines)]:
        pieces = [(zone_text(line.text), line) for line in row]
        for start in range(len(pieces)):
            for end in range(start + 1, min(start + _MOST_PIECES, len(pieces)) + 1):
                part = pieces[start:end]
                text = "".join(piece for piece, _ in part)
                sources = tuple(line for _, line in part)
                if not _LEAST_NAME_CHARACTERS <= len(text) <= _LONGEST_CANDIDATE:
                    continue
                if text in seen or _is_prose(sources):
                    continue
                seen.add(text)
                yield _Candidate(text, sources)
                half = len(text) // 2
                if text[:half].count(FILLER) and half in {36, 44} and len(text) % 2 == 0:
                    yield _Candidate(text[:half], sources)
                    yield _Candidate(text[half:], sources)


def _is_prose(lines: Sequence[Line]) -> bool:
    """Much of it lower case, and less of it where no filler was read: no zone."""
    text = "".join(line.text for line in lines)
    most = _MOST_LOWER if _SIGNS & set(text) else _MOST_LOWER / 2
    return sum(character.islower() for character in text) > most * len(text)


def _hypotheses(
    format_: MrzFormat, candidates: Sequence[_Candidate]
) -> Iterator[tuple[float, tuple[_Candidate, ...], tuple[Fit, ...]]]:
    """Every choice of one candidate for each line of a format, with its score."""
    options: list[list[tuple[_Candidate, Fit]]] = []
    for line in range(format_.height):
        fits = [
            (candidate, found)
            for candidate in candidates
            if _may_be(format_, line, candidate.text)
            and (found := fit(format_, line, candidate.text)) is not None
        ]
        fits.sort(key=lambda pair: -pair[1].score)
        options.append(fits[:_KEPT_PER_LINE])
    for choice in product(*options):
        chosen, fits_ = tuple(pair[0] for pair in choice), tuple(pair[1] for pair in choice)
        if len({candidate.text for candidate in chosen}) < len(chosen):
            continue
        texts = tuple(item.text for item in fits_)
        try:
            if format_of(texts) is not format_:
                continue
        except InvalidMrz:
            continue
        score = sum(item.score for item in fits_)
        score += sum(_neighbours(a, b) for a, b in pairwise(chosen))
        yield score, chosen, fits_


def _may_be(format_: MrzFormat, line: int, text: str) -> bool:
    """Cheap refusal of what cannot be this line, before every place of a filler is tried."""
    if is_name_line(format_, line):
        letters = sum(character.isalpha() for character in text)
        return FILLER in text and letters * 2 >= len(text.replace(FILLER, ""))
    digits = sum(character.isdigit() or character in "OIBSZGQD" for character in text)
    least = 4 if line == 0 else 10
    return len(text) >= _LEAST_CHARACTERS and digits >= least


def _neighbours(upper: _Candidate, lower: _Candidate) -> float:
    """How well one candidate stands below the other."""
    if upper.page != lower.page:
        return 2 * _FAR
    overlap = min(upper.right, lower.right) - max(upper.left, lower.left)
    gap = lower.middle - upper.middle
    if overlap <= 0 or abs(gap) > _MOST_LINES_APART * max(upper.height, lower.height):
        return _FAR
    return _NEAR if gap > 0 else _WRONG_ORDER
