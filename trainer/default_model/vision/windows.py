"""Windows of 16 x 16 cells with their characters: what the tower learns from.

Half of them are of real receipts, with the characters where our OCR saw them
(`read_characters.py`), half of tiles that are drawn here with every glyph's place. Attention grows
with the square of the cells, and a character is read from what is near.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch.utils.data import Dataset

from extraction.tower_reader import SIDE
from trainer.default_model.vision.grid import UNKNOWN, place_characters
from trainer.default_model.vision.read_characters import ReadPage
from trainer.default_model.vision.tower import PATCH
from trainer.synth.dice import chance
from trainer.synth.vision.glyphs import make_tile
from trainer.synth.vision.plate import Glyphs

WINDOW = 16  # cells along a window's edge
_DRAWN_TILE = 512  # pixels
_OF_DRAWING, _OF_PAGE = 4, 2  # windows of one tile, and of one receipt, in a step
_FEWEST = 8  # characters of a drawing that is used
# How many cells a drawn character is wide and a line of them high; receipts are 0.95 to 1.6 and
# 0.75 to 1.9.
_CELLS_WIDE, _CELLS_HIGH = (0.95, 1.6), (0.75, 1.9)
_ADVANCE, _PITCH = 1.3, 2.1  # of a character's ink in width, of a line's in height
_NEAR = (150, 90)  # pixels around a glyph in which print is taken for equally large


@dataclass(frozen=True, slots=True)
class Window:
    """A square of a page.

    Attributes:
        pixels: grey, 512 x 512.
        characters: int64 [16, 16], as `place_characters` gives; `UNKNOWN` where nobody knows.
        corner: row and column of its first cell in the page.
    """

    pixels: Image.Image
    characters: np.ndarray
    corner: tuple[int, int]

    def tensors(self) -> dict[str, torch.Tensor]:
        """`pixels` uint8 [512, 512], `characters` [16, 16], `places` [256] of its cells."""
        rows, columns = (np.arange(start, start + WINDOW) for start in self.corner)
        return {
            "pixels": torch.from_numpy(np.array(self.pixels)),
            "characters": torch.from_numpy(self.characters),
            "places": torch.from_numpy((rows[:, None] * SIDE + columns[None, :]).reshape(-1)),
        }


def window_of_page(page: ReadPage, rng: random.Random | None, corner: tuple[int, int]) -> Window:
    """A window of a page that our OCR read.

    Args:
        page: the page.
        rng: moves the edges of the written part a little; None leaves them.
        corner: row and column of its first cell.
    """
    left, top, right, bottom = page.part
    if rng is not None:
        wide, high = right - left, bottom - top
        left, right = left - abs(rng.gauss(0, 0.04)) * wide, right + abs(rng.gauss(0, 0.04)) * wide
        top, bottom = top - abs(rng.gauss(0, 0.04)) * high, bottom + abs(rng.gauss(0, 0.06)) * high
        if chance(rng, 0.25):
            bottom = top + (bottom - top) * rng.uniform(0.6, 0.95)
    across, down = (right - left) / SIDE, (bottom - top) / SIDE
    left, top = left + corner[1] * across, top + corner[0] * down
    width, height = page.image.size
    pixels = cut(
        page.image,
        (left * width, top * height, (left + WINDOW * across) * width,
         (top + WINDOW * down) * height),
    )  # fmt: skip
    columns, rows = (page.places[:, 0] - left) / across, (page.places[:, 1] - top) / down
    grid = place_characters(page.characters, columns, rows, (WINDOW, WINDOW))
    boxes = (page.unsure - [left, top, left, top]) / [across, down, across, down]
    for first_column, first_row, last_column, last_row in np.floor(boxes).astype(int).tolist():
        grid[max(0, first_row) : max(0, last_row + 1),
             max(0, first_column) : max(0, last_column + 1)] = UNKNOWN  # fmt: skip
    return Window(pixels, grid, corner)


def windows_of_drawing(rng: random.Random, glyphs: Glyphs, count: int) -> list[Window]:
    """Windows around glyphs of a drawing, each with print of another size; none of an empty one."""
    if len(glyphs.boxes) < _FEWEST:
        return []
    image, boxes = glyphs.image.convert("L"), glyphs.boxes
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    made = []
    for _ in range(count):
        middle = middles[rng.randrange(len(boxes))]
        near = np.all(np.abs(middles - middle) < _NEAR, axis=1)
        wide, high = np.median(boxes[near, 2:] - boxes[near, :2], axis=0).tolist()
        width = min(image.width, WINDOW * wide * _ADVANCE / rng.uniform(*_CELLS_WIDE))
        height = min(image.height, WINDOW * high * _PITCH / rng.uniform(*_CELLS_HIGH))
        left = min(max(-20.0, float(middle[0]) - rng.random() * width), image.width + 20 - width)
        top = min(max(-20.0, float(middle[1]) - rng.random() * height), image.height + 20 - height)
        columns = (middles[:, 0] - left) / width * WINDOW
        rows = (middles[:, 1] - top) / height * WINDOW
        order = np.argsort(columns, kind="stable")
        grid = place_characters(
            [glyphs.characters[index] for index in order], columns[order], rows[order],
            (WINDOW, WINDOW),
        )  # fmt: skip
        pixels = cut(image, (left, top, left + width, top + height))
        made.append(Window(pixels, grid, some_corner(rng)))
    return made


def some_corner(rng: random.Random) -> tuple[int, int]:
    """Where a window may lie in a page."""
    return rng.randint(0, SIDE - WINDOW), rng.randint(0, SIDE - WINDOW)


def cut(image: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """A box of a grey image as a window's pixels; white where it lies outside."""
    beyond = max(0.0, -box[0], -box[1], box[2] - image.width, box[3] - image.height)
    if beyond:
        margin = int(beyond) + 2
        wider = Image.new("L", (image.width + 2 * margin, image.height + 2 * margin), "white")
        wider.paste(image, (margin, margin))
        image = wider
        box = (box[0] + margin, box[1] + margin, box[2] + margin, box[3] + margin)
    edge = WINDOW * PATCH
    return image.resize((edge, edge), Image.Resampling.BICUBIC, box=box)


