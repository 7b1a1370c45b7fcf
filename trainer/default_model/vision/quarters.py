"""A drawn tile as four pieces of 256 x 256 pixels: what the stages on tiles learn from."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from trainer.default_model.vision.tower import PATCH, SIDE

PIECE = 256
ACROSS = PIECE // PATCH  # patches along a piece's edge


@dataclass(frozen=True, slots=True)
class Quarter:
    """One piece of a tile.

    Attributes:
        pixels: uint8 [256, 256], grey.
        places: int64 [patches], each patch's position in its tile, row by row.
        rows: of the tile's patches.
        columns: likewise.
    """

    pixels: np.ndarray
    places: np.ndarray
    rows: slice
    columns: slice


def quarters_of(tile: Image.Image) -> Iterator[Quarter]:
    """The four pieces, row by row."""
    pixels = np.asarray(tile.convert("L"))
    places = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    sides = [slice(start, start + ACROSS) for start in range(0, SIDE, ACROSS)]
    for rows in sides:
        for columns in sides:
            top, left = rows.start * PATCH, columns.start * PATCH
            piece = pixels[top : top + PIECE, left : left + PIECE]
            yield Quarter(piece, places[rows, columns].reshape(-1), rows, columns)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Grey bytes [batch, height, width] -> [batch, 3, height, width] in -1..1, as the processor."""
    return (pixels.float() / 127.5 - 1.0)[:, None].expand(-1, 3, -1, -1)
