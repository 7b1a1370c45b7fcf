"""A page and its lines, turned so that they stand upright."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from PIL import Image

from extraction.lines import Line
from extraction.pages import Page

_QUARTER: Final = 90
_TRANSPOSE = {
    90: Image.Transpose.ROTATE_270,  # Pillow turns the other way round
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}


def turned(page: Page, degrees: int) -> Page:
    """The page turned clockwise by 0, 90, 180 or 270 degrees."""
    if degrees not in _TRANSPOSE:
        return page
    return Page(page.index, page.image.transpose(_TRANSPOSE[degrees]))


def turned_back(lines: Iterable[Line], degrees: int) -> list[Line]:
    """Lines that were read on a page turned by so many degrees, on the page as it was sent."""
    quarters = -degrees // _QUARTER  # a box counts its turns counter-clockwise
    return [
        replace(
            line,
            box=line.box.turned(-quarters),
            quarter_turns=(line.quarter_turns + quarters) % 4,
        )
        for line in lines
    ]


def correction_of(lines: Iterable[Line]) -> int:
    """The clockwise degrees after which most of the text that was read stands upright."""
    weights: dict[int, int] = {}
    for line in lines:
        degrees = -line.quarter_turns * _QUARTER % 360
        weights[degrees] = weights.get(degrees, 0) + len(line.text)
    return max(weights, key=lambda degrees: (weights[degrees], -degrees), default=0)
