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


@dataclass(frozen=True, slots=True)
class Run:
    """A text at its place.

    Attributes:
        text: what is printed.
        x: where the pen starts, in pixels.
        y: the height that `anchor` names, in pixels.
        face: path of the font file.
        size_pixels: of the type.
        anchor: Pillow's name of the place: "ls" is the baseline's start, "la" the top left corner.
    """

    text: str
    x: float
    y: float
    face: str
    size_pixels: int
    anchor: str = "ls"

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the ink, in pixels."""
        type_ = font(self.face, self.size_pixels)
        left, top, right, bottom = type_.getbbox(self.text, anchor=self.anchor)
        return self.x + left, self.y + top, self.x + right, self.y + bottom


@dataclass(frozen=True, slots=True)
class Strip:
    """A laid out sheet.

    Attributes:
        width: in pixels.
        height: in pixels.
        paper: grey value of the paper.
        ink: grey value of the ink.
        runs: the printed texts, top to bottom and left to right.
        rules: rows of repeated signs, which are no text.
    """

    width: int
    height: int
    paper: int
    ink: int
    runs: tuple[Run, ...]
    rules: tuple[Run, ...]

    def printed(self, paper: int, ink: int) -> Image.Image:
        """The strip in two grey values, mode "L"."""
        image = Image.new("L", (self.width, self.height), paper)
        pen = ImageDraw.Draw(image)
        for run in (*self.rules, *self.runs):
            type_ = font(run.face, run.size_pixels)
            pen.text((run.x, run.y), run.text, ink, type_, anchor=run.anchor)
        return image


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
        strip = self.lay_out(rng)
        boxes = [run.box for run in strip.runs]
        lines = [
            true_line(run.text, box, strip.width, strip.height)
            for run, box in zip(strip.runs, boxes, strict=True)
        ]
        return strip.printed(strip.paper, strip.ink).convert("RGB"), lines

    def lay_out(self, rng: random.Random) -> Strip:
        """Where everything stands in a type that is drawn from `rng`."""
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
        runs: list[Run] = []
        rules: list[Run] = []
        y = top
        for row, tall in zip(self._rows, heights, strict=True):
            baseline = y + tall - 0.28 * pitch
            if row.rule:
                count = max(1, int(printable / font(regular, size).getlength(row.rule)))
                rules.append(Run(row.rule * count, margin, baseline, regular, size))
            elif row.cells:
                face = bold if row.bold else regular
                runs += _place_row(row, face, size, margin, printable, baseline)
            y += tall
        return Strip(width, height, paper, ink, tuple(runs), tuple(rules))


def _place_row(
    row: Row, face: str, size: int, margin: float, printable: int, baseline: float
) -> list[Run]:
    """The cells in the largest type in which none touches the next."""
    shrink = row.scale
    while True:
        pixels = max(8, round(size * shrink))
        type_ = font(face, pixels)
        starts = _starts(row.cells, type_, printable)
        if shrink <= _SMALLEST or _clear(row.cells, starts, type_, printable):
            break
        shrink *= 0.93
    return [
        Run(cell.text, margin + max(0.0, start), baseline, face, pixels)
        for cell, start in zip(row.cells, starts, strict=True)
    ]


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
