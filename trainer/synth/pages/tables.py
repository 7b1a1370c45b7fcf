"""Tables of figures with heads that span columns and rows."""

from collections.abc import Sequence
from decimal import Decimal

from trainer.synth.dice import chance
from trainer.synth.pages.blocks import Cell, Table
from trainer.synth.pages.writer import Writer

_STYLES = ("grid", "rules", "zebra", "plain")


def table_style(writer: Writer) -> str:
    """How a table looks."""
    return writer.rng.choice(_STYLES)


def figures_table(writer: Writer, caption: str, row_count: int, *, wide: bool = True) -> Table:
    """Years by regions, with a head of one or two rows; a row of sums, or a cell over two rows.

    Args:
        writer: of the page.
        caption: above the table.
        row_count: rows of figures.
        wide: whether there is room for a head of two rows.
    """
    rng = writer.rng
    names = ["north", "south", "east", "west"]
    columns = [writer.label(name) for name in (names if wide else names[:2])]
    grouped = wide and chance(rng, 0.6)
    rows = _grouped(writer, columns) if grouped else _plain_head(writer, columns)
    values = [[_value(writer) for _ in columns] for _ in range(row_count)]
    first = rng.randint(1960, 2010)
    for step, figures in enumerate(values):
        rows.append([Cell(str(first + step), head=True), *(_figure(writer, v) for v in figures)])
    if chance(rng, 0.5):
        sums = [sum(column, Decimal(0)) for column in zip(*values, strict=True)]
        rows.append([Cell(writer.label("total"), head=True), *(_figure(writer, v) for v in sums)])
    elif row_count > 2 and chance(rng, 0.5):  # noqa: PLR2004 two rows share a cell, others do not
        at = len(rows) - row_count + rng.randrange(row_count - 1)
        rows[at][-1] = Cell(rows[at][-1].text, down=2, css="right")
        rows[at + 1].pop()
    return Table(rows, caption, table_style(writer))


def _plain_head(writer: Writer, columns: Sequence[str]) -> list[list[Cell]]:
    return [[Cell(writer.label("year"), head=True), *map(_right_head, columns)]]


def _grouped(writer: Writer, columns: Sequence[str]) -> list[list[Cell]]:
    half = len(columns) // 2
    return [
        [
            Cell(writer.label("year"), head=True, down=2),
            Cell(writer.label("first_half"), head=True, across=half),
            Cell(writer.label("second_half"), head=True, across=len(columns) - half),
        ],
        [_right_head(text) for text in columns],
    ]


def _value(writer: Writer) -> Decimal:
    return Decimal(writer.rng.randint(100, 999_999)) / 10


def _figure(writer: Writer, value: Decimal) -> Cell:
    return Cell(writer.number(value), css="right")


def _right_head(text: str) -> Cell:
    return Cell(text, head=True, css="right")
