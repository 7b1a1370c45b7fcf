"""Ink on paper: how coverage becomes a picture."""

import random
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from trainer.synth.dice import chance, weighted
from trainer.synth.vision.warp import Pixels, smooth_field

_FULL = 255
PAPERS = {"laser": 4.0, "thermal": 3.0, "scan": 2.0, "card": 1.2, "dots": 0.8}
_INKS = ((0.1, 0.15, 0.5), (0.5, 0.1, 0.12), (0.08, 0.35, 0.25), (0.25, 0.25, 0.25))
RECEIPT_PAPERS = {"laser": 1.0, "thermal": 7.0, "scan": 1.0, "dots": 1.0}


def ink_on_paper(
    rng: random.Random,
    ink: Pixels,
    papers: Mapping[str, float] = PAPERS,
    *,
    colour: bool = False,
) -> Pixels:
    """A grey or coloured picture of ink on one of several papers.

    Args:
        rng: the only source of randomness.
        ink: coverage, uint8 [height, width]: 0 paper, 255 full ink.
        papers: weights of "laser", "thermal", "scan", "card" and "dots".
        colour: the result has three channels.

    Returns:
        uint8 [height, width], or [height, width, 3] in colour.
    """
    kind = weighted(rng, papers)
    noise = np.random.default_rng(rng.getrandbits(64))
    if kind == "laser":
        page = _toned(ink, rng.randint(238, 255), rng.randint(0, 60))
    elif kind == "thermal":
        page = thermal(rng, noise, _bled(rng, noise, ink) if chance(rng, 0.4) else ink)
    elif kind == "dots":
        page = _toned(_dotted(rng, ink), rng.randint(225, 255), rng.randint(20, 90))
    elif kind == "scan":
        page = textured(
            noise, _toned(_bled(rng, noise, ink), rng.randint(215, 252), rng.randint(10, 90)), rng
        )
    else:
        page = _card(rng, noise, ink)
    return _tinted(rng, page) if colour else page


def _tinted(rng: random.Random, page: Pixels) -> Pixels:
    """Grey values as colours between an ink's and a paper's; mostly nearly grey."""
    strong = chance(rng, 0.3)
    paper = np.array([rng.uniform(0.84 if strong else 0.94, 1) for _ in range(3)])
    ink = np.array(rng.choice(_INKS) if strong else (0.0, 0.0, rng.uniform(0, 0.1)))
    shade = np.arange(256)[:, None] / _FULL
    values = (ink * (1 - shade) + paper * shade) * _FULL
    tinted: Pixels = cv2.LUT(cv2.cvtColor(page, cv2.COLOR_GRAY2RGB), values.astype(np.uint8)[None])
    return tinted.astype(np.uint8)


def _toned(ink: Pixels, paper: int, dark: int) -> Pixels:
    """Grey values between the paper's and the ink's."""
    values = paper + (dark - paper) * np.arange(256) / _FULL
    page: Pixels = cv2.LUT(ink, values.astype(np.uint8)).astype(np.uint8)
    return page


def _bled(rng: random.Random, noise: np.random.Generator, ink: Pixels) -> Pixels:
    """Ink that ran into the paper, or print that is too thin."""
    kernel = np.ones((2, 2), np.uint8)
    if chance(rng, 0.3):  # edges as of a print that was copied
        rough = ink + smooth_field(noise, ink.shape[::-1], ink.shape[::-1], rng.uniform(20, 70))
        hard = np.where(rough > rng.uniform(90, 150), np.uint8(_FULL), np.uint8(0))
        return np.asarray(cv2.GaussianBlur(hard, (0, 0), rng.uniform(0.4, 0.7)), dtype=np.uint8)
    other = weighted(rng, {"as it is": 0.6, "bold": 0.25, "thin": 0.15})
    if other == "as it is":
        return ink
    changed = (cv2.dilate if other == "bold" else cv2.erode)(ink, kernel)
    return np.asarray(cv2.addWeighted(ink, 0.55, changed, 0.45, 0), dtype=np.uint8)


def thermal(rng: random.Random, noise: np.random.Generator, ink: Pixels) -> Pixels:
    """Thermal print: greyish, paler in bands and patches, with missing rows of dots."""
    height, width = ink.shape
    knots = (rng.choice((1, 2, 4)), rng.randint(3, 9))
    worn = 0.12 + smooth_field(noise, (width, height), knots, rng.uniform(0.02, 0.3))
    if chance(rng, 0.25):  # a dead element of the head: a pale line along the paper
        x = rng.randrange(width)
        worn[:, x : x + rng.randint(1, 2)] += 0.5
    if chance(rng, 0.4):  # spots where the paper was rubbed or lay in the sun
        spots = smooth_field(noise, (width, height), (max(2, width // 14), max(2, height // 14)), 1)
        worn += np.clip((spots - rng.uniform(0.7, 1.8)) * 2, 0, 0.75)
    worn = np.clip(worn, 0, 0.78)
    dark = rng.randint(15, 100)
    paper = rng.randint(max(205, dark + 120), 253)
    share = ink.astype(np.float32) * ((1 - worn) * ((paper - dark) / _FULL))
    page: Pixels = np.clip(paper - share, 0, _FULL).astype(np.uint8)
    return page


def _dotted(rng: random.Random, ink: Pixels) -> Pixels:
    """Print made of separate dots or needle strokes, three or four to the height of a capital."""
    step = rng.choice((2, 2, 3))
    mask = np.full(ink.shape, rng.uniform(0.55, 0.85), dtype=np.float32)
    mask[::step] = 1
    if chance(rng, 0.5):
        mask[:, ::step] = np.maximum(mask[:, ::step], 0.9)
    dots: Pixels = (ink * mask).astype(np.uint8)
    return dots


def textured(noise: np.random.Generator, page: Pixels, rng: random.Random) -> Pixels:
    """The paper's grain: fine fibres and larger clouds."""
    height, width = page.shape[:2]
    fibres = smooth_field(
        noise, (width, height), (max(2, width // 3), max(2, height // 3)), rng.uniform(1, 6)
    )
    clouds = smooth_field(noise, (width, height), (6, 6), rng.uniform(0, 5))
    shaded: Pixels = np.clip(page + fibres + clouds, 0, _FULL).astype(np.uint8)
    return shaded


def _card(rng: random.Random, noise: np.random.Generator, ink: Pixels) -> Pixels:
    """Dark ink on grey paper with waves or clouds below the print."""
    height, width = ink.shape
    paper = rng.randint(190, 250) + smooth_field(noise, (width, height), (5, 5), rng.uniform(2, 12))
    if chance(rng, 0.6):
        paper -= waves_of(rng, width, height) * rng.uniform(5, 24)
    paper += (rng.randint(10, 70) - paper) * (ink.astype(np.float32) / _FULL)
    page: Pixels = np.clip(paper, 0, _FULL).astype(np.uint8)
    return page


def waves_of(rng: random.Random, width: int, height: int) -> NDArray[np.float32]:
    """Fine wavy lines as security paper has them; 0 to 1."""
    xs = np.arange(width, dtype=np.float32)[None, :]
    ys = np.arange(height, dtype=np.float32)[:, None]
    swing = rng.uniform(2, 14) * np.sin(xs / rng.uniform(9, 60) + rng.uniform(0, 6))
    lines = np.sin((ys + swing) * (6.28 / rng.uniform(5, 14)))
    waves: NDArray[np.float32] = np.clip(lines * 2 - 1, 0, 1).astype(np.float32)
    return waves
