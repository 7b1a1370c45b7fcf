"""An answer that is not on the page is brought back to it.

    leaves -> a text of whole lines: the lines that are most like it
           -> a date or an amount that stands nowhere, or is none: the one that the page labels
           -> a name that is an address or a registration: the name above the address
           -> the page's spelling -> the leaves with their places

A small model that reads through lines can answer what nobody printed: SHELL BATAN for SHELL BATU, a
time for a date, the address once more for the name. What it should have copied is on the page. So
it is for the default model when it sees: its tower is the OCR's inferior, and where there are lines
it was taught to copy them. A larger model from a hub may know more than the lines, so only what
cannot be such a value at all is replaced then. Without lines nothing is. Thresholds and rules were
chosen on SROIE's receipts 000-399, with a model that does not see.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rapidfuzz import fuzz

from extraction.document_types.base import Kind
from extraction.evidence import Evidence, EvidenceFinder
from extraction.lines import Line, rows
from extraction.normalize import normalize
from extraction.places import LABELS, amount_spans, whole_dates, words_of
from extraction.record import RawLeaf
from extraction.spelling import agrees, copies_lines, spelled
from extraction.traits import ModelTraits

NAME, ADDRESS, DATE, TOTAL = "merchant_name", "merchant_address", "transaction_date", "total"
_GROUNDED = frozenset({NAME, ADDRESS, DATE, TOTAL})
# Fields that fill whole lines: how many at most, and the least likeness (rapidfuzz's ratio) of the
# lines that are taken. Of 45, 55, 65, 75 (names) and 60, 70, 80 (addresses) the best.
_WHOLE_LINES = {NAME: (2, 55.0), ADDRESS: (7, 60.0)}
_MUCH_LONGER = 1.6
_DATE_WORDS = frozenset({"date", "datum", "tarikh", "fecha", "data", "dato", "datetime"})
# What stands in lines that are no name: numbers of a registration, of a telephone, of a receipt.
_NO_NAME = re.compile(
    r"\b(?:reg|gst|sst|vat|tax|tel|fax|phone|invoice|receipt|bill|date|table|id|no)\b[ .:]",
    re.IGNORECASE,
)
_LEGAL_FORM = re.compile(
    r"\b(?:sdn|bhd|s/b|enterprise|trading|ltd|limited|inc|llc|gmbh|ag|s\.?a\.?|s\.?r\.?l|b\.?v)\b",
    re.IGNORECASE,
)
# "19, JALAN KANCIL", "LOT 38, 39", "No.12, Jalan Permas": where a house number begins a text.
_HOUSE = re.compile(
    r"^\W*(?:[a-z]{1,5}\W{0,2})?[a-z]?\d[\w/&.-]*\s*(?:[&-]\s*\d+\s*)?,", re.IGNORECASE
)
_POSTCODE = re.compile(r"\b\d{5}\b")
# Telephone and tax numbers stand beside addresses and are no part of them.
_LONG_NUMBER = re.compile(r"\d(?:[ -]?\d){7,}")
_AMOUNT = re.compile(r"\d[.,]\d{2}$")
_LEAST_LETTERS, _LETTER_SHARE = 5, 0.6
_HEAD_LINES = 8


def copied(
    leaves: Sequence[RawLeaf],
    places: Mapping[str, Evidence | None],
    finder: EvidenceFinder,
    traits: ModelTraits,
) -> tuple[list[RawLeaf], dict[str, Evidence | None]]:
    """The values as the page has them, and where they stand.

    Args:
        leaves: the values as the model wrote them.
        places: where each stands on the page, by path.
        finder: of the page's lines.
        traits: decide how much the page's lines may overrule (`copies_lines`).

    Returns:
        As many leaves in the same order, and the places of all. The place of a value that was
        replaced is only as similar as the model's answer was: that is what the confidence sees.
    """
    after = grounded(leaves, places, finder.lines, traits)
    found = moved(leaves, after, places, finder)
    return [spelled(leaf, found[leaf.path], traits) for leaf in after], found


def moved(
    before: Sequence[RawLeaf],
    after: Sequence[RawLeaf],
    places: Mapping[str, Evidence | None],
    finder: EvidenceFinder,
) -> dict[str, Evidence | None]:
    """The places, anew for each value that was replaced: as similar as the model's answer was."""
    found = dict(places)
    for was, now in zip(before, after, strict=True):
        if was.raw == now.raw:
            continue
        place = finder.find(now.raw, now.spec)
        likeness = fuzz.ratio(was.raw.casefold(), now.raw.casefold()) / 100
        found[now.path] = place and replace(place, similarity=round(likeness, 2))
    return found


