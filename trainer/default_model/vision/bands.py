"""Bands of pages to write out: some rows of a page's cells and the text that stands in them.

Fields are some sixty tokens for a page's 2,304 image tokens; the text of a band of six rows is
as many for 288. So the decoder learns from bands how image tokens are read, and from whole pages
where fields stand.
"""

import random
from collections.abc import Sequence

from PIL import Image

from extraction.layout import Layout, render_page
from extraction.lines import Line
from extraction.tower_reader import SIDE
from extraction.written import written_part

_ROWS = (2, 3, 4, 6, 8, 12)


def band_of(
    page: Image.Image, lines: Sequence[Line], rng: random.Random
) -> tuple[tuple[int, int], str] | None:
    """A band of a page that begins at a line or a little above it.

    Args:
        page: any size.
        lines: in any order, boxes as ratios of the page.
        rng: draws the band.

    Returns:
        Its first row and its number of rows in the page's cells, and the lines whose middle lies
        in it, row by row; None of a page without lines.
    """
    part = written_part(page)
    rows = [
        ((line.box.top + line.box.bottom) / 2 - part.top) / part.height * SIDE for line in lines
    ]
    if not rows:
        return None
    count = rng.choice(_ROWS)
    first = max(0, min(SIDE - count, int(rng.choice(rows)) - rng.randint(0, 2)))
    kept = [line for line, row in zip(lines, rows, strict=True) if first <= row < first + count]
    return (first, count), "\n".join(render_page(kept, Layout.ROWS, str))
