"""A strip of receipt paper: rows of cells, drawn once they are all known."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from extraction.lines import Line
from trainer.synth.dice import chance, weighted
from trainer.synth.document import true_line
from trainer.synth.fonts import choose_face, font

_SAMPLE = "TOTAL AMOUNT 0123456789"
_SMALLEST = 0.55


@dataclass(frozen=True)
class Cell:
    """A run of text that is read as one line.

    Attributes:
        text: what is printed.
        x: the anchor as a ratio of the printable width.
        align: which end of the text stands on the anchor: "left", "centre" or "right".
    """

    text: str
    x: float = 0.0
    align: str = "left"


@dataclass(frozen=True)
class Row:
    """Cells on one baseline; `scale` multiplies the type size, `gap` is space above, in lines."""

    cells: tuple[Cell, ...]
    scale: float = 1.0
    bold: bool = False
    gap: float = 0.0
    rule: str = ""


class Sheet:
    """Collects rows, then draws them.

    Args:
        columns: how many average capitals fit the printable width.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self._rows: list[Row] = []

    def add(self, *cells: Cell, scale: float = 1.0, bold: bool = False, gap: float = 0.0) -> None:
        """One row; empty cells are left out."""
        printed = tuple(cell for cell in cells if cell.text)
        if printed:
            self._rows.append(Row(printed, scale, bold, gap))

    def rule(self, sign: str) -> None:
        """A ruled row of repeated signs; no text line."""
        self._rows.append(Row((), rule=sign))

    def space(self, lines: float) -> None:
        """Empty paper."""
        self._rows.append(Row((), gap=lines - 1))

    def draw(self, rng: random.Random) -> tuple[Image.Image, list[Line]]:
        """The paper and its true lines, top to bottom and left to right."""
        family = weighted(rng, {"mono": 0.6, "sans": 0.36, "serif": 0.04})
        regular, bold = choose_face(rng, family)
        if chance(rng, 0.12):
            regular = bold
        size = rng.randint(16, 27)
        sample = font(regular, size).getlength(_SAMPLE) / len(_SAMPLE)
        printable = round(sample * self.columns)
        margin = rng.uniform(0.02, 0.14) * printable
        pitch = size * rng.uniform(1.12, 1.5)
        heights = [pitch * (row.scale + row.gap) for row in self._rows]
        top, bottom = rng.uniform(0.8, 4) * pitch, rng.uniform(0.8, 5) * pitch
        width, height = round(printable + 2 * margin), round(sum(heights) + top + bottom)
        paper, ink = rng.randint(232, 255), rng.randint(0, 70)
        image = Image.new("L", (width, height), paper)
        pen = ImageDraw.Draw(image)
        lines: list[Line] = []
        y = top
        for row, tall in zip(self._rows, heights, strict=True):
            baseline = y + tall - 0.28 * pitch
            if row.rule:
                count = max(1, int(printable / font(regular, size).getlength(row.rule)))
                pen.text(
                    (margin, baseline), row.rule * count, ink, font(regular, size), anchor="ls"
                )
            elif row.cells:
                face = bold if row.bold else regular
                for text, box in _draw_row(
                    pen,
                    row,
                    face=face,
                    size=size,
                    margin=margin,
                    printable=printable,
                    baseline=baseline,
                    ink=ink,
                ):
                    lines.append(true_line(text, box, width, height))
            y += tall
        return image.convert("RGB"), lines


def _draw_row(
    pen: ImageDraw.ImageDraw,
    row: Row,
    *,
    face: str,
    size: int,
    margin: float,
    printable: int,
    baseline: float,
    ink: int,
) -> list[tuple[str, tuple[float, float, float, float]]]:
    """Draws the cells in the largest type in which none touches the next; returns ink boxes."""
    shrink = row.scale
    while True:
        type_ = font(face, max(8, round(size * shrink)))
        starts = _starts(row.cells, type_, printable)
        if shrink <= _SMALLEST or _clear(row.cells, starts, type_, printable):
            break
        shrink *= 0.93
    drawn = []
    for cell, start in zip(row.cells, starts, strict=True):
        place = (margin + max(0.0, start), baseline)
        pen.text(place, cell.text, ink, type_, anchor="ls")
        drawn.append((cell.text, pen.textbbox(place, cell.text, type_, anchor="ls")))
    return drawn


def _starts(cells: Sequence[Cell], type_: ImageFont.FreeTypeFont, printable: int) -> list[float]:
    shift = {"left": 0.0, "centre": 0.5, "right": 1.0}
    return [cell.x * printable - shift[cell.align] * type_.getlength(cell.text) for cell in cells]


def _clear(
    cells: Sequence[Cell], starts: Sequence[float], type_: ImageFont.FreeTypeFont, printable: int
) -> bool:
    end, space = -1.0, type_.getlength("0") * 0.8
    for cell, start in zip(cells, starts, strict=True):
        if start < end - 0.5:
            return False
        end = start + type_.getlength(cell.text) + space
    return starts[0] >= -1 and end - space <= printable + 1
