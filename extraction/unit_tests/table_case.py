"""`table`: a cell stands in a table, beside the cells that it should."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

from extraction.unit_tests.cases import PASSED, Case, InvalidCase, Verdict, failed, threshold
from extraction.unit_tests.normalise import normalise
from extraction.unit_tests.page import Page
from extraction.unit_tests.tables import Cell, Table

_LEAST_SIMILARITY = 0.5
_RELATIONS: dict[str, Callable[[Table, Cell], list[Cell]]] = {
    "up": lambda table, cell: table.beside(cell, "up"),
    "down": lambda table, cell: table.beside(cell, "down"),
    "left": lambda table, cell: table.beside(cell, "left"),
    "right": lambda table, cell: table.beside(cell, "right"),
    "left_heading": lambda table, cell: table.headings(cell, "left"),
    "top_heading": lambda table, cell: table.headings(cell, "up"),
}


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
        for name in ("cell", *_RELATIONS):
            self.set(name, normalise(getattr(self, name) or ""))

    def check(self, page: Page) -> Verdict:
        """Whether one cell of one table has the text and all of the relations."""
        tables = [] if self.ignore_markdown_tables else page.markdown_tables
        tables = [*tables, *page.html_tables]
        if not tables:
            return failed("no table on the page")
        reasons: list[str] = []
        for table in tables:
            for cell in table.cells:
                if self._is_like(self.cell, cell.text):
                    wrong = self._wrong(table, cell)
                    if not wrong:
                        return PASSED
                    reasons += wrong
        if reasons:
            return failed("; ".join(reasons))
        return failed(f"no cell '{self.cell}' in {_counted(tables)}")

    def _wrong(self, table: Table, cell: Cell) -> list[str]:
        """Of each relation that does not hold, what stands there."""
        reasons = []
        for name, relation in _RELATIONS.items():
            expected = getattr(self, name)
            if not expected:
                continue
            texts = [other.text for other in relation(table, cell)]
            if not any(self._is_like(expected, text) for text in texts):
                found = " or ".join(f"'{text}'" for text in texts) or "nothing"
                reasons.append(f"{name} of '{cell.text}' is {found}, not '{expected}'")
        return reasons

    def _is_like(self, expected: str, text: str) -> bool:
        """Indel similarity of at least 1 - max_diffs / length, and never less than a half."""
        least = max(_LEAST_SIMILARITY, threshold(len(expected), self.max_diffs))
        return fuzz.ratio(expected, text) / 100 >= least


def _counted(tables: Sequence[Table]) -> str:
    return "the table" if len(tables) == 1 else f"{len(tables)} tables"
