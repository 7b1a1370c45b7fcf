"""What scanning does to a picture; the boxes of its writing follow the geometry.

`wear_lightly` is for millions of tiles: a few milliseconds, and the text stays legible.
"""

import math
import random

import cv2
import numpy as np
from PIL import Image

from trainer.synth.dice import chance
from trainer.synth.vision.plate import Writing
from trainer.synth.vision.warp import Pixels, about_centre, smooth_field, warp

_FULL = 255


def wear_lightly(
    pixels: Pixels, writing: Writing, rng: random.Random, *, negatives: bool = False
) -> tuple[Image.Image, Writing]:
    """The picture as a scanner sends it, and its writing with moved boxes.

    Args:
        pixels: uint8 [height, width] or [height, width, 3].
        writing: what stands on it.
        rng: the only source of randomness.
        negatives: a few pictures are pale on dark.
    """
    noise = np.random.default_rng(rng.getrandbits(64))
    if chance(rng, 0.55):
        pixels, writing = _skew(pixels, writing, rng, noise)
    if chance(rng, 0.22):
        pixels = coarsen(pixels, rng.uniform(0.55, 0.9), rng)
    if chance(rng, 0.3):
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.35, 0.95)).astype(np.uint8)
    if chance(rng, 0.12):
        soft = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.8, 1.6))
        share = rng.uniform(0.5, 1.5)
        pixels = cv2.addWeighted(pixels, 1 + share, soft, -share, 0).astype(np.uint8)
    if chance(rng, 0.35):
        pixels = light(pixels, rng, noise, depth=rng.uniform(0.04, 0.35))
    if chance(rng, 0.4):
        pixels = grain(pixels, noise, rng.uniform(1.5, 10))
    if negatives and chance(rng, 0.04):
        pixels = (_FULL - pixels).astype(np.uint8)
    if chance(rng, 0.45):
        pixels = jpeg(pixels, rng.randint(35, 92))
    return Image.fromarray(pixels), writing


def _skew(
    pixels: Pixels, writing: Writing, rng: random.Random, noise: np.random.Generator
) -> tuple[Pixels, Writing]:
    """A slight turn, stretch and slant; sometimes paper that does not lie flat."""
    height, width = pixels.shape[:2]
    angle = math.radians(rng.gauss(0, 0.8) if chance(rng, 0.85) else rng.uniform(-4, 4))
    stretch, slant = rng.uniform(0.96, 1.04), rng.gauss(0, 0.012)
    cosine, sine = math.cos(angle), math.sin(angle)
    tilt = 0.04 / max(width, height)
    matrix = np.array(
        [
            [cosine * stretch, -sine + slant, 0.0],
            [sine, cosine, 0.0],
            [rng.uniform(-tilt, tilt), rng.uniform(-tilt, tilt), 1.0],
        ]
    )
    bend = None
    if chance(rng, 0.2):
        reach = rng.uniform(0.3, 2.0)
        bend = np.dstack(
            [smooth_field(noise, (width, height), (4, 4), reach * share) for share in (0.7, 1.0)]
        )
    whole = about_centre(matrix, width, height)
    return warp(pixels, writing, whole, size=(width, height), bend=bend)


def coarsen(pixels: Pixels, share: float, rng: random.Random) -> Pixels:
    """The detail of a picture whose sides are `share` as long, at its own size."""
    height, width = pixels.shape[:2]
    small = cv2.resize(
        pixels,
        (max(1, round(width * share)), max(1, round(height * share))),
        interpolation=rng.choice((cv2.INTER_AREA, cv2.INTER_LINEAR)),
    )
    large: Pixels = cv2.resize(
        small, (width, height), interpolation=rng.choice((cv2.INTER_LINEAR, cv2.INTER_CUBIC))
    ).astype(np.uint8)
    return large


def light(
    pixels: Pixels, rng: random.Random, noise: np.random.Generator, *, depth: float
) -> Pixels:
    """Uneven light: darker towards one side, or in soft patches.

    Args:
        pixels: the picture.
        rng: chooses the kind.
        noise: makes the patches.
        depth: how much is lost in the darkest place, as a ratio.
    """
    height, width = pixels.shape[:2]
    if chance(rng, 0.6):
        angle = rng.uniform(0, 2 * math.pi)
        across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :] * math.cos(angle)
        down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * math.sin(angle)
        field = 1 - depth * (0.5 + (across + down) / 1.42)
    else:
        field = 1 - depth * np.clip(0.4 + smooth_field(noise, (width, height), (3, 3), 0.5), 0, 1)
    field = field.astype(np.float32)
    if pixels.ndim == 3:  # noqa: PLR2004 - colours
        field = field[..., None]
    return (pixels * field).astype(np.uint8)


def grain(pixels: Pixels, noise: np.random.Generator, sigma: float) -> Pixels:
    """The noise of a sensor, `sigma` grey values strong."""
    speckle = noise.standard_normal(pixels.shape[:2], dtype=np.float32) * sigma
    if pixels.ndim == 3:  # noqa: PLR2004 - colours
        speckle = speckle[..., None]
    noisy: Pixels = np.clip(pixels + speckle, 0, _FULL).astype(np.uint8)
    return noisy


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """The picture after JPEG of this quality (1 to 100)."""
    done, packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"a picture of {pixels.shape} cannot be a JPEG")
    unpacked: Pixels = np.asarray(cv2.imdecode(packed, cv2.IMREAD_UNCHANGED), dtype=np.uint8)
    return unpacked
