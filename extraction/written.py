"""The part of a page that has something on it, stretched to a square.

Margins say nothing, and a model that reads a page as a grid has as many columns and rows for it
whatever its shape. A receipt of 40 characters by 40 lines so fills a grid of 48 by 48.
"""

import numpy as np
from PIL import Image

from extraction.lines import Box

# Neighbouring pixels differ by more than this where ink meets paper.
_EDGE = 30
# Edges outside this share of all are dust.
_DUST = 0.001
_MARGIN = 0.012
_LEAST_PIXELS = 64


def written_part(image: Image.Image) -> Box:
    """The box that holds nearly all edges between ink and paper; the whole of an empty page."""
    size = (max(_LEAST_PIXELS, image.width // 2), max(_LEAST_PIXELS, image.height // 2))
    half = image.convert("L").resize(size, Image.Resampling.BILINEAR)
    edges = np.abs(np.diff(np.asarray(half).astype(np.int16), axis=1)) > _EDGE
    (left, right), (top, bottom) = _span(edges.sum(0)), _span(edges.sum(1))
    return Box(left, top, right, bottom)


def _span(counts: np.ndarray) -> tuple[float, float]:
    total = counts.sum()
    if not total:
        return 0.0, 1.0
    share = np.cumsum(counts) / total
    first = int(np.searchsorted(share, _DUST)) / len(counts)
    last = (int(np.searchsorted(share, 1 - _DUST)) + 1) / len(counts)
    return max(0.0, first - _MARGIN), min(1.0, last + _MARGIN)


def stretched(image: Image.Image, side_pixels: int) -> Image.Image:
    """The written part of a page as a grey square of so many pixels."""
    grey, part = image.convert("L"), written_part(image)
    width, height = grey.size
    box = (part.left * width, part.top * height, part.right * width, part.bottom * height)
    return grey.resize((side_pixels, side_pixels), Image.Resampling.LANCZOS, box=box)
