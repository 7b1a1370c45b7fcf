"""Parts of pages to write out: a tile of a real or generated page, as large as serving shows it.

Fields are some sixty tokens for a page's thousand image tokens; the text of one tile is hundreds
for 256. So the meaning of image tokens is learned from parts, and fields from pages. The text is
asked row by row, as image tokens follow each other: annotators list a receipt's amounts behind all
the texts beside them.
"""

import random
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from extraction.layout import Layout, render_page
from extraction.lines import Line
from extraction.page_view import PageView, fitted

_ABOVE = 6  # pixels left free above the first line of a part


def part_of(
    page: Image.Image, lines: Sequence[Line], view: PageView, rng: random.Random
) -> tuple[Image.Image, str] | None:
    """A window of a page's picture, at most a tile wide and high, and the text that stands in it.

    A line that the window cuts is painted over with the page's own colour.

    Args:
        page: any size.
        lines: in any order, boxes as ratios of the page.
        view: how large the page is shown where the model reads alone.
        rng: draws the window, which begins at a line.

    Returns:
        The window and its lines, row by row; None where no whole line stands in it, and for
        a model that does not cut pages into tiles.
    """
    if view.tile_pixels is None or not lines:
        return None
    shown = fitted(page.convert("RGB"), view.side([page.size], alone=True))
    width, height = shown.size
    places = [line.box for line in lines]
    boxes = np.array([[box.left, box.top, box.right, box.bottom] for box in places])
    boxes *= [width, height, width, height]
    left = rng.randint(0, max(0, width - view.tile_pixels))
    top = max(0, round(rng.choice(boxes)[1]) - _ABOVE)
    window = (left, top, min(left + view.tile_pixels, width), min(top + view.tile_pixels, height))
    boxes -= [left, top, left, top]
    size = np.array([window[2] - left, window[3] - top])
    inside = np.all(np.hstack([boxes[:, :2] >= 0, boxes[:, 2:] <= size]), axis=1)
    touched = np.all(np.hstack([boxes[:, 2:] > 0, boxes[:, :2] < size]), axis=1)
    part = shown.crop(window)
    paint = tuple(int(value) for value in np.median(np.asarray(part), axis=(0, 1)))
    draw = ImageDraw.Draw(part)
    for box in boxes[touched & ~inside]:
        draw.rectangle([float(edge) for edge in box], fill=paint)
    kept = [line for line, is_kept in zip(lines, inside.tolist(), strict=True) if is_kept]
    return (part, "\n".join(render_page(kept, Layout.ROWS, str))) if kept else None
