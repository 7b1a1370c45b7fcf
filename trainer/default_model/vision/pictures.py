"""What the tower reads, as a picture: the page on the left, its characters where they were read."""

import random

import numpy as np
from PIL import Image, ImageDraw

from trainer.default_model.vision.characters import ACROSS, BLANK, DOWN, shown
from trainer.default_model.vision.tower import PATCH
from trainer.synth.fonts import choose_face, font

_ENLARGED = 3


def reading_picture(pixels: np.ndarray, classes: np.ndarray) -> Image.Image:
    """Both side by side, three times enlarged.

    Args:
        pixels: uint8 [height, width].
        classes: [rows, columns, 8] of patches, as `cell_classes` gives.
    """
    page = Image.fromarray(pixels).convert("RGB")
    page = page.resize((page.width * _ENLARGED, page.height * _ENLARGED))
    read = Image.new("RGB", page.size, "white")
    draw = ImageDraw.Draw(read)
    face = font(choose_face(random.Random(0), "mono")[0], 8 * _ENLARGED)
    rows, columns = classes.shape[:2]
    grid = classes.reshape(rows, columns, DOWN, ACROSS).transpose(0, 2, 1, 3)
    for (row, column), cell in np.ndenumerate(grid.reshape(rows * DOWN, columns * ACROSS)):
        if cell != BLANK:
            place = column * PATCH / ACROSS * _ENLARGED, row * PATCH / DOWN * _ENLARGED - 4
            draw.text(place, shown(cell), fill="black", font=face)
    both = Image.new("RGB", (page.width * 2 + 8, page.height), "grey")
    both.paste(page, (0, 0))
    both.paste(read, (page.width + 8, 0))
    return both
