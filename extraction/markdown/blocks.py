"""Lines of a page -> blocks in reading order, whatever its columns are.

    lines -> pairs that follow each other closely -> blocks -> who comes before whom -> order

Two lines belong together where each is the other's only neighbour below or above; a title over two
columns has two neighbours and stands alone. Blocks are ordered as Breuel 2003 ("High performance
document layout analysis") orders text: what is above comes first where both overlap sideways; what
is to the left comes first unless something between them spans both.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from extraction.lines import Box, Line, rows

# Two lines of one block are less than a line apart, and of about one height.
_NEAR: Final = 0.9
_MOST_HEIGHT_RATIO: Final = 1.6
_OVERLAP: Final = 0.3  # of the narrower one's width
# Pieces of one row that a word gap parts, and no gutter.
_PIECES_LETTERS: Final = 1.3
_SLACK: Final = 0.3  # of a height, by which boxes of neighbours may run into each other
_MOST_BLOCKS: Final = 400  # comparing all with all costs the third power


@dataclass(frozen=True, slots=True)
class Placed:
    """A line where it stands once the page is upright."""

    line: Line
    box: Box


def placed(lines: Sequence[Line]) -> list[Placed]:
    """The lines of one page, upright."""
    return [Placed(line, line.box.turned(line.quarter_turns)) for line in lines]


def in_reading_order(lines: Sequence[Line], text_of: Callable[[str], str]) -> list[str]:
    """The rows of a page, block by block, furniture included; a blank one between blocks."""
    rendered: list[str] = []
    for block in ordered(blocks_of(placed(lines))):
        if rendered:
            rendered.append("")
        rendered += ["  ".join(text_of(item.line.text) for item in row) for row in rows_of(block)]
    return rendered


def rows_of(lines: Sequence[Placed]) -> list[list[Placed]]:
    """The visual rows of lines, top to bottom, each left to right."""
    by_line = {id(item.line): item for item in lines}
    return [[by_line[id(line)] for line in row] for row in rows([item.line for item in lines])]


def letter_width(lines: Sequence[Placed]) -> float:
    """The usual width of a letter, as a ratio of the page's width."""
    widths = [item.box.width / len(item.line.text) for item in lines if len(item.line.text) > 2]  # noqa: PLR2004
    return statistics.median(widths) if widths else 0.01


def bounds(lines: Sequence[Placed]) -> Box:
    """The smallest box around all lines."""
    return lines[0].box.union(*(item.box for item in lines[1:]))


def blocks_of(lines: Sequence[Placed]) -> list[list[Placed]]:
    """Groups of lines that follow each other in one column, in no particular order."""
    if not lines:
        return []
    group = list(range(len(lines)))

    def find(at: int) -> int:
        while group[at] != at:
            group[at] = group[group[at]]
            at = group[at]
        return at

    boxes = np.array([(i.box.left, i.box.top, i.box.right, i.box.bottom) for i in lines])
    for one, other in _pieces(boxes, letter_width(lines)):
        group[find(other)] = find(one)
    pieces: dict[int, list[int]] = {}
    for at in range(len(lines)):
        pieces.setdefault(find(at), []).append(at)
    members = list(pieces.values())
    spans = np.array([_around(boxes[list(member)]) for member in members])
    for above, below in _chains(spans):
        group[find(members[below][0])] = find(members[above][0])
    found: dict[int, list[Placed]] = {}
    for at, item in enumerate(lines):
        found.setdefault(find(at), []).append(item)
    return list(found.values())


def ordered(blocks: Sequence[list[Placed]]) -> list[list[Placed]]:
    """The blocks as a person reads them."""
    if len(blocks) > _MOST_BLOCKS:
        return sorted(blocks, key=lambda block: (bounds(block).top, bounds(block).left))
    if not blocks:
        return []
    boxes = [bounds(block) for block in blocks]
    spans = np.array([(box.left, box.top, box.right, box.bottom) for box in boxes])
    before = _before(spans)
    left = list(range(len(blocks)))
    order: list[int] = []
    while left:
        # Of those that nothing has to precede the first by place; a circle is cut at the topmost.
        free = [at for at in left if not before[left, at].any()] or left
        chosen = min(free, key=lambda at: (boxes[at].top, boxes[at].left))
        order.append(chosen)
        left.remove(chosen)
    return [blocks[at] for at in order]


def _around(boxes: np.ndarray) -> tuple[float, float, float, float]:
    least, most = boxes.min(axis=0), boxes.max(axis=0)
    return float(least[0]), float(least[1]), float(most[2]), float(most[3])


def _pieces(boxes: np.ndarray, letter: float) -> list[tuple[int, int]]:
    """Pairs of one row between which there is no more than a wide blank."""
    left, top, right, bottom = boxes.T
    height = bottom - top
    gap = left[None, :] - right[:, None]
    level = np.minimum(bottom[:, None], bottom[None, :]) - np.maximum(top[:, None], top[None, :])
    alike = level > np.minimum(height[:, None], height[None, :]) / 2
    near = (gap > -2 * letter) & (gap < _PIECES_LETTERS * letter) & (left[:, None] < left[None, :])
    return [(int(one), int(other)) for one, other in np.argwhere(alike & near)]


def _chains(boxes: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (above, below) that are each other's only close neighbours."""
    left, top, right, bottom = boxes.T
    width, height = right - left, bottom - top
    shared = np.minimum(right[:, None], right[None, :]) - np.maximum(left[:, None], left[None, :])
    beside = shared > _OVERLAP * np.minimum(width[:, None], width[None, :])
    taller = np.maximum(height[:, None], height[None, :])
    lower = np.maximum(np.minimum(height[:, None], height[None, :]), 1e-9)
    gap = top[None, :] - bottom[:, None]
    follows = ((top + bottom)[None, :] > (top + bottom)[:, None]) & (gap > -_SLACK * taller - 1e-9)
    near = beside & follows & (gap < _NEAR * lower)
    # Of those below only the ones with nothing between count: the nearest, and what is level.
    distance = np.where(near, gap, np.inf)
    nearest = near & (distance <= distance.min(axis=1, keepdims=True) + lower / 2)
    nearest_above = near & (distance <= distance.min(axis=0, keepdims=True) + lower / 2)
    only = (nearest.sum(axis=1, keepdims=True) == 1) & (nearest_above.sum(axis=0) == 1)
    joined = nearest & nearest_above & only & (taller <= _MOST_HEIGHT_RATIO * lower)
    return [(int(above), int(below)) for above, below in np.argwhere(joined)]


def _before(spans: np.ndarray) -> np.ndarray:
    """Whether a block (row) has to be read before another (column)."""
    left, top, right, bottom = spans.T
    middle = (top + bottom) / 2
    beside = np.minimum(right[:, None], right[None, :]) > np.maximum(left[:, None], left[None, :])
    above = beside & (middle[:, None] < middle[None, :])
    to_left = ~beside & (right[:, None] <= left[None, :] + 1e-9)
    between = np.zeros_like(beside)
    for at in range(len(spans)):
        spans_both = beside[:, at][:, None] & beside[at][None, :]
        low, high = np.minimum(middle[:, None], middle), np.maximum(middle[:, None], middle)
        between |= spans_both & (low < middle[at]) & (middle[at] < high)
    before = above | (to_left & ~between)
    np.fill_diagonal(before, val=False)
    return np.asarray(before)
