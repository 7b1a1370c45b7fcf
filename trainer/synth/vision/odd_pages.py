"""Ten pages that are no receipt and no travel document; some carry hardly any text, or none.

`trainer/synth/other_pages.py` has the lines of many more kinds, as text without a picture.
"""

import math
import random
import string
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from PIL import Image

from trainer.synth.dice import chance
from trainer.synth.vision import words
from trainer.synth.vision.drawings import logo, scribble
from trainer.synth.vision.layouts import Area, Setter, choose_style, heading, paragraph, table
from trainer.synth.vision.paper import ink_on_paper
from trainer.synth.vision.photo import photograph
from trainer.synth.vision.plate import Glyphs, Plate, Writing
from trainer.synth.vision.sheets import letter
from trainer.synth.vision.typeface import typeface_of_height
from trainer.synth.vision.warp import Pixels, smooth_field
from trainer.synth.vision.wear import wear_lightly

_Drawn = tuple[Pixels, Writing]
_A4 = (906, 1280)
_FULL = 255
_SHORE = 0.8
_EMPTY = Writing([], [], np.zeros((0, 4), dtype=np.float32))


def make_odd_page(kind: str, rng: random.Random, *, photo: bool = False) -> Glyphs:
    """A page of one of `KINDS`.

    Args:
        kind: key of `KINDS`.
        rng: the only source of randomness.
        photo: as a telephone takes it instead of as a scanner sends it.
    """
    pixels, writing = KINDS[kind](rng)
    if photo:
        image, writing = photograph(Image.fromarray(pixels), writing, rng)
    else:
        image, writing = wear_lightly(pixels, writing, rng)
    return writing.within(image.width, image.height).on(image)


def _printed(rng: random.Random, plate: Plate) -> _Drawn:
    papers = {"laser": 3.0, "scan": 2.0, "card": 0.5}
    return ink_on_paper(rng, plate.ink, papers, colour=True), plate.writing


def _letter(rng: random.Random) -> _Drawn:
    return _printed(rng, letter(rng))


def _menu(rng: random.Random) -> _Drawn:
    """Dishes with a line of what is in them; prices without a total, a date or an address."""
    width, height = 820, 1160
    plate = Plate(width, height)
    style = choose_style(rng, 13, rng.choice(("serif", "italic", "hand")))
    setter = Setter(rng, plate, Area(100, 60, width - 100, height - 80), style)
    heading(setter)
    while not setter.full:
        setter.skip(0.6)
        title = words.phrase(rng, 18, words.word).upper()
        setter.row((0.5, "c", title), bold=True)
        for _ in range(rng.randint(3, 6)):
            if setter.full:
                break
            dish = setter.fit(setter.area.width * 0.6, words.word)
            setter.row((0.0, "l", dish), (1.0, "r", f"{rng.randint(8, 68) / 2:.1f}0"))
            if chance(rng, 0.5):
                setter.row((0.02, "l", setter.fit(setter.area.width * 0.7, words.word).lower()))
    return _printed(rng, plate)


def _poster(rng: random.Random) -> _Drawn:
    """A few words in very large type over shapes of colour."""
    width, height = _A4
    plate = Plate(width, height)
    path = choose_style(rng, 20, rng.choice(("sans", "serif"))).bold.path
    y = height * rng.uniform(0.15, 0.3)
    for _ in range(rng.randint(3, 5)):
        text = words.phrase(rng, rng.randint(5, 11), words.word).upper()
        trial = typeface_of_height(path, 40)
        capital = min(40 * width * 0.84 / trial.length(text), rng.uniform(50, 150))
        face = typeface_of_height(path, capital)
        y += capital * 1.45
        plate.line()
        plate.write((width - face.length(text)) / 2, y, text, face)
    ground = np.empty((height, width, 3), dtype=np.uint8)
    first, second = (np.array([rng.randint(90, 255) for _ in "rgb"]) for _ in "ab")
    blend = np.linspace(0, 1, height)[:, None, None]
    ground[:] = first * (1 - blend) + second * blend
    for _ in range(rng.randint(3, 8)):
        colour = tuple(rng.randint(60, 250) for _ in "rgb")
        place = rng.randrange(width), rng.randrange(height)
        cv2.circle(ground, place, rng.randint(40, 260), colour, rng.choice((-1, 14)), 16)
    share = plate.ink[..., None] / _FULL
    ink = np.array(rng.choice(((10, 10, 10), (255, 255, 255), (150, 10, 30))))
    return (ground * (1 - share) + ink * share).astype(np.uint8), plate.writing


