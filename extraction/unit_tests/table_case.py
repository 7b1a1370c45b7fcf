"""`table`: a cell stands in a table, beside the cells that it should."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rapidfuzz import fuzz

from extraction.unit_tests.cases import PASSED, Case, InvalidCase, Verdict, failed, threshold
from extraction.unit_tests.normalise import normalise
from extraction.unit_tests.page import Page
from extraction.unit_tests.tables import Cell, Direction, HeadingDirection, Table

_LEAST_SIMILARITY = 0.5
_BESIDE: dict[str, Direction] = {"up": "up", "down": "down", "left": "left", "right": "right"}
_HEADINGS: dict[str, HeadingDirection] = {"top_heading": "up", "left_heading": "left"}
# A page with a thousand equal cells needs no thousand reasons.
_MOST_REASONS = 5


@dataclass(frozen=True, kw_only=True)
class TableCell(Case):
    """A cell and its neighbours; an empty relation is not checked.

    Attributes:
        cell: its text.
        up: the text of a cell next above it.
        down: next below it.
        left: next to its left.
        right: next to its right.
        top_heading: of a heading above it, however far; of the topmost cell where none is marked.
        left_heading: of one to its left; of the leftmost cell where none is marked.
        ignore_markdown_tables: whether only HTML counts.
    """

    cell: str
    up: str = ""
    down: str = ""
    left: str = ""
    right: str = ""
    top_heading: str = ""
    left_heading: str = ""
    ignore_markdown_tables: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.cell, str):
            raise InvalidCase(self.id, "`cell` is no text")
        for name in ("cell", *_BESIDE, *_HEADINGS):
            self.set(name, normalise(getattr(self, name) or ""))

    def check(self, page: Page) -> Verdict:
        """Whether one cell of one table has the text and all of the relations."""
        tables = [] if self.ignore_markdown_tables else page.markdown_tables
        tables = [*tables, *page.html_tables]
        if not tables:
            return failed("no table on the page")
        reasons: list[str] = []
        for table in tables:
            cells = [cell for cell in table.cells if self._is_like(self.cell, cell.text)]
            if cells and self._any_holds(table, cells):
                return PASSED
            for cell in cells[: _MOST_REASONS - len(reasons)]:
                reasons += self._reasons(table, cell)
        if reasons:
            return failed("; ".join(reasons))
        return failed(f"no cell '{self.cell}' in {_counted(tables)}")

    def _any_holds(self, table: Table, cells: list[Cell]) -> bool:
        """Whether a cell has every relation that is asked for."""
        left = set(cells)
        for name, direction in _BESIDE.items():
            if expected := getattr(self, name):
                left = {c for c in left if self._any_like(expected, table.beside(c, direction))}
        for name, heading_direction in _HEADINGS.items():
            if left and (expected := getattr(self, name)):
                left &= table.under_heading(heading_direction, partial(self._heads, expected))
        return bool(left)

    def _reasons(self, table: Table, cell: Cell) -> list[str]:
        """Of each relation that does not hold, what stands there."""
        around: dict[str, Sequence[Cell]] = {
            name: table.beside(cell, direction) for name, direction in _BESIDE.items()
        }
        for name, heading_direction in _HEADINGS.items():
            if getattr(self, name):
                around[name] = table.headings(cell, heading_direction)
        return [
            f"{name} of '{cell.text}' is {_listed(others)}, not '{getattr(self, name)}'"
            for name, others in around.items()
            if getattr(self, name) and not self._any_like(getattr(self, name), others)
        ]

    def _any_like(self, expected: str, cells: Sequence[Cell]) -> bool:
        return any(self._is_like(expected, cell.text) for cell in cells)

    def _heads(self, expected: str, cell: Cell) -> bool:
        return self._is_like(expected, cell.text)

    def _is_like(self, expected: str, text: str) -> bool:
        """Indel similarity of at least 1 - max_diffs / length, and never less than a half."""
        least = max(_LEAST_SIMILARITY, threshold(len(expected), self.max_diffs))
        return fuzz.ratio(expected, text) / 100 >= least


def _listed(cells: Sequence[Cell]) -> str:
    return " or ".join(f"'{cell.text}'" for cell in cells[:_MOST_REASONS]) or "nothing"


def _counted(tables: Sequence[Table]) -> str:
    return "the table" if len(tables) == 1 else f"{len(tables)} tables"
