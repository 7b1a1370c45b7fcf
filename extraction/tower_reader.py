"""Page -> list[Line]: the text lines of a page as the default model's own vision tower reads them.

    page -> grids of cells, a few of them shifted -> which character in which cell -> lines

The default model's tower says for each cell of a page which character stands in it. A character
that lies between two cells is seen by both or by none, and rows of print do not lie on rows of
cells. So the page is read from several grids: shifted by half a cell along the row and averaged,
and shifted by half a row and drawn closer, each line kept from the grid that read it most surely.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rapidfuzz import fuzz

from extraction.lines import LEAST_SIDE_PIXELS, Box, Line, rows
from extraction.pages import Page
from extraction.written import written_part

TOWER = "tower"  # the folder in a model's folder
FILE = "reader.xml"
CHARACTERS = " " + "".join(map(chr, range(33, 127)))
CELL_PIXELS = 32
SIDE = 48  # cells along the edge of the grid that the tower knows
WINDOW = 16  # cells along the edge of what it reads at once
_STEP = 8  # cells from one window to the next: a character is read best in a window's middle
_AROUND = 4  # cells of the page that are read around the written part
_SIDES = (48, 56)
_SHIFTS = (0.0, 0.5)
_BATCH = 12
# Fine cells are half a cell wide. A run of so many is one character, so many blanks end a piece.
_LONGEST, _GAP = 3, 7
_SPACE = 1.5  # times the usual step from one character to the next
_LEAST_SCORE = 0.4
# What a line has to have above this, summed over its characters, says which of two is kept.
_DOUBT = 0.35
# Two lines are readings of one where they share so much of the smaller one's area, or are less than
# so many rows apart and so alike (`rapidfuzz.fuzz.ratio`).
_SHARED, _APART, _ALIKE = 0.4, 0.75, 60


class TowerReader:
    """Reads pages with a default model's tower.

    One reader serves several threads, one page at a time.

    Args:
        folder: holds `reader.xml` (OpenVINO; `python -m trainer.default_model assemble` writes it):
            grey windows, uint8 [windows, 512, 512], and each cell's position in the page, int64
            [windows, 256] -> the likelihood of each of `CHARACTERS`, [windows, 256, characters].
        threads: CPU threads.
    """

    def __init__(self, folder: Path, threads: int = 2) -> None:
        import openvino

        options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        self._tower: Any = openvino.Core().compile_model(folder / FILE, "CPU", options)
        self._lock = threading.Lock()

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a folder has what is read with."""
        return (folder / FILE).is_file()

    def read(self, page: Page) -> list[Line]:
        """The lines of a page in reading order, their boxes on the page as given. Blocks."""
        if min(page.width_pixels, page.height_pixels) < LEAST_SIDE_PIXELS:
            return []
        part = written_part(page.image)
        found: list[tuple[float, Line]] = []
        with self._lock:
            for side in _SIDES:
                for down in _SHIFTS:
                    grid = self._fine_grid(page.image, part, side, down)
                    found.extend(_lines_of(grid, part, down, page.index))
        return [line for row in rows(_surest(found)) for line in row]

    def _fine_grid(
        self, image: Image.Image, part: Box, side: int, down: float
    ) -> NDArray[np.float32]:
        """Likelihoods [side, 2 * side, characters] at half cells along the row."""
        here, right = (self._grid(image, part, side, (shift, down)) for shift in _SHIFTS)
        fine = np.repeat(here, 2, axis=1)
        # A cell of the second grid begins half a cell further right.
        fine[:, 1:] = (fine[:, 1:] + np.repeat(right, 2, axis=1)[:, :-1]) / 2
        return fine

    def _grid(
        self, image: Image.Image, part: Box, side: int, shift: tuple[float, float]
    ) -> NDArray[np.float32]:
        """Likelihoods [side, side, characters]; windows overlap, their middles count most."""
        pixels = _canvas(image, part, side, shift)
        cells = side + 2 * _AROUND
        corners = [(top, left) for top in _starts(cells) for left in _starts(cells)]
        windows = [_window(pixels, *corner) for corner in corners]
        places = [_positions(*corner, side) for corner in corners]
        ramp = np.minimum(np.arange(WINDOW) + 1, WINDOW - np.arange(WINDOW))
        weight = np.outer(ramp, ramp)[:, :, None].astype(np.float32)
        summed = np.zeros((cells, cells, len(CHARACTERS)), np.float32)
        weights = np.zeros((cells, cells, 1), np.float32)
        for first in range(0, len(corners), _BATCH):
            chunk = slice(first, first + _BATCH)
            read = self._tower((np.stack(windows[chunk]), np.stack(places[chunk])))[0]
            for (top, left), window in zip(corners[chunk], read, strict=True):
                at = np.s_[top : top + WINDOW, left : left + WINDOW]
                summed[at] += weight * window.reshape(WINDOW, WINDOW, -1)
                weights[at] += weight
        inner = slice(_AROUND, -_AROUND)
        likelihoods: NDArray[np.float32] = (summed / weights)[inner, inner]
        return likelihoods


