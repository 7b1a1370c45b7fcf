"""Rows of cells -> an HTML table; what stands in line with each other is a column."""

import html
import statistics
from collections.abc import Sequence
from typing import Final

import numpy as np

from extraction.markdown.blocks import Placed

LEAST_ROWS: Final = 3
_LEAST_COLUMNS: Final = 2
_MOST_COLUMNS: Final = 24
_MOST_REACHING: Final = 0.1  # of the rows, into the gap between two columns
_STEPS: Final = 1000
_LEAST_FILLED: Final = 0.5  # of the cells; rows of two texts that happen to share a height have not
_USUAL: Final = 0.7  # of the most cells in a row; such rows tell where columns are
_MOST_WORDS: Final = 3.0  # of a usual cell; columns of running text have more


def table_runs(grouped: Sequence[Sequence[Placed]]) -> list[tuple[int, int]]:
    """Where tables lie among the rows of a page: first row and the one behind the last, in order.

    A row of one cell belongs to a table where rows of several surround it.
    """
    runs: list[tuple[int, int]] = []
    start: int | None = None
    for index in range(len(grouped) + 1):
        several = index < len(grouped) and len(grouped[index]) >= _LEAST_COLUMNS
        bridged = (
            start is not None
            and 0 < index < len(grouped) - 1
            and len(grouped[index - 1]) >= _LEAST_COLUMNS
            and len(grouped[index + 1]) >= _LEAST_COLUMNS
        )
        if several or bridged:
            start = index if start is None else start
        elif start is not None:
            if index - start >= LEAST_ROWS and _is_tabular(grouped[start:index]):
                runs.append((start, index))
            start = None
    return runs


def as_table(grouped: Sequence[Sequence[Placed]]) -> str | None:
    """The rows as an HTML table; None where they share no columns."""
    columns = _columns(grouped)
    if not _LEAST_COLUMNS <= len(columns) <= _MOST_COLUMNS:
        return None
    table = [_cells(row, columns) for row in grouped]
    filled = sum(span for row in table for text, span in row if text)
    if filled < _LEAST_FILLED * len(table) * len(columns):
        return None
    head = _has_head(table)
    lines = [_row(row, "th" if head and index == 0 else "td") for index, row in enumerate(table)]
    return "\n".join(["<table>", *lines, "</table>"])


def _is_tabular(grouped: Sequence[Sequence[Placed]]) -> bool:
    """Whether the cells are short, as those of a table are; columns of text have whole lines."""
    cells = [item for row in grouped for item in row if len(row) > 1]
    return statistics.fmean(len(item.line.text.split()) for item in cells) <= _MOST_WORDS


def _columns(grouped: Sequence[Sequence[Placed]]) -> list[tuple[float, float]]:
    """The strips that cells stand in, apart by what nearly no cell reaches into.

    Only rows with about the most cells tell; a title over several columns is none of them.
    """
    most = max(len(row) for row in grouped)
    usual = [row for row in grouped if len(row) >= max(_USUAL * most, 2)]
    covered = np.zeros(_STEPS + 1)
    for item in (item for row in usual for item in row):
        covered[round(item.box.left * _STEPS) : round(item.box.right * _STEPS) + 1] += 1
    inside = covered > _MOST_REACHING * len(usual)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], inside, [False])).astype(int)))
    return [
        (float(begin) / _STEPS, float(end) / _STEPS)
        for begin, end in zip(edges[::2], edges[1::2], strict=True)
    ]


def _cells(row: Sequence[Placed], columns: Sequence[tuple[float, float]]) -> list[tuple[str, int]]:
    """The texts of a row from left to right, each with how many columns it spans."""
    texts = [""] * len(columns)
    spans = [1] * len(columns)
    for item in row:
        covered = [
            at
            for at, (left, right) in enumerate(columns)
            if item.box.left <= (left + right) / 2 <= item.box.right
        ] or [_nearest(columns, item)]
        first = covered[0]
        texts[first] = f"{texts[first]} {item.line.text}".strip()
        spans[first] = max(spans[first], len(covered))
    cells: list[tuple[str, int]] = []
    at = 0
    while at < len(columns):
        behind = at + 1
        while behind < at + spans[at] and not texts[behind]:
            behind += 1
        cells.append((texts[at], behind - at))
        at = behind
    return cells


def _nearest(columns: Sequence[tuple[float, float]], item: Placed) -> int:
    centre = (item.box.left + item.box.right) / 2
    return min(
        range(len(columns)),
        key=lambda at: max(columns[at][0] - centre, centre - columns[at][1], 0.0),
    )


def _has_head(table: Sequence[Sequence[tuple[str, int]]]) -> bool:
    """Figures stand below the first row, and none in it."""
    has = [any(letter.isdigit() for text, _ in row for letter in text) for row in table]
    return not has[0] and sum(has[1:]) * 2 > len(has) - 1


def _row(cells: Sequence[tuple[str, int]], tag: str) -> str:
    parts = []
    for text, span in cells:
        spans = f' colspan="{span}"' if span > 1 else ""
        parts.append(f"<{tag}{spans}>{html.escape(text, quote=False)}</{tag}>")
    return f"<tr>{''.join(parts)}</tr>"
