"""Pictures of text with the place of every glyph: crops, blocks and tiles of pages.

`make_page` is in trainer/synth/vision/pages.py. Each is a function of the generator's state: the
same seed gives the same picture on machines with the same fonts.
"""

import math
import random
from dataclasses import replace

import numpy as np
from PIL import Image

from trainer.synth.dice import chance, weighted
from trainer.synth.vision.layouts import (
    LEAST_CAPITAL_PIXELS,
    MOST_CAPITAL_PIXELS,
    Area,
    Setter,
    choose_block,
    choose_style,
)
from trainer.synth.vision.paper import ink_on_paper
from trainer.synth.vision.plate import Glyphs, Plate
from trainer.synth.vision.wear import wear_lightly

__all__ = ["Glyphs", "make_block", "make_crop", "make_tile"]

_CAPITALS_OF_PITCH = 0.52
_NARROW = 200  # pixels; less holds one column
# A processor of SmolVLM's family stretches a page to whole tiles: a long receipt becomes twice as
# wide, a passport's page 1.4 times as high.
_STRETCHED, _MOST_ACROSS, _MOST_DOWN = 0.5, 2.0, 1.5


def make_crop(rng: random.Random, width: int, height: int) -> Glyphs:
    """One or a few lines that fill a small picture.

    Args:
        rng: the only source of randomness.
        width: of the picture in pixels.
        height: of the picture in pixels.
    """
    fewest = max(1, round(height * _CAPITALS_OF_PITCH / MOST_CAPITAL_PIXELS))
    most = max(fewest, int(height * _CAPITALS_OF_PITCH / LEAST_CAPITAL_PIXELS))
    usual = [n for n in range(fewest, most + 1) if height / n * _CAPITALS_OF_PITCH > 10]  # noqa: PLR2004
    count = rng.choice(usual or [fewest])
    pitch = height / count
    capital = min(MOST_CAPITAL_PIXELS, pitch * rng.uniform(0.42, 0.6))
    style = choose_style(rng, capital)
    plate = Plate(width, height)
    margin = rng.uniform(0.0, 0.06) * width
    area = Area(margin, 0, width - margin, height)
    setter = Setter(rng, plate, area, style)
    for number in range(count):
        setter.baseline = (number + 0.5) * pitch + capital * rng.uniform(0.4, 0.6)
        room = area.width * (1 if chance(rng, 0.7) else rng.uniform(0.3, 1))
        setter.row((0.0, "l", setter.fit(room)), bold=chance(rng, 0.15))
    return _finished(rng, plate)


def make_block(rng: random.Random, width: int, height: int) -> Glyphs:
    """One or two blocks, set one below the other, that fill a picture.

    Args:
        rng: the only source of randomness.
        width: of the picture in pixels.
        height: of the picture in pixels.
    """
    plate = _stretched_later(rng, width, height)
    margin = rng.uniform(0.01, 0.06) * plate.width
    area = Area(margin, rng.uniform(0, 10), plate.width - margin, plate.height - 4)
    _fill(rng, plate, area)
    return _stretched(_finished(rng, plate), width, height)


def make_tile(rng: random.Random, size: int = 512) -> Glyphs:
    """A square piece of a page at reading resolution.

    Capitals are 9 to 28 pixels high, mostly 11 to 18. Blocks may begin or end outside.

    Args:
        rng: the only source of randomness.
        size: of the tile's sides in pixels.
    """
    plate = _stretched_later(rng, size, size)
    width, height = plate.width, plate.height
    left = width * rng.choice((rng.uniform(-0.3, 0.0), rng.uniform(0.0, 0.12), 0.02))
    right = width * rng.choice((rng.uniform(1.0, 1.3), rng.uniform(0.85, 1.0), 0.98))
    top = height * rng.choice((rng.uniform(-0.2, 0.0), rng.uniform(0.0, 0.1), 0.0))
    bottom = height * rng.choice((1.02, 1.02, 1.02, rng.uniform(0.6, 1.0)))
    columns = 1
    if width > _NARROW:
        columns = weighted(rng, {1: 0.76, 2: 0.24})
    middle = left + (right - left) * rng.uniform(0.4, 0.6)
    gutter = width * rng.uniform(0.02, 0.06)
    areas = [Area(left, top, right, bottom)]
    if columns > 1:
        areas = [
            Area(left, top, middle - gutter / 2, bottom),
            Area(middle + gutter / 2, top, right, bottom),
        ]
    for area in areas:
        _fill(rng, plate, area)
    return _stretched(_finished(rng, plate), size, size)


def _stretched_later(rng: random.Random, width: int, height: int) -> Plate:
    """The sheet that is drawn on: as large as the picture, or narrower, or lower."""
    if not chance(rng, _STRETCHED):
        return Plate(width, height)
    factor = math.exp(rng.uniform(-math.log(_MOST_DOWN), math.log(_MOST_ACROSS)))
    return Plate(round(width / max(factor, 1)), round(height * min(factor, 1)))


def _stretched(glyphs: Glyphs, width: int, height: int) -> Glyphs:
    """The picture and its boxes at the size that is wanted."""
    drawn = glyphs.image.size
    if drawn == (width, height):
        return glyphs
    across, down = width / drawn[0], height / drawn[1]
    image = glyphs.image.resize((width, height), Image.Resampling.BICUBIC)
    boxes = glyphs.boxes * np.array([across, down, across, down], dtype=np.float32)
    return replace(glyphs, image=image, boxes=boxes)


def _fill(rng: random.Random, plate: Plate, area: Area) -> None:
    """Blocks one below the other until the area is full."""
    style = choose_style(rng)
    setter = Setter(rng, plate, area, style)
    while not setter.full:
        if chance(rng, 0.25):
            setter.restyle(choose_style(rng))
        top = setter.baseline - setter.style.pitch
        choose_block(rng)(setter)
        if chance(rng, 0.06):
            plate.scale(area.left, top, area.right, setter.baseline, rng.uniform(0.45, 0.8))
        setter.skip(rng.choice((0.0, 0.2, 0.6, 1.2)))
        if chance(rng, 0.15):
            setter.line(dashed=chance(rng, 0.5))


def _finished(rng: random.Random, plate: Plate) -> Glyphs:
    """The picture, worn a little, with what can still be read on it."""
    image, writing = wear_lightly(ink_on_paper(rng, plate.ink), plate.writing, rng, negatives=True)
    return writing.within(image.width, image.height).on(image)