def grounded(
    leaves: Sequence[RawLeaf],
    places: Mapping[str, Evidence | None],
    lines: Sequence[Line],
    traits: ModelTraits,
) -> list[RawLeaf]:
    """The values with those replaced that the page speaks against; see `copied`."""
    names = {leaf.path for leaf in leaves}
    if not lines or not names & _GROUNDED:
        return list(leaves)
    page = [line for row in rows(lines) for line in row]
    texts = [line.text for line in page]
    changed = []
    for leaf in leaves:
        raw = _grounded(leaf, places.get(leaf.path), page, texts, is_copy=copies_lines(traits))
        changed.append(leaf if raw is None else replace(leaf, raw=raw))
    return [_named(leaf, changed, texts) if leaf.path == NAME else leaf for leaf in changed]


def _grounded(
    leaf: RawLeaf,
    place: Evidence | None,
    page: Sequence[Line],
    texts: Sequence[str],
    *,
    is_copy: bool,
) -> str | None:
    """What stands in place of a leaf's text; None to leave it."""
    kind = leaf.spec.kind
    if leaf.path in {DATE, TOTAL}:
        is_one = normalize(kind, leaf.raw) is not None
        if is_one and (place is not None or not is_copy):
            return None
        return _labelled_date(page) if leaf.path == DATE else _labelled_amount(page, TOTAL)
    if leaf.path in _WHOLE_LINES and is_copy:
        if place is not None and agrees(leaf.raw, place.text):
            return None
        return nearest_lines(leaf.raw, texts, *_WHOLE_LINES[leaf.path])
    return None


def nearest_lines(raw: str, texts: Sequence[str], most_lines: int, least: float) -> str | None:
    """The run of at most so many whole lines that is most like an answer; None where none is."""
    wanted = raw.casefold()
    best: tuple[float, str] = (least, "")
    for start in range(len(texts)):
        for end in range(start + 1, min(start + most_lines, len(texts)) + 1):
            if _LONG_NUMBER.search(texts[end - 1]):
                break
            joined = " ".join(texts[start:end])
            likeness = fuzz.ratio(joined.casefold(), wanted)
            if likeness > best[0]:
                best = (likeness, joined)
            if len(joined) > _MUCH_LONGER * len(raw):
                break
    return best[1] or None


def _labelled_date(page: Sequence[Line]) -> str | None:
    """The first date of the page, one beside a word for it before others."""
    found = [
        (bool(words_of(line.text.casefold() for line in row) & _DATE_WORDS), text)
        for row in rows(page)
        for line in row
        for text in whole_dates(line.text)[:1]
    ]
    return max(found, key=lambda pair: pair[0])[1].strip(" :;,.") if found else None


def _labelled_amount(page: Sequence[Line], name: str) -> str | None:
    """The last amount of a row that names this field and no other; None where there is none."""
    own = LABELS.get(name, frozenset())
    others = frozenset(word for other, words in LABELS.items() if other != name for word in words)
    best = None
    for row in rows(page):
        words = words_of(line.text.casefold() for line in row)
        if words & own and not words & (others - own):
            text = row[-1].text
            spans = list(amount_spans(text))
            amount = text[slice(*spans[-1])] if spans else ""
            if _AMOUNT.search(amount) and normalize(Kind.MONEY, amount) is not None:
                best = amount
    return best


def _named(leaf: RawLeaf, leaves: Iterable[RawLeaf], texts: Sequence[str]) -> RawLeaf:
    """The name, or the one above the address where what was answered cannot be a name."""
    address = next((other.raw for other in leaves if other.path == ADDRESS), None)
    if not _is_no_name(leaf.raw, address):
        return leaf
    head = list(texts[:_HEAD_LINES])
    if address:
        first = address.casefold()[:12]
        for index, text in enumerate(head):
            if text.casefold().startswith(first):
                head = head[:index]
                break
    names = [text for text in head if not _is_no_name(text, address)]
    legal = [text for text in names if _LEGAL_FORM.search(text)]
    chosen = (legal or names)[:1]
    return replace(leaf, raw=chosen[0]) if chosen else leaf


def _is_no_name(text: str, address: str | None) -> bool:
    letters = sum(character.isalpha() for character in text)
    if letters < _LEAST_LETTERS or letters < _LETTER_SHARE * len(text.replace(" ", "")):
        return True
    if _NO_NAME.search(text) or _HOUSE.search(text) or text.endswith(","):
        return True
    if _POSTCODE.search(text) and "," in text:
        return True
    return address is not None and text.casefold() == address.casefold()
