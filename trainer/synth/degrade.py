"""What scanners, telephones and thermal paper do to a page. The true lines follow the geometry."""

import io
import math
import random
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from extraction.lines import Box, Line
from trainer.synth.dice import chance

_Pixels = NDArray[np.uint8]


def degrade(
    image: Image.Image, lines: list[Line], rng: random.Random, *, strength: float = 1.0
) -> tuple[Image.Image, list[Line]]:
    """The page as it might arrive at the service.

    On a table or a scanner's glass, turned a little, faded, unevenly lit, speckled, blurred and
    compressed, each with some probability.

    Args:
        image: a clean RGB page.
        lines: its true lines.
        rng: the only source of randomness.
        strength: scales the probabilities: 0 leaves the page as it is, 1 is what scans are like.

    Returns:
        The noisy RGB page, larger where it lies on something, and the lines with boxes moved along
        with the text.
    """
    pixels: _Pixels = np.asarray(image.convert("RGB"))
    noise = np.random.default_rng(rng.getrandbits(64))
    if chance(rng, 0.22 * strength):
        pixels, lines = _lay_down(pixels, lines, rng, noise)
    if chance(rng, 0.45 * strength):
        pixels, lines = _turn(pixels, lines, rng)
    if chance(rng, 0.3 * strength):
        pixels = _fade(pixels, rng, noise)
    if chance(rng, 0.4 * strength):
        pixels = _uneven_light(pixels, rng)
    if chance(rng, 0.4 * strength):
        sigma = rng.uniform(2, 11)
        grain = noise.normal(0, sigma, pixels.shape[:2]).astype(np.float32)[..., None]
        pixels = _bytes(pixels + grain)
    if chance(rng, 0.25 * strength):
        pixels = _speckle(pixels, rng, noise)
    if chance(rng, 0.45 * strength):
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.05)).astype(np.uint8)
    result = Image.fromarray(pixels)
    if chance(rng, 0.7 * strength):
        buffer = io.BytesIO()
        result.save(buffer, "JPEG", quality=rng.randint(45, 92))
        result = Image.open(buffer).convert("RGB")
    return result, lines


def _bytes(values: NDArray[Any]) -> _Pixels:
    result: _Pixels = np.clip(values, 0, 255).astype(np.uint8)
    return result


def _lay_down(
    pixels: _Pixels, lines: list[Line], rng: random.Random, noise: np.random.Generator
) -> tuple[_Pixels, list[Line]]:
    """The page on white glass, grey cloth or a dark table that shows on every side."""
    height, width = pixels.shape[:2]
    left, right = (int(width * rng.choice((0.02, 0.08, 0.25)) * rng.uniform(0.3, 1)) for _ in "lr")
    above, below = (int(height * rng.choice((0.01, 0.05, 0.2)) * rng.uniform(0.3, 1)) for _ in "ab")
    shade = rng.choice((255, 250, 235, 200, 150, 90, 40, 5))
    wide, tall = width + left + right, height + above + below
    tint = np.array([shade, max(0, shade - rng.randint(0, 12)), max(0, shade - rng.randint(0, 25))])
    grain = noise.normal(0, rng.uniform(0, 5), (tall, wide, 1)) if chance(rng, 0.5) else 0.0
    ground = _bytes(np.broadcast_to(tint, (tall, wide, 3)) + grain)
    ground[above : above + height, left : left + width] = pixels
    moved = []
    for line in lines:
        box = line.box
        place = Box(
            left=(box.left * width + left) / wide,
            top=(box.top * height + above) / tall,
            right=(box.right * width + left) / wide,
            bottom=(box.bottom * height + above) / tall,
        )
        moved.append(replace(line, box=place))
    return ground, moved


def _turn(pixels: _Pixels, lines: list[Line], rng: random.Random) -> tuple[_Pixels, list[Line]]:
    height, width = pixels.shape[:2]
    limit = 1.6 if height < 2 * width else 0.9
    angle = rng.uniform(-limit, limit)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0 - abs(angle) * 0.012)
    edge = tuple(int(v) for v in np.median(pixels[0], axis=0))
    turned = cv2.warpAffine(
        pixels,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=edge,
    ).astype(np.uint8)
    return turned, [replace(line, box=_turn_box(line.box, matrix, width, height)) for line in lines]


def _turn_box(box: Box, matrix: NDArray[np.float64], width: int, height: int) -> Box:
    corners = np.array(
        [[x * width, y * height, 1.0] for x in (box.left, box.right) for y in (box.top, box.bottom)]
    )
    moved = corners @ matrix.T
    (left, top), (right, bottom) = moved.min(axis=0), moved.max(axis=0)
    return Box(
        left=float(max(0.0, left / width)),
        top=float(max(0.0, top / height)),
        right=float(min(1.0, right / width)),
        bottom=float(min(1.0, bottom / height)),
    )


def _fade(pixels: _Pixels, rng: random.Random, noise: np.random.Generator) -> _Pixels:
    """Thermal print that lost contrast, more in some bands than in others."""
    height = pixels.shape[0]
    knots = noise.uniform(0.0, rng.uniform(0.2, 0.55), 6)
    band = np.interp(np.arange(height), np.linspace(0, height, 6), knots)[:, None, None]
    paper = float(np.percentile(pixels[:: max(1, height // 200)], 90))
    return _bytes(pixels + (paper - pixels.astype(np.float32)) * band)


def _uneven_light(pixels: _Pixels, rng: random.Random) -> _Pixels:
    """Darker towards one side."""
    height, width = pixels.shape[:2]
    direction, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0.06, 0.35)
    across = np.linspace(-1, 1, width)[None, :] * math.cos(direction)
    down = np.linspace(-1, 1, height)[:, None] * math.sin(direction)
    light = (1 - depth * (0.5 + (across + down) / 2.83))[..., None].astype(np.float32)
    return _bytes(pixels * light)


def _speckle(pixels: _Pixels, rng: random.Random, noise: np.random.Generator) -> _Pixels:
    """Dust and missing dots."""
    height, width = pixels.shape[:2]
    count = int(height * width * rng.uniform(0.0002, 0.003))
    result: _Pixels = pixels.copy()
    ys, xs = noise.integers(0, height, count), noise.integers(0, width, count)
    result[ys, xs] = noise.choice(np.array([20, 120, 255], dtype=np.uint8), count)[:, None]
    return result
