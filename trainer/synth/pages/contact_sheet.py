"""A sample of pages on one picture, small, each with what it is."""

import io
import random
from collections.abc import Iterable

from PIL import Image, ImageDraw

from trainer.synth.fonts import choose_face, font

_ACROSS = 6
_WIDE = 300
_HIGH = 420
_LABEL = 22
_GAP = 8


def contact_sheet(pages: Iterable[tuple[bytes, str]], across: int = _ACROSS) -> Image.Image:
    """The pages in rows, in their order.

    Args:
        pages: pictures with a few words each.
        across: how many a row.
    """
    tiles = [(_small(content), label) for content, label in pages]
    rows = max(1, -(-len(tiles) // across))
    wide, high = _WIDE + _GAP, _HIGH + _LABEL + _GAP
    sheet = Image.new("RGB", (across * wide + _GAP, rows * high + _GAP), "#8a8f98")
    draw = ImageDraw.Draw(sheet)
    face = font(choose_face(random.Random(0), "sans")[0], 13)
    for number, (tile, label) in enumerate(tiles):
        x, y = _GAP + number % across * wide, _GAP + number // across * high
        sheet.paste(tile, (x + (_WIDE - tile.width) // 2, y + _LABEL))
        draw.text((x + 2, y + 2), label[:34], fill="white", font=face)
    return sheet


def _small(content: bytes) -> Image.Image:
    opened = Image.open(io.BytesIO(content))
    opened.draft("RGB", (_WIDE * 2, _HIGH * 2))
    small = opened.convert("RGB")
    small.thumbnail((_WIDE, _HIGH), Image.Resampling.LANCZOS)
    return small