def _chart(rng: random.Random) -> _Drawn:
    """Bars or curves between two axes, with figures along them."""
    width, height = 1000, 720
    plate = Plate(width, height)
    style = choose_style(rng, 11, "sans")
    setter = Setter(rng, plate, Area(60, 20, width - 40, height), style)
    heading(setter)
    left, top, right, bottom = 100, 110, width - 50, height - 90
    plate.rule(left, top, left + 2, bottom)
    plate.rule(left, bottom, right, bottom + 2)
    unit = rng.choice((20, 25, 100))
    for mark in range(6):
        y = bottom - mark * (bottom - top) / 6
        plate.rule(left, y, right, y + 1, 60)
        plate.line()
        plate.write(left - 60, y + 5, str(mark * unit), style.regular)
    count = rng.randint(5, 12)
    step = (right - left) / count
    plate.line()
    for number in range(count):
        plate.write(left + (number + 0.25) * step, bottom + 26, str(2012 + number), style.regular)
    values = [rng.uniform(0.1, 0.95) for _ in range(count)]
    if chance(rng, 0.5):
        for number, value in enumerate(values):
            x = left + number * step
            y = bottom - value * (bottom - top)
            plate.rule(x + step * 0.2, y, x + step * 0.8, bottom, rng.randint(90, 220))
    else:
        for _ in range(rng.randint(1, 3)):
            points = [
                [left + (n + 0.5) * step, bottom - rng.uniform(0.1, 0.9) * (bottom - top)]
                for n in range(count)
            ]
            line = np.array(points).round().astype(np.int32)
            cv2.polylines(plate.ink, [line], False, rng.randint(120, 255), 2, 16)  # noqa: FBT003
    plate.line()
    plate.write(left, height - 20, setter.fit(700, words.word), style.regular)
    return _printed(rng, plate)


def _figures(rng: random.Random) -> _Drawn:
    """Tables of figures without a sale."""
    width, height = 1000, 1300
    plate = Plate(width, height)
    area = Area(50, 40, width - 50, height - 60)
    setter = Setter(rng, plate, area, choose_style(rng, 10, rng.choice(("mono", "sans"))))
    heading(setter)
    while not setter.full:
        table(setter)
        setter.skip(1)
    return _printed(rng, plate)


def _noise(rng: random.Random) -> _Drawn:
    """Blotches of colour, as of a photograph that missed its object."""
    width, height = 960, 720
    noise = np.random.default_rng(rng.getrandbits(64))
    picture = np.zeros((height, width, 3), dtype=np.float32)
    for knots in (3, 8, 30, 160):
        for channel in range(3):
            picture[..., channel] += smooth_field(noise, (width, height), (knots, knots), 34)
    picture += rng.randint(80, 170) + noise.normal(0, 9, (height, width, 1))
    return np.clip(picture, 0, _FULL).astype(np.uint8), _EMPTY


def _blank(rng: random.Random) -> _Drawn:
    """Paper and nothing on it."""
    plate = Plate(*_A4)
    return ink_on_paper(rng, plate.ink, {"scan": 1.0}, colour=True), plate.writing


def _handwriting(rng: random.Random) -> _Drawn:
    """A note in a hand's letters on ruled lines, each a little up or down, with a sketch."""
    width, height = 780, 1000
    plate = Plate(width, height)
    style = choose_style(rng, rng.uniform(17, 22), "hand")
    y = 90.0
    while y < height - 160:
        plate.line()
        text = words.phrase(rng, rng.randint(8, 34), words.word).lower()
        x = 60 + rng.gauss(0, 8)
        for word in text.split():
            x = plate.write(x, y + rng.gauss(0, 2), word, style.regular) + rng.uniform(9, 20)
            if x > width - 160:
                break
        y += style.pitch * 1.15
    scribble(rng, plate, Area(420, height - 150, 720, height - 40), strokes=4)
    for rule in range(96, height - 40, round(style.pitch * 1.15)):
        plate.rule(30, rule, width - 30, rule + 1, 45)
    return _printed(rng, plate)


