"""Lines of one page -> numbers that tell kinds of documents apart, for `classify.py`.

Words by group (is there one; which share of the rows has one), amounts and dates, the look of
the text, and what is there of a machine-readable zone. Counts enter as shares or logarithms, so
that a long receipt looks like a short one.
"""

import re
from collections.abc import Sequence
from math import log, log1p
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from extraction.lines import Box, Line, rows
from extraction.mrz import FoundMrz
from extraction.page_words import WORDS, folded

# Reading every word of a giant page costs time and changes nothing.
MOST_LINES = 400
MOST_CHARACTERS = 300

_MONEY = re.compile(r"(?<![\d.,])\d{1,3}(?:[.,' ]?\d{3})*[.,]\d{2}(?!\d|[./-]\d)")
_CURRENCY = re.compile(
    r"[$€£¥₹₩₺₽฿]|\b(?:rm|usd|eur|gbp|myr|sgd|chf|pln|czk|sek|nok|dkk|aud|cad|inr|kr|zl|rp|r\$)\b"
)
_DATE = re.compile(
    r"\b(?:\d{1,2}[./ -]\d{1,2}[./ -](?:19|20)?\d{2}|(?:19|20)\d{2}[./-]\d{1,2}[./-]\d{1,2}"
    r"|\d{1,2}[ .-]?[a-z]{3,9}[ ./a-z]{0,9}[ .,-]?(?:19|20)\d{2})\b"
)
_TIME = re.compile(r"\b[0-2]?\d:[0-5]\d(?::[0-5]\d)?\b")
_FILLERS = re.compile(r"<{2,}|[a-z0-9]<[a-z0-9<]")
_RUN = re.compile(r"<+")
# What is left of a line of a zone that was read too badly to be found.
_ZONE_ROW = re.compile(r"[a-z0-9<]{18,}")
_PHONE = re.compile(r"\b(?:tel|phone|fax|ph|tlf|telefon)\b|\+\d{2}")
_WEB = re.compile(r"www\.|https?:|@[a-z]|\.com\b")
# Characters that may follow an amount at the end of a row: a tax code, a minus sign.
_END = 3
_LONG_ROW, _PROSE_WORDS, _SHORT_ROW, _WIDE = 55, 8, 12, 0.6

_SHAPE = (
    "rows",
    "lines_per_row",
    "money_rows",
    "money_at_end",
    "money",
    "currency",
    "percent",
    "date",
    "dates",
    "date_rows",
    "time",
    "phone",
    "web",
    "digits",
    "capitals",
    "row_length",
    "long_rows",
    "short_rows",
    "prose_rows",
    "colon_rows",
    "wide_lines",
    "median_width",
    "page_aspect",
    "ink",
    "fillers",
    "filler_rows",
    "filler_run",
    "zone_row",
    "zone",
    "zone_digits",
)
FEATURES: tuple[str, ...] = (
    *(f"has_{name}" for name in WORDS),
    *(f"rows_{name}" for name in WORDS),
    *_SHAPE,
)


def features_of(lines: Sequence[Line], zone: FoundMrz | None) -> NDArray[np.float64]:
    """The features of one page, in the order of `FEATURES`; shape (len(FEATURES),).

    Args:
        lines: of one page, at least one; of a very long page only the first are looked at.
        zone: the machine-readable zone found among them.
    """
    lines = lines[:MOST_LINES]
    texts = [
        folded(" ".join(line.text for line in row))[:MOST_CHARACTERS] for row in rows(list(lines))
    ]
    hits = [sum(bool(pattern.search(text)) for text in texts) for pattern in WORDS.values()]
    words = [*(float(hit > 0) for hit in hits), *(hit / len(texts) for hit in hits)]
    return np.array([*words, *_shape(lines, texts, zone)], dtype=np.float64)


def _shape(lines: Sequence[Line], texts: Sequence[str], zone: FoundMrz | None) -> list[float]:
    count = len(texts)
    whole = "\n".join(texts)
    written = "".join(line.text for line in lines)
    letters = [character for character in written if character.isalpha()] or ["a"]
    boxes = [line.box.turned(line.quarter_turns) for line in lines]
    money = [bool(_MONEY.search(text)) for text in texts]
    ends = [
        bool((found := list(_MONEY.finditer(t))) and len(t) - found[-1].end() <= _END)
        for t in texts
    ]
    dates = [len(_DATE.findall(text)) for text in texts]
    fillers = [bool(_FILLERS.search(text)) for text in texts]
    widths = [box.width for box in boxes]
    passed = [digit.passed for digit in zone.mrz.digits] if zone else []
    return [
        log(count),
        len(lines) / count,
        sum(money) / count,
        sum(ends) / count,
        log1p(min(sum(money), 20)),
        float(bool(_CURRENCY.search(whole))),
        float("%" in whole),
        float(sum(dates) > 0),
        log1p(min(sum(dates), 10)),
        sum(found > 0 for found in dates) / count,
        float(bool(_TIME.search(whole))),
        float(bool(_PHONE.search(whole))),
        float(bool(_WEB.search(whole))),
        sum(character.isdigit() for character in written) / len(written),
        sum(character.isupper() for character in letters) / len(letters),
        log1p(fmean(len(text) for text in texts)),
        sum(len(text) > _LONG_ROW for text in texts) / count,
        sum(len(text) < _SHORT_ROW for text in texts) / count,
        sum(len(text.split()) >= _PROSE_WORDS for text in texts) / count,
        sum(":" in text for text in texts) / count,
        sum(width > _WIDE for width in widths) / len(widths),
        median(widths),
        _aspect(boxes, lines),
        min(sum(box.area for box in boxes), 1.0),
        log1p(min(written.count("<"), 60)),
        sum(fillers) / count,
        log1p(min(max(map(len, _RUN.findall(whole)), default=0), 20)),
        float(
            any(text.count("<") > 1 and _ZONE_ROW.search(text.replace(" ", "")) for text in texts)
        ),
        float(zone is not None),
        sum(passed) / len(passed) if passed else 0.0,
    ]


def _aspect(boxes: Sequence[Box], lines: Sequence[Line]) -> float:
    """Logarithm of height over width of the page, from the shape of its characters.

    Boxes are ratios of the page, and a printed character is about half as wide as high: so the
    ratio of its box's width to its height is half of the page's height over its width.
    """
    shapes = [
        box.width / len(line.text) / box.height
        for box, line in zip(boxes, lines, strict=True)
        if box.height > 0 and len(line.text) > 3  # noqa: PLR2004 - a short text's box is mostly margin
    ]
    return max(-2.0, min(3.0, log(2 * median(shapes)))) if shapes and median(shapes) > 0 else 0.0
