"""The paper of a travel document: writing that is remembered, background, portrait, overprint."""

import math
import random

import numpy as np
from PIL import Image, ImageDraw

from extraction.lines import Line, rows
from trainer.synth.dice import chance
from trainer.synth.document import true_line
from trainer.synth.fonts import choose_face, font
from trainer.synth.sheet import Run

_LEAST_TYPE_PIXELS = 7
_EDGE = 0.975  # of the fields


class Page:
    """A page that remembers what was written on it; lengths are ratios of its width."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.pen = ImageDraw.Draw(image)
        self.runs: list[Run] = []

    def write(
        self,
        x: float,
        y: float,
        text: str,
        *,
        face: str,
        size: float,
        ink: tuple[int, int, int],
        room: float,
    ) -> None:
        """Writes `text` with its top left corner at (x, y), smaller where `room` is less."""
        width = self.image.width
        pixels = max(_LEAST_TYPE_PIXELS, round(size * width))
        length = font(face, pixels).getlength(text)
        if length > room * width:
            pixels = max(_LEAST_TYPE_PIXELS, int(pixels * room * width / length))
        run = Run(text, x * width, y * width, face, pixels, anchor="la")
        self.pen.text((run.x, run.y), text, ink, font(face, pixels))
        self.runs.append(run)

    def read(self) -> list[Line]:
        """The true lines in reading order."""
        lines = [true_line(run.text, run.box, *self.image.size) for run in self.runs]
        return [line for row in rows(lines) for line in row]


def background(rng: random.Random, width: int, height: int) -> Image.Image:
    """Two pale tints that run into each other, under fine waves."""
    first, second = (
        np.array([rng.randint(195, 255) for _ in range(3)], dtype=np.float32) for _ in range(2)
    )
    angle = rng.uniform(0, math.pi)
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    blend = np.clip((across * math.cos(angle) + down * math.sin(angle) + 1) / 2, 0, 1)[..., None]
    image = Image.fromarray((first * blend + second * (1 - blend)).astype(np.uint8))
    if chance(rng, 0.12):
        return Image.new("RGB", (width, height), (255, 255, 255))
    pen = ImageDraw.Draw(image)
    xs = np.linspace(0, width, 140)
    for _ in range(rng.randint(1, 3)):
        ink = tuple(int(value) - rng.randint(10, 45) for value in (first + second) / 2)
        swing, waves, phase = rng.uniform(0.02, 0.2) * height, rng.uniform(1, 7), rng.uniform(0, 6)
        step = rng.uniform(0.012, 0.05) * height
        for number in range(int(height / step)):
            wave = swing * np.sin(waves * xs / width * 2 * math.pi + phase + number * 0.12)
            ys = number * step + wave
            pen.line(list(zip(xs.tolist(), ys.tolist(), strict=True)), fill=ink, width=1)
    return image


def portrait(rng: random.Random, page: Page, zone_top: float) -> tuple[float, float]:
    """A picture that is nobody's, mostly at the left; returns where the fields begin and end."""
    width = page.image.width
    wide = rng.uniform(0.2, 0.27)
    is_left = chance(rng, 0.8)
    left, top = rng.uniform(0.03, 0.06), max(0.1, zone_top - wide * 1.32 - rng.uniform(0.03, 0.16))
    left = left if is_left else 1 - left - wide
    right, bottom = left + wide, min(zone_top - 0.02, top + wide * 1.3)
    box = [value * width for value in (left, top, right, bottom)]
    grey = rng.randint(150, 225)
    page.pen.rectangle(box, fill=(grey, grey, min(255, grey + 8)))
    middle, skin, hair = (left + right) / 2, rng.randint(90, 190), rng.randint(20, 120)
    head = wide * 0.24

    def oval(x: float, y: float, across: float, down: float, ink: tuple[int, int, int]) -> None:
        page.pen.ellipse(
            [v * width for v in (x - across, y - down, x + across, y + down)], fill=ink
        )

    face_y = top + (bottom - top) * 0.42
    oval(middle, face_y - head * 0.25, head * 1.15, head * 1.35, (hair, hair - 8, hair - 14))
    oval(middle, face_y, head, head * 1.25, (skin, skin - 25, skin - 40))
    shirt = rng.randint(20, 200)
    page.pen.chord(
        [
            v * width
            for v in (
                left + wide * 0.06,
                bottom - wide * 0.42,
                right - wide * 0.06,
                bottom + wide * 0.42,
            )
        ],
        180,
        360,
        fill=(shirt, shirt, shirt),
    )
    gap = rng.uniform(0.03, 0.05)
    return (right + gap, _EDGE) if is_left else (1 - _EDGE, left - gap)


def overprint(rng: random.Random, page: Page) -> None:
    """SPECIMEN across the page, too pale and too slanted to be a line of text."""
    width, height = page.image.size
    layer = Image.new("L", (width, height), 0)
    type_ = font(choose_face(rng, "sans")[1], round(width * 0.11))
    ImageDraw.Draw(layer).text(
        (width * 0.5, height * 0.45), "SPECIMEN", rng.randint(40, 90), type_, anchor="mm"
    )
    layer = layer.rotate(rng.uniform(12, 40), resample=Image.Resampling.BILINEAR)
    ink = Image.new(
        "RGB", (width, height), rng.choice(((200, 40, 40), (90, 90, 90), (40, 60, 160)))
    )
    page.image.paste(ink, (0, 0), layer)
