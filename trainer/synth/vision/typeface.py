"""A face at one size as grey masks of its glyphs, rendered once each."""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from trainer.synth.fonts import characters
from trainer.synth.vision.alphabet import ALPHABET, fold

Mask = NDArray[np.uint8]
_FINER = 2  # masks are rendered this much larger, then averaged: no hinting, places between pixels
_REFERENCE_PIXELS = 100
_CAPITAL = "E"
_KNOWN = frozenset(ALPHABET + " ")


class Stamp(NamedTuple):
    """A glyph's ink: its coverage (0 to 255) and where its corner stands from the pen."""

    mask: Mask
    left: int
    top: int


class Typeface:
    """One face at one size in pixels.

    Args:
        path: of the font file.
        size_pixels: the size of the em square.
        stretch: width of the glyphs over their own; tills print wide and narrow type so.
    """

    def __init__(self, path: str, size_pixels: int, stretch: float = 1.0) -> None:
        self.path = path
        self.size_pixels = size_pixels
        self.stretch = stretch
        self._font = ImageFont.truetype(
            path, size_pixels * _FINER, layout_engine=ImageFont.Layout.BASIC
        )
        self._fine: dict[str, Stamp | None] = {}
        self._stamps: dict[tuple[str, int], Stamp | None] = {}
        self._advances: dict[str, float] = {}
        self._written: dict[str, str] = {}

    def write(self, text: str) -> str:
        """`text` with each character that the face lacks in its plain form, or without it."""
        return "".join([self._written.get(c) or self._write(c) for c in text])

    def _write(self, character: str) -> str:
        known = characters(self.path) & _KNOWN
        text = character if character in known else fold(character)
        text = "".join(c for c in text if c == " " or (c in known and self._inked(c)))
        self._written[character] = text
        return text

    def _inked(self, character: str) -> bool:
        if character not in self._fine:
            self._fine[character] = self._draw(character)
        return self._fine[character] is not None

    def advance(self, character: str) -> float:
        """How far the pen moves, in pixels."""
        found = self._advances.get(character)
        if found is None:
            found = self._font.getlength(character) * self.stretch / _FINER
            self._advances[character] = found
        return found

    def length(self, text: str) -> float:
        """The length of the text in pixels, without kerning."""
        return sum([self.advance(c) for c in text])

    def stamp(self, character: str, phase: int) -> Stamp | None:
        """The glyph with the pen `phase` halves of a pixel to the right; None without ink."""
        key = (character, phase)
        if key not in self._stamps:
            self._stamps[key] = self._render(character, phase)
        return self._stamps[key]

    def _render(self, character: str, phase: int) -> Stamp | None:
        drawn = self._fine[character] if self._inked(character) else None
        if drawn is None:
            return None
        fine, left, top = drawn
        tall, wide = fine.shape
        left += phase
        x, y = left % _FINER, top % _FINER
        rows, columns = (tall + y + 1) // _FINER, (wide + x + 1) // _FINER
        padded = np.zeros((rows * _FINER, columns * _FINER), dtype=np.uint16)
        padded[y : y + tall, x : x + wide] = fine
        mean = padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2] >> 2
        return Stamp(mean.astype(np.uint8), left // _FINER, top // _FINER)

    def _draw(self, character: str) -> Stamp | None:
        """The glyph at twice its size, cut to its ink."""
        core, (left, top) = self._font.getmask2(character, mode="L", anchor="ls")
        box = core.getbbox()
        if box is None:
            return None
        x, y, right, bottom = box
        wide, tall = core.size
        fine = np.frombuffer(bytes(core), dtype=np.uint8).reshape(tall, wide)[y:bottom, x:right]
        left += x
        if self.stretch != 1:
            size = max(1, round((right - x) * self.stretch)), bottom - y
            fine = np.asarray(cv2.resize(fine, size, interpolation=cv2.INTER_LINEAR), np.uint8)
            left = round(left * self.stretch)
        return Stamp(fine, left, top + y)


@lru_cache(maxsize=256)
def typeface(path: str, size_pixels: int, stretch: float = 1.0) -> Typeface:
    """The face at a size; kept, as rendering its glyphs takes most of the time."""
    return Typeface(path, size_pixels, stretch)


@lru_cache(maxsize=1024)
def _capital_ratio(path: str) -> float:
    face = ImageFont.truetype(path, _REFERENCE_PIXELS)
    box = face.getbbox(_CAPITAL, anchor="ls")
    return max(0.3, -box[1] / _REFERENCE_PIXELS)


def typeface_of_height(path: str, capital_pixels: float, stretch: float = 1.0) -> Typeface:
    """The face at the size whose capital letters are nearest to this height."""
    return typeface(path, max(5, round(capital_pixels / _capital_ratio(path))), stretch)
