"""What documents carry besides text: bar codes, matrix codes, signatures, stamps, frames."""

import math
import random

import cv2
import numpy as np

from trainer.synth.vision.layouts import Area
from trainer.synth.vision.plate import Plate

_FULL = 255


def bars(rng: random.Random, plate: Plate, area: Area) -> None:
    """A bar code that fills the area."""
    x = area.left
    unit = max(1.0, area.width / rng.randint(70, 130))
    while x < area.right:
        thick = unit * rng.choice((1, 1, 2, 3))
        plate.rule(x, area.top, min(x + thick, area.right), area.bottom)
        x += thick + unit * rng.choice((1, 1, 2, 3))


def matrix_code(rng: random.Random, plate: Plate, left: float, top: float, side: float) -> None:
    """Squares like those of a matrix code."""
    count = rng.choice((21, 25, 29))
    unit = side / count
    dots = np.random.default_rng(rng.getrandbits(64)).integers(0, 2, (count, count)) > 0
    for corner in ((0, 0), (0, count - 7), (count - 7, 0)):
        row, column = corner
        dots[row : row + 7, column : column + 7] = True
        dots[row + 1 : row + 6, column + 1 : column + 6] = False
        dots[row + 2 : row + 5, column + 2 : column + 5] = True
    for row, column in np.argwhere(dots):
        x, y = left + column * unit, top + row * unit
        plate.rule(x, y, x + unit, y + unit)


def scribble(rng: random.Random, plate: Plate, area: Area, *, strokes: int = 3) -> None:
    """Loops as of a signature."""
    for _ in range(strokes):
        count = rng.randint(20, 60)
        turns = np.linspace(0, rng.uniform(2, 7) * math.pi, count)
        across = np.linspace(rng.uniform(0, 0.5), rng.uniform(0.6, 1), count)
        swing = rng.uniform(0.1, 0.45) * np.abs(np.sin(turns * rng.uniform(0.2, 0.5)))
        x = area.left + area.width * (across + 0.03 * np.cos(turns))
        y = area.top + area.height * (0.5 + swing * np.sin(turns))
        points = np.stack([x, y], axis=1).round().astype(np.int32)
        cv2.polylines(
            plate.ink,
            [points],
            isClosed=False,
            color=rng.randint(150, 255),
            thickness=1,
            lineType=16,
        )


def stamp(rng: random.Random, plate: Plate, x: float, y: float, radius: float) -> None:
    """Two pale circles with a cross bar, as of an office."""
    shade = rng.randint(60, 130)
    for share in (1.0, 0.8):
        cv2.circle(plate.ink, (round(x), round(y)), round(radius * share), shade, 2, 16)
    cv2.line(
        plate.ink,
        (round(x - radius * 0.8), round(y)),
        (round(x + radius * 0.8), round(y)),
        shade,
        2,
        16,
    )


def frame(plate: Plate, area: Area, thick: int = 1, strength: int = 200) -> None:
    """The four sides of a rectangle."""
    plate.rule(area.left, area.top, area.right, area.top + thick, strength)
    plate.rule(area.left, area.bottom - thick, area.right, area.bottom, strength)
    plate.rule(area.left, area.top, area.left + thick, area.bottom, strength)
    plate.rule(area.right - thick, area.top, area.right, area.bottom, strength)


def perforation(plate: Plate, x: float, top: float, bottom: float) -> None:
    """A dashed line down the sheet."""
    for y in range(int(top), int(bottom), 9):
        plate.rule(x, y, x + 1, y + 5, 150)


def logo(rng: random.Random, plate: Plate, x: float, y: float, size: float) -> None:
    """A disc, a ring, a square or a wedge."""
    centre, half = (round(x + size / 2), round(y + size / 2)), max(2, round(size / 2))
    shade = rng.randint(120, _FULL)
    kind = rng.choice(("disc", "ring", "square", "wedge"))
    if kind in {"disc", "ring"}:
        cv2.circle(plate.ink, centre, half, shade, -1 if kind == "disc" else max(2, half // 4), 16)
    elif kind == "square":
        plate.rule(x, y, x + size, y + size, shade)
    else:
        corners = [[x, y + size], [x + size / 2, y], [x + size, y + size]]
        cv2.fillPoly(plate.ink, [np.array(corners).round().astype(np.int32)], shade, 16)
