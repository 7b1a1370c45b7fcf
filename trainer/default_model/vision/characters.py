"""What a patch is asked for: which characters lie in it, and where in it.

A patch of 16 x 16 pixels is divided in cells of 4 x 8 pixels, four across and two down. A cell's
class is the character whose middle lies in it, or blank. Characters of documents are at least as
wide as a cell, so hardly any share one; the reading of a page is then its cells, read in order.
"""

import numpy as np

from trainer.default_model.vision.tower import PATCH
from trainer.synth.vision.alphabet import ALPHABET

ACROSS, DOWN = 4, 2
CELLS = ACROSS * DOWN
BLANK = 0
OTHER = "\ufffd"
CLASSES = 2 + len(ALPHABET)
_SHOWN = " " + OTHER + ALPHABET  # class 0 is blank, class 1 any other character
_CLASS_OF = {character: index + 2 for index, character in enumerate(ALPHABET)}


def cell_classes(characters: str, boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """The classes of an image's cells.

    Args:
        characters: one for each box.
        boxes: [n, 4], x0, y0, x1, y1 in pixels.
        height: of the image in pixels, a multiple of a patch.
        width: as height.

    Returns:
        int64 [height / 16, width / 16, 8]: per patch its cells, row by row. Characters whose
        middle lies outside the image are left out.
    """
    grid = np.zeros((height // PATCH * DOWN, width // PATCH * ACROSS), dtype=np.int64)
    if len(characters):
        columns = ((boxes[:, 0] + boxes[:, 2]) / 2 // (PATCH / ACROSS)).astype(np.int64)
        rows = ((boxes[:, 1] + boxes[:, 3]) / 2 // (PATCH / DOWN)).astype(np.int64)
        inside = (rows >= 0) & (rows < grid.shape[0]) & (columns >= 0) & (columns < grid.shape[1])
        classes = np.array([_CLASS_OF.get(character, 1) for character in characters])
        grid[rows[inside], columns[inside]] = classes[inside]
    patches = grid.reshape(height // PATCH, DOWN, width // PATCH, ACROSS)
    return patches.transpose(0, 2, 1, 3).reshape(height // PATCH, width // PATCH, CELLS)


def cells_text(classes: np.ndarray) -> str:
    """The inverse, roughly: each row of cells that holds something, as a line of text."""
    rows, columns = classes.shape[:2]
    grid = classes.reshape(rows, columns, DOWN, ACROSS).transpose(0, 2, 1, 3)
    lines = []
    for row in grid.reshape(rows * DOWN, columns * ACROSS):
        line = "".join(shown(cell) for cell in row)
        if line.strip():
            lines.append(line.rstrip())
    return "\n".join(lines)


def shown(cell: int) -> str:
    """The character of a class; a space for blank."""
    return _SHOWN[cell]
