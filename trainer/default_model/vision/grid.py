"""A page as a grid of characters: what the tower is to read, and what the decoder is told.

A page's written part is stretched to 48 x 48 cells (`extraction/written.py`), and a cell is asked
which character has its middle in it. On half of the SROIE receipts 99.8 % of the characters find a
cell of their own so, on nine of ten at least two thirds; a page of closer print does not fit.
"""

import math
from collections.abc import Iterable
from unicodedata import normalize

import numpy as np

from extraction.tower_reader import CHARACTERS

BLANK = CHARACTERS[0]  # each of them is one token of the decoder
UNKNOWN = -100  # of a cell nobody can say what is in it; as torch's losses ignore it
_OTHER = "?"
_CLASS_OF = {character: index for index, character in enumerate(CHARACTERS)}
# Where print is a little closer than the cells, a character moves on by at most so many.
_MOST_MOVED = 2


def plain(character: str) -> str:
    """The character without its accent; a question mark for what has no plain form."""
    if character in _CLASS_OF:
        return character
    kept = [part for part in normalize("NFKD", character) if part in _CLASS_OF and part != BLANK]
    return kept[0] if kept else _OTHER


def place_characters(
    characters: Iterable[str],
    columns: Iterable[float],
    rows: Iterable[float],
    side: tuple[int, int],
) -> np.ndarray:
    """The classes of a grid's cells.

    Args:
        characters: without white space, in the order in which their lines are read.
        columns: where the middle of each lies, in cells from the left.
        rows: likewise from the top.
        side: rows and columns of the grid.

    Returns:
        int64 [rows, columns]: positions in `CHARACTERS`; 0 is blank. A character whose cell is
        taken stands in the next or the one after it, or is left out.
    """
    high, wide = side
    grid = np.zeros(side, dtype=np.int64)
    for character, x, y in zip(characters, columns, rows, strict=True):
        row, first = math.floor(y), math.floor(x)
        if not (0 <= row < high and 0 <= first < wide):
            continue
        for column in range(first, min(first + _MOST_MOVED + 1, wide)):
            if grid[row, column] == 0:
                grid[row, column] = _CLASS_OF[plain(character)]
                break
    return grid


def grid_text(grid: np.ndarray) -> str:
    """The grid as lines of text, one a row; what is unknown is blank."""
    return "\n".join(
        "".join(CHARACTERS[max(int(cell), 0)] for cell in row).rstrip() for row in grid
    )
