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
# Of what is written closely: blocks of half-size pixels, the share of edges in one, and how many of
# its nine neighbours, itself among them, have that too.
_BLOCK, _DENSE, _NEIGHBOURS = 12, 0.06, 2


def written_part(image: Image.Image) -> Box:
    """The box that holds nearly all edges between ink and paper; the whole of an empty page."""
    edges = _edges(image)
    (left, right), (top, bottom) = _span(edges.sum(0)), _span(edges.sum(1))
    return Box(left, top, right, bottom)


def dense_part(image: Image.Image) -> Box:
    """The box of what is written closely, without specks; the written part where there is none.

    A block of the page counts where it has edges in a good part of it, and a neighbour that has.
    """
    edges = _edges(image)
    high, wide = (length // _BLOCK for length in edges.shape)
    blocks = edges[: high * _BLOCK, : wide * _BLOCK].reshape(high, _BLOCK, wide, _BLOCK)
    dense = blocks.mean(axis=(1, 3)) > _DENSE
    around = np.pad(dense, 1).astype(np.int8)
    near = sum(
        around[1 + down : 1 + down + high, 1 + right : 1 + right + wide]
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    )
    kept = dense & (near > _NEIGHBOURS)
    if not kept.any():
        return written_part(image)
    rows, columns = np.flatnonzero(kept.any(1)), np.flatnonzero(kept.any(0))
    return Box(
        max(0.0, columns[0] * _BLOCK / edges.shape[1] - _MARGIN),
        max(0.0, rows[0] * _BLOCK / edges.shape[0] - _MARGIN),
        min(1.0, (columns[-1] + 1) * _BLOCK / edges.shape[1] + _MARGIN),
        min(1.0, (rows[-1] + 1) * _BLOCK / edges.shape[0] + _MARGIN),
    )


def _edges(image: Image.Image) -> np.ndarray:
    """Where ink meets paper, at half the page's size."""
    size = (max(_LEAST_PIXELS, image.width // 2), max(_LEAST_PIXELS, image.height // 2))
    half = image.convert("L").resize(size, Image.Resampling.BILINEAR)
    found: np.ndarray = np.abs(np.diff(np.asarray(half).astype(np.int16), axis=1)) > _EDGE
    return found


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
