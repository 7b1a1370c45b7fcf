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
from extraction.written import dense_part, written_part

TOWER = "tower"  # the folder in a model's folder
FILE = "reader.xml"
# Not OpenVINO's "reader.bin": a model folder with such a file is refused, it may be a pickle.
WEIGHTS = "reader.weights"
CHARACTERS = " " + "".join(map(chr, range(33, 127)))
CELL_PIXELS = 32
SIDE = 48  # cells along the edge of the grid that the tower knows
WINDOW = 16  # cells along the edge of what it reads at once
_STEP = 8  # cells from one window to the next: a character is read best in a window's middle
_AROUND = 4  # cells of the page that are read around the written part
_COLUMNS = (24, 32, 48, 56)
# So many grids are looked at closely, if they give so much of what the best one gives.
_BEST, _NEARLY = 2, 0.8
# A cell is at least so high for its width. On a page of few lines the tower's own, square grid has
# a letter in many cells.
_LEAST_RATIO = 1.3
_MUCH_LESS = 0.8  # a part or a number of rows below this share of another is tried beside it
_HALF = 0.5
_BATCH = 12
_LEAST_ROWS = WINDOW - 2 * _AROUND
# Fine cells are half a cell wide; so many blanks end a piece.
_GAP, _LEAST_STEP = 7, 2.0
_AGAIN = 0.4  # a run of 1.6 usual steps is two characters
_SPACE = 1.5  # times the usual step from one character to the next
_LEAST_SCORE = 0.4
# What a line has to have above this, summed over its characters, says which of two is kept.
_DOUBT = 0.35
# Two lines are readings of one where they share so much of the smaller one's area, or are less than
# so many rows apart and so alike (`rapidfuzz.fuzz.ratio`).
_SHARED, _APART, _ALIKE = 0.4, 0.75, 60
# Of one with less than this share of the other's worth, this much of its area is enough.
_FAINT, _TOUCHING = 0.3, 0.1


class _Looked(NamedTuple):
    """A part of a page in so many rows and columns, and the likelihoods there, unshifted."""

    part: Box
    size: tuple[int, int]
    level: NDArray[np.float32]


class TowerReader:
    """Reads pages with a default model's tower.

    One reader serves several threads, one page at a time.

    Args:
        folder: holds `reader.xml` and `reader.weights` for OpenVINO, as
            `python -m trainer.default_model assemble` writes them. Grey windows, uint8
            [windows, 512, 512], and each cell's position in the page, int64 [windows, 256] ->
            the likelihood of each of `CHARACTERS`, [windows, 256, characters].
        threads: CPU threads.
    """

    def __init__(self, folder: Path, threads: int = 2) -> None:
        import openvino

        options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        core = openvino.Core()
        model = core.read_model(folder / FILE, folder / WEIGHTS)
        self._tower: Any = core.compile_model(model, "CPU", options)
        self._lock = threading.Lock()

    @staticmethod
    def is_in(folder: Path) -> bool:
        """Whether a folder has what is read with."""
        return (folder / FILE).is_file() and (folder / WEIGHTS).is_file()

    def read(self, page: Page) -> list[Line]:
        """The lines of a page in reading order, their boxes on the page as given. Blocks."""
        if min(page.width_pixels, page.height_pixels) < LEAST_SIDE_PIXELS:
            return []
        found: list[tuple[float, Line]] = []
        with self._lock:
            for part, size, level in self._best_grids(page):
                for down in (0.0, _HALF):
                    here = self._grid(page.image, part, size, (0.0, down)) if down else level
                    right = self._grid(page.image, part, size, (_HALF, down))
                    found.extend(_lines_of(_fine(here, right), part, down, page.index))
        return [line for row in rows(_surest(found)) for line in row]

    def _best_grids(self, page: Page) -> list[_Looked]:
        """The grids in which most is read: a letter of another size than a cell is not."""
        worth: list[tuple[float, _Looked]] = []
        for part, size in _grids(page):
            level = self._grid(page.image, part, size, (0.0, 0.0))
            lines = _lines_of(np.repeat(level, 2, axis=1), part, 0.0, page.index)
            worth.append((sum(much for much, _ in lines), _Looked(part, size, level)))
        best = sorted(worth, key=lambda one: -one[0])[:_BEST]
        return [looked for much, looked in best if much >= _NEARLY * best[0][0]]

    def _grid(
        self, image: Image.Image, part: Box, size: tuple[int, int], shift: tuple[float, float]
    ) -> NDArray[np.float32]:
        """Likelihoods [rows, columns, characters]; windows overlap, their middles count most."""
        pixels = _canvas(image, part, size, shift)
        high, wide = (cells + 2 * _AROUND for cells in size)
        corners = [(top, left) for top in _starts(high) for left in _starts(wide)]
        windows = [_window(pixels, *corner) for corner in corners]
        places = [_positions(corner, size) for corner in corners]
        ramp = np.minimum(np.arange(WINDOW) + 1, WINDOW - np.arange(WINDOW))
        weight = np.outer(ramp, ramp)[:, :, None].astype(np.float32)
        summed = np.zeros((high, wide, len(CHARACTERS)), np.float32)
        weights = np.zeros((high, wide, 1), np.float32)
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


