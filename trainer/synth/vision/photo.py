"""A page as a telephone takes it: crumpled, in perspective, on a table, in shadow, a little shaken.

Geometry is OpenCV's, in one resampling, because the boxes must follow it. Shadows, light and the
shake of a hand are kornia's: of the augmentation libraries it is the one that is kept up, under a
free licence, and works without torchvision.
"""

import random
from dataclasses import replace

import cv2
import numpy as np
import torch
from kornia.augmentation import (
    RandomLinearCornerIllumination,
    RandomLinearIllumination,
    RandomMotionBlur,
    RandomPlasmaBrightness,
    RandomPlasmaShadow,
)
from numpy.typing import NDArray
from PIL import Image

from extraction.lines import Box
from trainer.synth.dice import chance
from trainer.synth.document import SyntheticDocument
from trainer.synth.vision.plate import Writing
from trainer.synth.vision.warp import Field, Pixels, smooth_field, through_corners, warp
from trainer.synth.vision.wear import coarsen, grain, jpeg

_FULL = 255
_PLASMA_PIXELS = 129  # shadows are soft: their field is made small and enlarged
_TABLES = (
    *((92, 64, 42), (140, 104, 70), (60, 60, 64), (205, 200, 190), (35, 40, 48), (110, 118, 122)),
    *((160, 60, 50), (228, 226, 220)),
)


def photograph(
    image: Image.Image, writing: Writing, rng: random.Random, *, strength: float = 1.0
) -> tuple[Image.Image, Writing]:
    """The page as a telephone takes it, in colour, at about its own size.

    Args:
        image: the flat page.
        writing: what stands on it; its boxes move along.
        rng: the only source of randomness.
        strength: of perspective, folds and shadow; 1 is what hasty people send.
    """
    noise = np.random.default_rng(rng.getrandbits(64))
    pixels: Pixels = np.asarray(image.convert("RGB"))
    height, width = pixels.shape[:2]
    pixels, bend = _crumpled(pixels, rng, noise, strength)
    corners, size = _seen_from(rng, width, height, strength)
    ground = _under_page(_table(rng, noise, size), corners, rng)
    matrix = through_corners(corners, width, height)
    seen, writing = warp(pixels, writing, matrix, size=size, bend=bend, ground=ground)
    seen = _lit(seen, rng, strength)
    if chance(rng, 0.3):
        seen = coarsen(seen, rng.uniform(0.7, 0.95), rng)
    seen = grain(seen, noise, rng.uniform(1, 6))
    return Image.fromarray(jpeg(seen, rng.randint(45, 90))), writing


def photograph_document(
    document: SyntheticDocument, rng: random.Random, *, strength: float = 1.0
) -> SyntheticDocument:
    """A generated document as a telephone takes it; its lines' boxes move along, its record stays.

    Args:
        document: a receipt or a travel document.
        rng: the only source of randomness.
        strength: as of `photograph`.
    """
    width, height = document.image.size
    boxes = np.array(
        [
            (b.left * width, b.top * height, b.right * width, b.bottom * height)
            for b in (line.box for line in document.lines)
        ],
        dtype=np.float32,
    ).reshape(-1, 4)
    count = len(boxes)
    image, writing = photograph(
        document.image, Writing(["x"] * count, [0] * count, boxes), rng, strength=strength
    )
    edges = np.array(image.size * 2)
    places = np.clip(writing.boxes / edges, 0, 1).tolist()
    lines = [
        replace(line, box=Box(*place)) for line, place in zip(document.lines, places, strict=True)
    ]
    return replace(document, image=image, lines=lines)