def _canvas(
    image: Image.Image, part: Box, side: int, shift: tuple[float, float]
) -> NDArray[np.uint8]:
    """The written part and what is around it, grey, `CELL_PIXELS` a cell; edges are drawn on."""
    grey = image.convert("L")
    wide, high = part.width * grey.width / side, part.height * grey.height / side
    around = int(max(wide, high) * (_AROUND + 1)) + 1
    padded = Image.fromarray(np.pad(np.asarray(grey), around, mode="edge"))
    left = around + part.left * grey.width + (shift[0] - _AROUND) * wide
    top = around + part.top * grey.height + (shift[1] - _AROUND) * high
    cells = side + 2 * _AROUND
    size = (cells * CELL_PIXELS, cells * CELL_PIXELS)
    box = (left, top, left + cells * wide, top + cells * high)
    return np.asarray(padded.resize(size, Image.Resampling.LANCZOS, box=box))


def _starts(cells: int) -> list[int]:
    return sorted({*range(0, cells - WINDOW, _STEP), cells - WINDOW})


def _window(pixels: NDArray[np.uint8], top: int, left: int) -> NDArray[np.uint8]:
    first, last = np.array([top, left]) * CELL_PIXELS, np.array([top, left]) * CELL_PIXELS
    last = last + WINDOW * CELL_PIXELS
    return pixels[first[0] : last[0], first[1] : last[1]]


def _positions(top: int, left: int, side: int) -> NDArray[np.int64]:
    """Where a window's cells would lie in the tower's own grid."""
    first = [
        min(max(0, edge - _AROUND) * SIDE // max(side, SIDE), SIDE - WINDOW) for edge in (top, left)
    ]
    down, along = (edge + np.arange(WINDOW) for edge in first)
    return (down[:, None] * SIDE + along[None, :]).ravel()


def _lines_of(
    grid: NDArray[np.float32], part: Box, down: float, page: int
) -> Iterator[tuple[float, Line]]:
    """Lines of a fine grid, each with how much speaks for it."""
    side, wide = grid.shape[:2]
    read, sure = grid.argmax(axis=2), grid.max(axis=2)
    for row in range(side):
        for first, last, text, scores in _texts(read[row], sure[row]):
            box = Box(
                part.left + first / wide * part.width,
                part.top + (row + down) / side * part.height,
                part.left + last / wide * part.width,
                part.top + (row + down + 1) / side * part.height,
            )
            score = float(np.mean(scores))
            if score >= _LEAST_SCORE:
                worth = float(np.sum(np.array(scores) - _DOUBT))
                yield worth, Line(text, _inside(box), score, page)


def _texts(
    read: NDArray[np.int64], sure: NDArray[np.float32]
) -> Iterator[tuple[int, int, str, list[float]]]:
    """First and last fine cell, text, and each character's score, of the pieces of a row."""
    edges = [0, *(np.flatnonzero(np.diff(read)) + 1).tolist(), len(read)]
    runs = [_Run(*run, CHARACTERS[read[run[0]]]) for run in pairwise(edges) if read[run[0]]]
    piece: list[_Run] = []
    for run in runs:
        if piece and run.start - piece[-1].end >= _GAP:
            yield _piece(piece, sure)
            piece = []
        piece.append(run)
    if piece:
        yield _piece(piece, sure)


class _Run(NamedTuple):
    """Fine cells in which the same character is seen."""

    start: int
    end: int
    character: str

    @property
    def times(self) -> int:
        """How often it stands there."""
        length = self.end - self.start
        return 1 if length <= _LONGEST else round(length / 2)


def _piece(runs: Sequence[_Run], sure: NDArray[np.float32]) -> tuple[int, int, str, list[float]]:
    """A piece of a row; there is a space where characters stand further apart than most do."""
    steps = [(b.start + b.end - a.start - a.end) / 2 for a, b in pairwise(runs)]
    widest = _SPACE * float(np.median(steps)) if steps else 0.0
    text = runs[0].character * runs[0].times
    for run, step in zip(runs[1:], steps, strict=True):
        text += " " * (step >= widest) + run.character * run.times
    scores = [float(sure[run.start : run.end].max()) for run in runs for _ in range(run.times)]
    return runs[0].start, runs[-1].end, text, scores


def _surest(found: Sequence[tuple[float, Line]]) -> list[Line]:
    """Of lines that are readings of one, the one that most speaks for."""
    kept: list[Line] = []
    for _, line in sorted(found, key=lambda one: -one[0]):
        if not any(_is_same(line, other) for other in kept):
            kept.append(line)
    return kept


def _is_same(one: Line, other: Line) -> bool:
    """Boxes that share much, or the halves of large print, which say alike."""
    a, b = one.box, other.box
    wide = min(a.right, b.right) - max(a.left, b.left)
    if wide <= 0:
        return False
    high = min(a.bottom, b.bottom) - max(a.top, b.top)
    if high > 0 and wide * high > _SHARED * min(a.area, b.area):
        return True
    beside = -high < _APART * min(a.height, b.height)
    return beside and fuzz.ratio(one.text, other.text) > _ALIKE


def _inside(box: Box) -> Box:
    return replace(box, right=min(box.right, 1.0), bottom=min(box.bottom, 1.0))
