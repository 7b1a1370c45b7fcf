"""Which part of a line can be a value's place: whole numbers and words, other forms, labels."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from extraction.document_types.base import FieldSpec, Kind
from extraction.normalize import Value, normalize

_MOST_DATE_WORDS = 5

AMOUNTS = frozenset({Kind.MONEY, Kind.NUMBER, Kind.INTEGER, Kind.RATE})
# Another digit makes another value, so a place that reads as another one is none of this value.
EXACT = AMOUNTS | {Kind.DATE, Kind.TIME}
_NUMBER = re.compile(r"\d{1,3}(?:[ ']\d{3})+(?:[.,]\d{1,3})?(?!\d)|\d[\d.,']*\d|\d")
_MIXED = re.compile(r"\d[^\W\d_]|[^\W\d_]\d")
_WHOLE_DATE = re.compile(r"\d{1,4}\D+\w+\D+\d{2}")
_WORD = re.compile(r"[^\W\d_]+")
# Words beside an amount of a receipt, one line a field; the words of the field's name come on top.
_LABEL_TEXTS = {
    "total": "total summe gesamt gesamtbetrag zahlbetrag totale totaal importe montant jumlah suma "
    "razem celkem yhteens\u00e4 \u0438\u0442\u043e\u0433\u043e \u5408\u8a08 \u5408\u8ba1",
    "subtotal": "sub zwischensumme netto nettobetrag",
    "discount_total": "discount rabatt descuento remise sconto diskaun",
    "service_charge": "service svc",
    "tax_total": "tax gst sst vat mwst ust iva tva btw moms",
    "rounding": "rounded rundung pembundaran",
    "amount_paid": "cash paid tendered tunai bar gegeben efectivo contanti",
    "quantity": "qty pcs items",
    "change_due": "change r\u00fcckgeld wechselgeld vuelto cambio rendu resto baki kembali",
}
LABELS = {name: frozenset(words.split()) for name, words in _LABEL_TEXTS.items()}


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """The words of case-folded texts, without digits and signs."""
    return frozenset(word for text in texts for word in _WORD.findall(text))


def differs(place: str, wanted: str, spec: FieldSpec) -> bool:
    """Whether a place reads as another value of an exact kind.

    "19G7" and "1S" within a date are misread: what they read as says nothing.
    """
    if spec.kind not in EXACT or (spec.kind is Kind.DATE and _MIXED.search(place)):
        return False
    there: Value | None = normalize(spec.kind, place)
    return there is not None and there != normalize(spec.kind, wanted)


def date_spans(text: str) -> Iterator[tuple[int, int]]:
    """Runs of words that may be a date, short ones first."""
    words = [match.span() for match in re.finditer(r"\S+", text)]
    for count in range(1, _MOST_DATE_WORDS + 1):
        for first in range(len(words) - count + 1):
            start, end = words[first][0], words[first + count - 1][1]
            if any(unicodedata.decimal(letter, None) is not None for letter in text[start:end]):
                yield start, end


def whole_dates(text: str) -> list[str]:
    """Texts of the runs of words that are a date with day, month and year, short ones first."""
    spans = (text[start:end] for start, end in date_spans(text))
    return [
        span
        for span in spans
        if _WHOLE_DATE.search(span) and normalize(Kind.DATE, span) is not None
    ]


def amount_spans(text: str) -> Iterator[tuple[int, int]]:
    """Numbers, with their groups of thousands."""
    for match in _NUMBER.finditer(text):
        yield match.span()


def widened(text: str, start: int, end: int) -> str:
    """The place with the rest of the words at its ends."""
    while start > 0 and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and not text[end].isspace():
        end += 1
    return text[start:end]


def is_whole(text: str, start: int, end: int, kind: Kind) -> bool:
    """Whether the place is not a part of a longer number or word.

    "RM9.00" holds the amount 9.00 and "2kg" the unit kg, but a code goes on where letters and
    digits follow each other, unless they are a mask: "XXXX0438".
    """
    joints = ".,:/-" if kind in AMOUNTS else ".,"
    before, after = text[max(start - 2, 0) : start][::-1], text[end : end + 2]
    return not (
        _goes_on(text[start], before, joints, kind) or _goes_on(text[end - 1], after, joints, kind)
    )


def _goes_on(edge: str, outside: str, joints: str, kind: Kind) -> bool:
    """Whether a number or word continues beyond its edge; `outside` reads away from it."""
    if not outside or not edge.isalnum():
        return False
    nearest, beyond = outside[0], outside[1:]
    if nearest.isalnum():
        is_mask = edge.isdigit() and nearest == beyond == "x"
        return nearest.isdigit() == edge.isdigit() or (kind is Kind.CODE and not is_mask)
    return edge.isdigit() and nearest in joints and beyond.isdigit()