def _crumpled(
    pixels: Pixels, rng: random.Random, noise: np.random.Generator, strength: float
) -> tuple[Pixels, Field]:
    """Folds and creases: the page's slopes shift what is seen and catch the light."""
    height, width = pixels.shape[:2]
    scale = _PLASMA_PIXELS / max(width, height)
    across, down = max(8, round(width * scale)), max(8, round(height * scale))
    xs, ys = (
        np.asarray(grid / _PLASMA_PIXELS, dtype=np.float32)
        for grid in np.meshgrid(np.arange(across), np.arange(down))
    )
    slope: Field = np.zeros((down, across, 2), dtype=np.float32)
    for _ in range(rng.choice((0, 1, 1, 2, 3))):  # straight folds
        angle = rng.gauss(0.0 if chance(rng, 0.3) else np.pi / 2, 0.04)
        normal = np.array([np.cos(angle), np.sin(angle)], dtype=np.float32)
        x, y = xs[0, -1] * rng.uniform(0.2, 0.8), ys[-1, 0] * rng.uniform(0.2, 0.8)
        side = np.tanh(((xs - x) * normal[0] + (ys - y) * normal[1]) * 60)
        depth = rng.choice((-1, 1)) * rng.uniform(0.5, 1.2)
        slope = slope + np.asarray((side * depth)[..., None] * normal, dtype=np.float32)
    if chance(rng, 0.6):
        slope = slope + _facets(rng, noise, xs, ys)
    ray = rng.uniform(0, 2 * np.pi)
    shade = slope[..., 0] * np.cos(ray) + slope[..., 1] * np.sin(ray)
    reach = rng.uniform(1.0, 4.0) * strength
    soft = cv2.GaussianBlur(slope, (0, 0), 3.0) * reach
    rolling = smooth_field(noise, (across, down), (3, 3), rng.uniform(0, 5) * strength)
    soft[..., 1] += rolling
    size = (width, height)
    shading = 1 + np.clip(shade * 0.13 * strength, -0.4, 0.25)
    light = cv2.resize(shading.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    shaded: Pixels = np.clip(pixels * light[..., None], 0, _FULL).astype(np.uint8)
    bend: Field = cv2.resize(soft, size, interpolation=cv2.INTER_LINEAR).astype(np.float32)
    return shaded, bend


def _facets(rng: random.Random, noise: np.random.Generator, xs: Field, ys: Field) -> Field:
    """Slopes of paper that was crumpled and smoothed: flat facets with sharp edges."""
    count = rng.choice((12, 30, 60, 110))
    wide, tall = float(xs.max()), float(ys.max())
    shift_x, shift_y = (smooth_field(noise, xs.shape[::-1], (9, 9), 0.02) for _ in "xy")
    best, owner = np.full(xs.shape, np.inf, np.float32), np.zeros(xs.shape, np.intp)
    for number in range(count):
        x, y = rng.uniform(0, wide), rng.uniform(0, tall)
        away = (xs + shift_x - x) ** 2 + (ys + shift_y - y) ** 2
        nearer = away < best
        best[nearer], owner[nearer] = away[nearer], number
    tilts = noise.normal(0, rng.uniform(0.3, 0.9), (count, 2)).astype(np.float32)
    facets: Field = cv2.GaussianBlur(tilts[owner], (0, 0), 0.6).astype(np.float32)
    return facets


def _seen_from(
    rng: random.Random, width: int, height: int, strength: float
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Where the page's corners stand in the photograph, and the photograph's (width, height)."""
    side = max(width, height)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    middle = corners.mean(axis=0)
    angle = rng.gauss(0, 0.035) * strength
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (corners - middle) @ turn.T.astype(np.float32)
    # A page that leans away: one side shorter, the height foreshortened.
    for axis in (0, 1):
        lean = rng.gauss(0, 0.05) * strength
        corners[:, axis] *= 1 + lean * np.sign(corners[:, 1 - axis])
    jitter = [[rng.gauss(0, 0.008) * side * strength for _ in "xy"] for _ in range(4)]
    corners += np.array(jitter, dtype=np.float32)
    corners -= corners.min(axis=0)
    left, right, above, below = (rng.uniform(-0.01, 0.12) * side for _ in range(4))
    span = corners.max(axis=0)
    size = (round(float(span[0] + left + right)), round(float(span[1] + above + below)))
    return corners + np.array([left, above], dtype=np.float32), size


def _table(rng: random.Random, noise: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """What the page lies on: wood, cloth, stone."""
    colour = np.array(rng.choice(_TABLES), dtype=np.float32) + rng.uniform(-12, 12)
    width, height = size
    fine = noise.normal(0, rng.uniform(1, 7), (height // 2 + 1, width // 2 + 1)).astype(np.float32)
    if chance(rng, 0.5):  # grain of wood
        fine = cv2.GaussianBlur(fine, (0, 0), sigmaX=25, sigmaY=0.7) * 4
    under = cv2.resize(fine, size) + smooth_field(noise, size, (5, 5), rng.uniform(2, 12))
    table: Pixels = np.clip(colour + under[..., None], 0, _FULL).astype(np.uint8)
    return table


def _under_page(table: Pixels, corners: NDArray[np.float32], rng: random.Random) -> Pixels:
    """The table with the page's soft shadow on it."""
    side = max(table.shape[:2])
    shape = np.zeros(table.shape[:2], dtype=np.uint8)
    away = np.array([rng.uniform(-0.01, 0.01), rng.uniform(-0.01, 0.01)]) * side
    cv2.fillPoly(shape, [(corners + away).round().astype(np.int32)], _FULL)
    soft = cv2.GaussianBlur(shape, (0, 0), max(1.0, side * 0.006)).astype(np.float32) / _FULL
    shaded: Pixels = (table * (1 - rng.uniform(0.2, 0.6) * soft[..., None])).astype(np.uint8)
    return shaded


def _lit(pixels: Pixels, rng: random.Random, strength: float) -> Pixels:
    """Light from one side, a shadow, the colour of a lamp, the shake of a hand."""
    height, width = pixels.shape[:2]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng.getrandbits(63))
        field = torch.full((1, 1, _PLASMA_PIXELS, _PLASMA_PIXELS), 0.5)
        if chance(rng, 0.6):
            shadow = RandomPlasmaShadow(
                roughness=(0.1, 0.35),
                shade_intensity=(-0.22 * strength, -0.06 * strength),
                shade_quantity=(0.2, 0.6),
                p=1.0,
            )
            field = shadow(field)
        if chance(rng, 0.5):
            slope = RandomLinearIllumination(gain=(0.02, 0.16 * strength), sign=(-1.0, 1.0), p=1.0)
            field = slope(field)
        elif chance(rng, 0.5):
            corner = RandomLinearCornerIllumination(gain=(0.02, 0.18 * strength), p=1.0)
            field = corner(field)
        if chance(rng, 0.3):
            field = RandomPlasmaBrightness(roughness=(0.1, 0.4), intensity=(0.0, 0.15), p=1.0)(
                field
            )
        light = cv2.resize(field[0, 0].numpy() * 2, (width, height), interpolation=cv2.INTER_LINEAR)
        light = cv2.GaussianBlur(light, (0, 0), max(width, height) * 0.008)
        lamp = np.array([1.0, rng.uniform(0.93, 1.0), rng.uniform(0.78, 1.02)], dtype=np.float32)
        exposure = rng.uniform(0.8, 1.04)
        lit = np.clip(pixels * light[..., None] * (lamp * exposure), 0, _FULL)
        if chance(rng, 0.3):
            shaken = RandomMotionBlur(3, (-90.0, 90.0), (-1.0, 1.0), border_type="replicate", p=1.0)
            image = torch.from_numpy(lit).permute(2, 0, 1)[None].float()
            lit = shaken(image)[0].permute(1, 2, 0).numpy()
    seen: Pixels = np.clip(lit, 0, _FULL).astype(np.uint8)
    return seen