def _code(rng: random.Random) -> _Drawn:
    """A listing of a program."""
    width, height = 1000, 1100
    plate = Plate(width, height)
    style = choose_style(rng, 11, "mono")
    y, depth = 60.0, 0
    number = rng.randint(1, 400)
    while y < height - 40:
        names = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9))) for _ in "abc"]
        shape = rng.choice(
            (
                "{0} = {1}({2}, {n})",
                "if {0}.{1} != {n}:",
                "for {0} in {1}[{n}:]:",
                "return {0}_{1} << 2",
                "def {0}({1}: int) -> {2}:",
                '# {0} {1} "{2}"',
                "{0}[{n}] += {1} ** {2} % 0x{n:04X}",
            )
        )
        text = shape.format(*names, n=rng.randint(0, 999))
        plate.line()
        plate.write(40, y, f"{number:4}", style.regular)
        plate.write(110 + depth * 4 * style.character, y, text, style.regular)
        depth = min(3, depth + 1) if text.endswith(":") else max(0, depth - (chance(rng, 0.4)))
        y += style.pitch
        number += 1
    return _printed(rng, plate)


def _map(rng: random.Random) -> _Drawn:
    """Streets, blocks, water and names."""
    width, height = 1000, 860
    noise = np.random.default_rng(rng.getrandbits(64))
    ground = np.full((height, width, 3), (238, 234, 224), dtype=np.uint8)
    water = smooth_field(noise, (width, height), (4, 4), 1.0)
    ground[water > _SHORE] = (170, 205, 230)
    ground[water < -_SHORE] = (200, 226, 190)
    for _ in range(rng.randint(14, 26)):
        angle, wide = rng.choice((0.2, 1.75)) + rng.gauss(0, 0.12), rng.choice((3, 5, 9))
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        reach = 1500 * math.cos(angle), 1500 * math.sin(angle)
        start, stop = ((round(x + s * reach[0]), round(y + s * reach[1])) for s in (-1, 1))
        cv2.line(ground, start, stop, (190, 180, 170), wide + 2, 16)
        cv2.line(ground, start, stop, rng.choice(((255, 255, 255), (255, 226, 140))), wide, 16)
    plate = Plate(width, height)
    style = choose_style(rng, 10, "sans")
    for _ in range(rng.randint(14, 30)):
        plate.line()
        face = style.bold if chance(rng, 0.3) else style.regular
        place = rng.uniform(10, width - 200), rng.uniform(30, height - 10)
        text = words.phrase(rng, rng.randint(5, 18), words.word)
        x, y = place
        if plate.blank(x, y - 20, x + face.length(text), y + 5):
            plate.write(*place, text, face)
    logo(rng, plate, width - 70, 20, 44)
    share = plate.ink[..., None] / _FULL
    return (ground * (1 - share) + 30 * share).astype(np.uint8), plate.writing


def _book(rng: random.Random) -> _Drawn:
    """A page of running text."""
    width, height = 760, 1140
    plate = Plate(width, height)
    style = choose_style(rng, 11, "serif")
    setter = Setter(rng, plate, Area(90, 60, width - 90, height - 110), style)
    while not setter.full:
        paragraph(setter)
    plate.line()
    plate.write(width / 2 - 10, height - 50, str(rng.randint(2, 800)), style.regular)
    return _printed(rng, plate)


KINDS: Mapping[str, Callable[[random.Random], _Drawn]] = {
    "letter": _letter,
    "menu": _menu,
    "poster": _poster,
    "chart": _chart,
    "table": _figures,
    "noise": _noise,
    "blank": _blank,
    "handwriting": _handwriting,
    "code": _code,
    "map": _map,
    "book": _book,
}