def worn(rng: random.Random, window: Window) -> Window:
    """The window blurred, with thicker or thinner strokes, paler or noisy, by chance."""
    pixels = window.pixels
    if chance(rng, 0.3):
        pixels = pixels.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.5)))
    if chance(rng, 0.2):
        strokes = (ImageFilter.MinFilter(3), ImageFilter.MaxFilter(3), ImageFilter.MinFilter(5))
        pixels = pixels.filter(rng.choice(strokes))
    grey: NDArray[np.float64] = np.asarray(pixels).astype(np.float64)
    if chance(rng, 0.6):
        dark, light = rng.uniform(0, 90), rng.uniform(170, 255)
        grey = dark + (light - dark) * (grey / 255) ** rng.uniform(0.6, 1.6)
    if chance(rng, 0.3):
        noise = np.random.default_rng(rng.getrandbits(32))
        grey += noise.normal(0, rng.uniform(2, 14), grey.shape)
    return replace(window, pixels=Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)))


class AskedWindows(Dataset[dict[str, torch.Tensor]]):
    """The windows of each step as one batch; the same for the same seed and index.

    Args:
        seed: of what is drawn and chosen.
        steps: how many batches.
        batch: windows of a batch.
        pages: real pages, of which half of the windows are; without any all are drawn.
    """

    def __init__(self, seed: int, steps: int, batch: int, pages: Sequence[ReadPage]) -> None:
        self._seed, self._steps, self._batch, self._pages = seed, steps, batch, pages

    def __len__(self) -> int:
        """How many steps."""
        return self._steps

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """As `together` gives."""
        rng = random.Random(f"{self._seed}/windows/{index}")
        windows: list[Window] = []
        while self._pages and len(windows) < self._batch // 2:
            page = rng.choice(self._pages)
            windows += [window_of_page(page, rng, some_corner(rng)) for _ in range(_OF_PAGE)]
        return together([worn(rng, each) for each in [*windows, *self._drawn(rng, len(windows))]])

    def _drawn(self, rng: random.Random, have: int) -> list[Window]:
        drawn: list[Window] = []
        while have + len(drawn) < self._batch:
            count = min(_OF_DRAWING, self._batch - have - len(drawn))
            drawn += windows_of_drawing(rng, make_tile(rng, _DRAWN_TILE), count)
        return drawn


def held_out_windows(seed: int, pages: Sequence[ReadPage], count: int) -> dict[str, torch.Tensor]:
    """So many windows that are never learned from: of pages, or drawn where there are none."""
    rng = random.Random(f"{seed}/held-out-windows")
    if pages:
        return together(
            [
                window_of_page(pages[number % len(pages)], None, some_corner(rng))
                for number in range(count)
            ]
        )
    drawn: list[Window] = []
    while len(drawn) < count:
        drawn += windows_of_drawing(rng, make_tile(rng, _DRAWN_TILE), _OF_DRAWING)
    return together(drawn[:count])


def together(windows: Sequence[Window]) -> dict[str, torch.Tensor]:
    """Windows as one batch."""
    made = [window.tensors() for window in windows]
    return {name: torch.stack([each[name] for each in made]) for name in made[0]}
