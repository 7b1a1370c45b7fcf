"""A table as a grid of cells that may span rows and columns, and what stands beside each.

Cells are placed as HTML does it: from the left, past the columns that a cell from above still
covers. A neighbour is the next cell in a direction, across gaps; a cell that spans several rows or
columns may have several.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from extraction.unit_tests.normalise import normalise

Direction = Literal["up", "down", "left", "right"]
HeadingDirection = Literal["up", "left"]

# HTML's own limit of colspan.
MOST_COLUMNS_SPANNED = 1000
# A wider grid is no table of a page but a model that lost its way.
_MOST_COLUMNS = 4096


@dataclass(frozen=True, slots=True)
class Source:
    """A cell as it is written, before it has a place.

    Attributes:
        text: as it stands, breaks as newlines.
        rows: how many it spans, from 1.
        columns: how many it spans, from 1.
        heading: whether it is marked as a heading.
    """

    text: str
    rows: int = 1
    columns: int = 1
    heading: bool = False


class Cell:
    """A cell in its place.

    Args:
        source: how it is written.
        row: its first row.
        column: its first column.
    """

    def __init__(self, source: Source, row: int, column: int) -> None:
        self.row, self.column = row, column
        self.columns = min(source.columns, MOST_COLUMNS_SPANNED)
        self.rows = source.rows
        self.heading = source.heading
        self._written = source.text

    @cached_property
    def text(self) -> str:
        """Normalised, as everything that is compared."""
        return normalise(self._written)


class Table:
    """Cells with their neighbours.

    Args:
        rows: the cells as they are written, row by row.
    """

    def __init__(self, rows: Sequence[Sequence[Source]]) -> None:
        self.cells: list[Cell] = []
        self._grid: list[list[Cell | None]] = []
        self._beside: dict[tuple[Cell, Direction], tuple[Cell, ...]] = {}
        self._place(rows)
        self._width = max((len(row) for row in self._grid), default=0)
        for row in self._grid:
            row.extend([None] * (self._width - len(row)))

    def beside(self, cell: Cell, direction: Direction) -> tuple[Cell, ...]:
        """The next cells in a direction, each once."""
        key = (cell, direction)
        if key not in self._beside:
            found = (self._next(way, cell) for way in self._ways(cell, direction))
            self._beside[key] = tuple(dict.fromkeys(other for other in found if other is not None))
        return self._beside[key]

    def headings(self, cell: Cell, direction: HeadingDirection) -> list[Cell]:
        """Every heading on the way to the edge; where there is none, the cells at the edge."""
        headings, edge, seen, ahead = [], [], {cell}, [cell]
        while ahead:
            current = ahead.pop()
            beside = self.beside(current, direction)
            if current is not cell:
                if current.heading:
                    headings.append(current)
                if not beside:
                    edge.append(current)
            new = [other for other in beside if other not in seen]
            seen.update(new)
            ahead += new
        return headings or edge

    def under_heading(
        self, direction: HeadingDirection, is_like: Callable[[Cell], bool]
    ) -> set[Cell]:
        """The cells of which one of the `headings` is like that, found in one pass."""
        has_heading: set[Cell] = set()
        by_heading: set[Cell] = set()
        by_edge: set[Cell] = set()
        # A neighbour on the way to the edge begins in an earlier row or column.
        for cell in sorted(self.cells, key=lambda c: c.row if direction == "up" else c.column):
            for other in self.beside(cell, direction):
                if other.heading or other in has_heading:
                    has_heading.add(cell)
                if other in by_heading or (other.heading and is_like(other)):
                    by_heading.add(cell)
                if other in by_edge or (not self.beside(other, direction) and is_like(other)):
                    by_edge.add(cell)
        return by_heading | (by_edge - has_heading)

    def _ways(self, cell: Cell, direction: Direction) -> Iterator[Iterator[Cell | None]]:
        """What stands from each side's place of a cell to the edge, in order."""
        grid = self._grid
        rows = range(cell.row, min(cell.row + cell.rows, len(grid)))
        columns = range(cell.column, cell.column + cell.columns)
        match direction:
            case "left":
                places = range(cell.column - 1, -1, -1)
                return ((grid[row][at] for at in places) for row in rows)
            case "right":
                places = range(columns.stop, self._width)
                return ((grid[row][at] for at in places) for row in rows)
            case "up":
                places = range(cell.row - 1, -1, -1)
                return ((grid[at][column] for at in places) for column in columns)
            case "down":
                places = range(rows.stop, len(grid))
                return ((grid[at][column] for at in places) for column in columns)

    @staticmethod
    def _next(way: Iterator[Cell | None], cell: Cell) -> Cell | None:
        return next((other for other in way if other is not None and other is not cell), None)

    def _place(self, rows: Sequence[Sequence[Source]]) -> None:
        # Of each column, the cell that still covers it and for how many more rows.
        covered: list[tuple[Cell, int] | None] = []
        for number, sources in enumerate(rows):
            line: list[Cell | None] = []
            ahead = iter(sources)
            source = next(ahead, None)
            while source is not None or len(line) < len(covered):
                at = len(line)
                above = covered[at] if at < len(covered) else None
                if above is not None:
                    line.append(above[0])
                    covered[at] = (above[0], above[1] - 1) if above[1] > 1 else None
                elif source is None:
                    line.append(None)
                else:
                    cell = Cell(source, number, at)
                    if at + cell.columns > _MOST_COLUMNS:
                        self.cells, self._grid = [], []
                        return
                    self.cells.append(cell)
                    covered.extend([None] * (at + cell.columns - len(covered)))
                    for column in range(at, at + cell.columns):
                        line.append(cell)
                        covered[column] = (cell, cell.rows - 1) if cell.rows > 1 else None
                    source = next(ahead, None)
            self._grid.append(line)
        self._place_below(covered)

    def _place_below(self, covered: list[tuple[Cell, int] | None]) -> None:
        """Rows below the last, where cells span more rows than there are.

        Rows that look alike are one: `rowspan` may be any number.
        """
        last = len(self._grid)
        left = sorted({more for item in covered if item is not None for more in [item[1]]})
        for number, more in enumerate(left, start=1):
            self._grid.append(
                [item[0] if item is not None and item[1] >= more else None for item in covered]
            )
            for item in covered:
                if item is not None and item[1] == more:
                    item[0].rows = last + number - item[0].row
