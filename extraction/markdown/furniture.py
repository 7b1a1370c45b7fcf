"""What stands on a page and is no part of its text: running headers, footers, page numbers."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Final

from extraction.markdown.blocks import Placed, rows_of

_WIDE_EDGE: Final = 0.15  # of the page's height
_NARROW_EDGE: Final = 0.065
_LEAST_ROWS: Final = 12  # a page with fewer is a card or a letter, whose edges are text
_APART: Final = 1.2  # of a line's height lies between an edge's row and the text
_LARGE: Final = 1.25
_LONGEST: Final = 130
_MOST_EDGE_ROWS: Final = 3
_SPREAD_PIECES: Final = 3
_ROWS_BESIDE: Final = 3  # a table has as many pieces in the rows beside
_LEAST_SIDEWAYS: Final = 5
_TALL: Final = 3
_NUMBER = re.compile(
    r"(?:page|p\.|seite|s\.|página|pagina|pág\.|стр\.)?\s*[-\u2013\u2014|.]*\s*"
    r"(?:\d{1,4}|[ivxlc]{1,7})"
    r"(?:\s*(?:/|of|von|de|di|sur)\s*\d{1,4})?\s*[-\u2013\u2014|.]*",
    re.IGNORECASE,
)


def without_furniture(pages: Sequence[Sequence[Placed]]) -> list[list[Placed]]:
    """Each page's lines without what stands at its edges and repeats, or counts pages.

    Args:
        pages: all pages of a document; what stands at the edge of most of them is furniture.
    """
    pages = [[item for item in lines if not _is_sideways(item)] for lines in pages]
    edges = [_edge_rows(lines) for lines in pages]
    seen = Counter(key for rows in edges for key in {_key(row) for row, _ in rows})
    kept: list[list[Placed]] = []
    for lines, rows in zip(pages, edges, strict=True):
        dropped = {
            id(item)
            for row, is_apart in rows
            if is_apart
            or _is_number(row)
            or (seen[_key(row)] > 1 and seen[_key(row)] * 2 >= len(pages))
            for item in row
        }
        kept.append([item for item in lines if id(item) not in dropped])
    return kept


def _edge_rows(lines: Sequence[Placed]) -> list[tuple[list[Placed], bool]]:
    """The outermost rows at either edge, and whether each stands apart as furniture does."""
    grouped = rows_of(lines)
    if len(grouped) < _LEAST_ROWS:
        return [(row, False) for row in (*grouped[:1], *grouped[-1:])]
    heights = sorted(item.box.height for row in grouped for item in row)
    usual = heights[len(heights) // 2]
    found: list[tuple[list[Placed], bool]] = []
    for order, is_top in ((grouped, True), (grouped[::-1], False)):
        if _is_number(order[0]):
            found.append((order[0], True))
        rows: list[list[Placed]] = []
        apart = 0
        for at, (row, following) in enumerate(islice(pairwise(order), _MOST_EDGE_ROWS)):
            top, bottom = _span(row)
            if (bottom if is_top else 1 - top) > _WIDE_EDGE:
                break
            rows.append(row)
            inner = order[at + 1 : at + 1 + _ROWS_BESIDE]
            spread = len(row) >= _SPREAD_PIECES > max(map(len, inner))
            if _is_apart(row, following, usual, is_top=is_top, is_spread=spread):
                apart = len(rows)  # and what stands further out with it
        found += [(row, at < apart) for at, row in enumerate(rows)]
    return found


def _is_apart(
    row: Sequence[Placed],
    following: Sequence[Placed],
    usual: float,
    *,
    is_top: bool,
    is_spread: bool,
) -> bool:
    """Whether a row near the edge is set apart from the text as headers and footers are."""
    top, bottom = _span(row)
    there = _span(following)
    gap = there[0] - bottom if is_top else top - there[1]
    distance = bottom if is_top else 1 - top
    text = " ".join(item.line.text for item in row)
    if bottom - top > _LARGE * usual or len(text) > _LONGEST:
        return False
    # Several pieces above or below rows of fewer: a title, a number and a date.
    return is_spread or (distance <= _NARROW_EDGE and gap >= _APART * usual)


def _span(row: Sequence[Placed]) -> tuple[float, float]:
    return min(item.box.top for item in row), max(item.box.bottom for item in row)


def _key(row: Sequence[Placed]) -> str:
    text = " ".join(item.line.text for item in row).casefold()
    return re.sub(r"\d+", "#", text)


def _has_number(row: Sequence[Placed]) -> bool:
    """Whether the row is a page number, or begins or ends with one that stands apart."""
    if len(row) == 1:
        return _is_number(row)
    return any(_is_number([item]) for item in (row[0], row[-1]))


def _is_sideways(item: Placed) -> bool:
    """Text that runs along the margin of an upright page."""
    box = item.box
    return (
        len(item.line.text) > _LEAST_SIDEWAYS
        and box.height > _TALL * box.width
        and (box.right < _NARROW_EDGE or box.left > 1 - _NARROW_EDGE)
    )


def _is_number(row: Sequence[Placed]) -> bool:
    return bool(_NUMBER.fullmatch(" ".join(item.line.text for item in row).strip()))
