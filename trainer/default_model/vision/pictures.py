"""What the tower reads, as a picture: the page on the left, its characters where they were read."""

import random

import numpy as np
from PIL import Image, ImageDraw

from extraction.tower_reader import CHARACTERS
from trainer.synth.fonts import choose_face, font

_BLANK = 0


def reading_picture(pixels: np.ndarray, grid: np.ndarray) -> Image.Image:
    """Both side by side.

    Args:
        pixels: uint8 [height, width], a whole number of pixels for each cell.
        grid: [rows, columns], as `place_characters` gives.
    """
    page = Image.fromarray(pixels).convert("RGB")
    read = Image.new("RGB", page.size, "white")
    draw, edge = ImageDraw.Draw(read), page.height // grid.shape[0]
    face = font(choose_face(random.Random(0), "mono")[0], round(0.8 * edge))
    for (row, column), cell in np.ndenumerate(grid):
        if cell > _BLANK:
            draw.text((column * edge + edge / 4, row * edge), CHARACTERS[cell], "black", font=face)
    both = Image.new("RGB", (page.width * 2 + 8, page.height), "grey")
    both.paste(page, (0, 0))
    both.paste(read, (page.width + 8, 0))
    return both
