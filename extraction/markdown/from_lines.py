"""Lines -> Markdown by their places alone; no model has a word in it.

    lines -> no furniture -> blocks in reading order -> rows -> tables, headings, lists, paragraphs

It is what a page gets where no model can write one, and says so by the source "lines". Formulas
stay as the OCR spells them, and figures have no text: neither can be known from lines.
"""

import re
import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from extraction.lines import Line
from extraction.markdown.blocks import (
    Placed,
    blocks_of,
    bounds,
    letter_width,
    ordered,
    placed,
    rows_of,
)
from extraction.markdown.furniture import without_furniture
from extraction.markdown.language import language_of
from extraction.markdown.rotation import correction_of
from extraction.markdown.tables import as_table, table_runs

_HEADING: Final = ((2.0, "# "), (1.65, "## "), (1.4, "### "))
_LONGEST_HEADING: Final = 120
_SHORTEST_HEADING: Final = 3
_WIDTH_ALLOWANCE: Final = 1.15  # wide letters are a surer sign than a high box, and vary more
_NEW_PARAGRAPH: Final = 0.75  # of a line's height more than usual lies between two rows
_INDENT_LETTERS: Final = 1.5
_SHORT_ROW: Final = 0.72  # of the block's width: the row ends there because the text does
_BULLET = re.compile(r"^[•●▪◦‣·*–—-]\s+(?=\S)")  # noqa: RUF001 - as they are printed
_NUMBERED = re.compile(r"^(?:\d{1,2}[.)]|[a-z][.)]|\([a-z0-9]{1,2}\))\s+(?=\S)")


def pages_from_lines(pages: Sequence[Sequence[Line]]) -> list[dict[str, Any]]:
    """Each page's facts and text, by `natural_text` and the front matter's keys.

    Args:
        pages: the lines of each page of a document, in order.
    """
    kept = without_furniture([placed(lines) for lines in pages])
    return [_page(lines, left) for lines, left in zip(pages, kept, strict=True)]


def _page(lines: Sequence[Line], kept: Sequence[Placed]) -> dict[str, Any]:
    tables, rest = _tables(kept)
    sizes = _Sizes(rest or kept)
    parts: list[str] = []
    for block in ordered([*(cells for cells, _ in tables), *blocks_of(rest)]):
        table = next((text for cells, text in tables if cells is block), None)
        parts += [table] if table is not None else _flow(rows_of(block), sizes)
    in_tables = sum(len(item.line.text) for cells, _ in tables for item in cells)
    count = sum(len(item.line.text) for item in kept)
    turn = correction_of(lines)
    return {
        "primary_language": language_of(line.text for line in lines),
        "is_rotation_valid": turn == 0 if lines else None,
        "rotation_correction": turn if lines else None,
        "is_table": in_tables * 2 > count if lines else None,
        "is_diagram": None,
        "natural_text": "\n\n".join(part for part in parts if part) or None,
    }


def _tables(kept: Sequence[Placed]) -> tuple[list[tuple[list[Placed], str]], list[Placed]]:
    """Each table's lines with its HTML, and the lines that are in none."""
    grouped = rows_of(kept)
    tables: list[tuple[list[Placed], str]] = []
    for first, behind in table_runs(grouped):
        text = as_table(grouped[first:behind])
        if text is not None:
            tables.append(([item for row in grouped[first:behind] for item in row], text))
    inside = {id(item) for cells, _ in tables for item in cells}
    return tables, [item for item in kept if id(item) not in inside]


class _Sizes:
    """What is usual on a page: the height of a line, and the width of a letter."""

    def __init__(self, lines: Sequence[Placed]) -> None:
        self.height = statistics.median(item.box.height for item in lines) if lines else 0.0
        self.letter = letter_width(lines)

    def heading(self, row: Sequence[Placed], text: str) -> str:
        """The mark of a heading: its letters are higher and wider than usual; else ""."""
        letters = sum(letter.isalpha() for letter in text)
        if not _SHORTEST_HEADING <= letters <= len(text) <= _LONGEST_HEADING or not self.height:
            return ""
        height = statistics.median(item.box.height for item in row) / self.height
        width = letter_width(row) / self.letter
        ratio = min(height, width * _WIDTH_ALLOWANCE)
        return next((mark for least, mark in _HEADING if ratio >= least), "")


def _flow(grouped: Sequence[Sequence[Placed]], sizes: "_Sizes") -> list[str]:
    """Rows that are no table, as headings, list items and paragraphs."""
    if not grouped:
        return []
    cells = [item for row in grouped for item in row]
    area, letter = bounds(cells), letter_width(cells)
    gaps = [_gap(one, other) for one, other in pairwise(grouped)]
    usual = statistics.median(gaps) if gaps else 0.0
    parts: list[str] = []
    before: Sequence[Placed] | None = None
    for index, row in enumerate(grouped):
        text = "  ".join(item.line.text for item in row)
        mark = sizes.heading(row, text)
        begins = (
            before is None
            or gaps[index - 1] > usual + _NEW_PARAGRAPH * sizes.height
            or _mark_of(parts[-1]) != mark
        )
        if bullet := _BULLET.match(text):
            text, begins = f"- {text[bullet.end() :]}", True
        elif _NUMBERED.match(text):
            begins = True
        elif not begins and not mark:
            indent = row[0].box.left - area.left
            begins = (
                indent > _INDENT_LETTERS * letter
                and before is not None
                and before[0].box.left - area.left < indent / 2
                and not parts[-1].startswith("- ")
            )
        if begins:
            parts.append(mark + text)
        elif not mark and before is not None and _is_short(before, area.left, area.width):
            parts[-1] += f"\n{text}"
        else:
            parts[-1] = _joined(parts[-1], text)
        before = row
    return parts


def _gap(one: Sequence[Placed], other: Sequence[Placed]) -> float:
    return min(item.box.top for item in other) - max(item.box.bottom for item in one)


def _mark_of(part: str) -> str:
    return next((mark for _, mark in _HEADING if part.startswith(mark)), "")


def _is_short(row: Sequence[Placed], left: float, width: float) -> bool:
    return max(item.box.right for item in row) - left < _SHORT_ROW * width


def _joined(text: str, more: str) -> str:
    """Two rows of one paragraph; a word that was divided at the end of a row is whole again."""
    if text.endswith("-") and text[-2:-1].isalpha() and more[:1].islower():
        return text[:-1] + more
    return f"{text} {more}"