def _fine(here: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Likelihoods [rows, 2 * columns, characters] at half cells along the row.

    Args:
        here: [rows, columns, characters].
        right: the same of the grid whose cells begin half a cell further right.
    """
    fine = np.repeat(here, 2, axis=1)
    fine[:, 1:] = (fine[:, 1:] + np.repeat(right, 2, axis=1)[:, :-1]) / 2
    return fine


def _grids(page: Page) -> Iterator[tuple[Box, tuple[int, int]]]:
    """Parts of a page, and rows and columns of the grids that they are read from."""
    part, dense = written_part(page.image), dense_part(page.image)
    parts = (part, dense) if dense.area < _MUCH_LESS * part.area else (part,)
    for one in parts:
        for size in _sizes(one, page):
            yield one, size


def _sizes(part: Box, page: Page) -> Iterator[tuple[int, int]]:
    """Rows and columns of the grids of a part."""
    ratio = part.height * page.height_pixels / max(part.width * page.width_pixels, 1)
    for columns in _COLUMNS:
        fewer = max(_LEAST_ROWS, round(columns * ratio / _LEAST_RATIO))
        if fewer < _MUCH_LESS * columns:
            yield fewer, columns
        yield columns, columns


def _canvas(
    image: Image.Image, part: Box, size: tuple[int, int], shift: tuple[float, float]
) -> NDArray[np.uint8]:
    """The written part and what is around it, grey, `CELL_PIXELS` a cell; edges are drawn on."""
    grey = image.convert("L")
    wide, high = part.width * grey.width / size[1], part.height * grey.height / size[0]
    around = int(max(wide, high) * (_AROUND + 1)) + 1
    padded = Image.fromarray(np.pad(np.asarray(grey), around, mode="edge"))
    left = around + part.left * grey.width + (shift[0] - _AROUND) * wide
    top = around + part.top * grey.height + (shift[1] - _AROUND) * high
    down, along = (cells + 2 * _AROUND for cells in size)
    box = (left, top, left + along * wide, top + down * high)
    drawn = padded.resize(
        (along * CELL_PIXELS, down * CELL_PIXELS), Image.Resampling.LANCZOS, box=box
    )
    return np.asarray(drawn)


def _starts(cells: int) -> list[int]:
    return sorted({*range(0, cells - WINDOW, _STEP), cells - WINDOW})


def _window(pixels: NDArray[np.uint8], top: int, left: int) -> NDArray[np.uint8]:
    down, along = (slice(e * CELL_PIXELS, (e + WINDOW) * CELL_PIXELS) for e in (top, left))
    return pixels[down, along]


def _positions(corner: tuple[int, int], size: tuple[int, int]) -> NDArray[np.int64]:
    """Where a window's cells would lie in the tower's own grid."""
    first = [
        min(max(0, edge - _AROUND) * SIDE // max(cells, SIDE), SIDE - WINDOW)
        for edge, cells in zip(corner, size, strict=True)
    ]
    down, along = (edge + np.arange(WINDOW) for edge in first)
    return (down[:, None] * SIDE + along[None, :]).ravel()


def _lines_of(
    grid: NDArray[np.float32], part: Box, down: float, page: int
) -> Iterator[tuple[float, Line]]:
    """Lines of a fine grid, each with how much speaks for it."""
    high, wide = grid.shape[:2]
    read, sure = grid.argmax(axis=2), grid.max(axis=2)
    for row in range(high):
        for first, last, text, scores in _texts(read[row], sure[row]):
            box = Box(
                part.left + first / wide * part.width,
                part.top + (row + down) / high * part.height,
                part.left + last / wide * part.width,
                part.top + (row + down + 1) / high * part.height,
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

    def times(self, step: float) -> int:
        """How often it stands there, where so many fine cells lie from one to the next."""
        return max(1, int((self.end - self.start) / step + _AGAIN))


def _piece(runs: Sequence[_Run], sure: NDArray[np.float32]) -> tuple[int, int, str, list[float]]:
    """A piece of a row; there is a space where characters stand further apart than most do."""
    steps = [(b.start + b.end - a.start - a.end) / 2 for a, b in pairwise(runs)]
    usual = max(float(np.median(steps)), _LEAST_STEP) if steps else _LEAST_STEP
    text = runs[0].character * runs[0].times(usual)
    for run, step in zip(runs[1:], steps, strict=True):
        text += " " * (step >= _SPACE * usual) + run.character * run.times(usual)
    scores = [
        float(sure[run.start : run.end].max()) for run in runs for _ in range(run.times(usual))
    ]
    return runs[0].start, runs[-1].end, text, scores


def _surest(found: Sequence[tuple[float, Line]]) -> list[Line]:
    """Of lines that are readings of one, the one that most speaks for."""
    kept: list[tuple[float, Line]] = []
    for worth, line in sorted(found, key=lambda one: -one[0]):
        if not any(_is_same(line, other, worth / much) for much, other in kept):
            kept.append((worth, line))
    return [line for _, line in kept]


def _is_same(one: Line, other: Line, share: float) -> bool:
    """Boxes that share much, a faint one that touches another, halves of print that say alike."""
    a, b = one.box, other.box
    wide = min(a.right, b.right) - max(a.left, b.left)
    if wide <= 0:
        return False
    high = min(a.bottom, b.bottom) - max(a.top, b.top)
    least = _SHARED if share > _FAINT else _TOUCHING
    if high > 0 and wide * high > least * min(a.area, b.area):
        return True
    beside = -high < _APART * min(a.height, b.height)
    return beside and fuzz.ratio(one.text, other.text) > _ALIKE


def _inside(box: Box) -> Box:
    return replace(box, right=min(box.right, 1.0), bottom=min(box.bottom, 1.0))
