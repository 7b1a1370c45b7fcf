"""A sheet on which every glyph's place is known: coverage with ink, characters, boxes."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trainer.synth.vision.typeface import Typeface

Boxes = NDArray[np.float32]
_SPACE, _BREAK = 1, 2
_SEPARATORS = ("", " ", "\n")
_LEAST_INSIDE = 0.6  # of a cut glyph's area; less cannot be read


@dataclass(frozen=True, slots=True)
class Glyphs:
    """A picture with its text and the place of every character.

    Attributes:
        image: mode "L" or "RGB".
        text: in reading order, lines separated by a line feed. Characters that stand outside the
            picture are not in it.
        characters: the text without white space, one for each box.
        boxes: float32 [n, 4], pixels: left, top, right, bottom of each character's ink after all
            geometric changes.
    """

    image: Image.Image
    text: str
    characters: str
    boxes: Boxes


@dataclass(slots=True)
class Writing:
    """Characters with their boxes, and what separates each from the one before it.

    Attributes:
        characters: one for each box.
        gaps: 0 nothing, 1 a space, 2 a new line before the character.
        boxes: float32 [n, 4], pixels.
    """

    characters: list[str]
    gaps: list[int]
    boxes: Boxes

    def within(self, width: int, height: int) -> "Writing":
        """What can be read on a picture of this size, with the boxes cut at its edges."""
        if not len(self.boxes):
            return self
        edges = np.array([width, height, width, height], dtype=np.float32)
        cut = np.clip(self.boxes, 0, edges)
        size, whole = cut[:, 2:] - cut[:, :2], self.boxes[:, 2:] - self.boxes[:, :2]
        keep = size.prod(axis=1) >= _LEAST_INSIDE * np.maximum(whole.prod(axis=1), 1e-3)
        return Writing(*self._kept(keep.tolist()), cut[keep].astype(np.float32))

    def _kept(self, keep: list[bool]) -> tuple[list[str], list[int]]:
        characters, gaps, gap = [], [], 0
        for character, before, kept in zip(self.characters, self.gaps, keep, strict=True):
            gap = max(gap, before)
            if kept:
                characters.append(character)
                gaps.append(gap)
                gap = 0
        return characters, gaps

    @property
    def text(self) -> str:
        """The characters with spaces and line feeds."""
        parts = [_SEPARATORS[g] + c for g, c in zip(self.gaps, self.characters, strict=True)]
        return "".join(parts).strip()

    def on(self, image: Image.Image) -> Glyphs:
        """The finished picture with this writing."""
        return Glyphs(image, self.text, "".join(self.characters), self.boxes)


@dataclass(slots=True)
class Plate:
    """Collects ink. Coordinates are pixels and may lie outside; what lies there is cut off.

    Attributes:
        width: of the sheet.
        height: of the sheet.
        ink: coverage, uint8 [height, width]: 0 paper, 255 full ink.
    """

    width: int
    height: int
    ink: NDArray[np.uint8] = field(init=False)
    _characters: list[str] = field(init=False, default_factory=list)
    _gaps: list[int] = field(init=False, default_factory=list)
    _boxes: list[tuple[int, int, int, int]] = field(init=False, default_factory=list)
    _gap: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.ink = np.zeros((self.height, self.width), dtype=np.uint8)

    def line(self) -> None:
        """The next text begins a line."""
        self._gap = _BREAK

    def write(
        self, x: float, baseline: float, text: str, face: Typeface, *, spread: float = 0.0
    ) -> float:
        """Writes `text` from (x, baseline) on; returns where it ends.

        Args:
            x: of the pen before the first glyph.
            baseline: on which the letters stand.
            text: characters that the face lacks are written plainly (`Typeface.write`).
            face: the face at its size.
            spread: pixels more between characters.
        """
        self._gap = max(self._gap, _SPACE)
        foot = round(baseline)
        if not -3 * face.size_pixels < foot < self.height + 3 * face.size_pixels:
            return x + face.length(text)
        ink, wide, high = self.ink, self.width, self.height
        for character in face.write(text):
            if character == " ":
                self._gap = max(self._gap, _SPACE)
                x += face.advance(" ") + spread
                continue
            pixel = int(x // 1)
            stamp = face.stamp(character, int((x - pixel) * 2))
            x += face.advance(character) + spread
            if stamp is None:
                continue
            mask, left, top = stamp
            tall, across = mask.shape
            left += pixel
            top += foot
            right, bottom = left + across, top + tall
            self._characters.append(character)
            self._gaps.append(self._gap)
            self._boxes.append((left, top, right, bottom))
            self._gap = 0
            if left < 0 or top < 0 or right > wide or bottom > high:
                y, z = max(0, -top), max(0, -left)
                mask = mask[y : max(y, high - top), z : max(z, wide - left)]
                left, top = max(0, left), max(0, top)
                if not mask.size:
                    continue
                right, bottom = left + mask.shape[1], top + mask.shape[0]
            area = ink[top:bottom, left:right]
            np.maximum(area, mask, out=area)
        return x

    def rule(self, x: float, y: float, right: float, bottom: float, strength: int = 255) -> None:
        """A filled rectangle, at least one pixel thick."""
        left, top = max(0, round(x)), max(0, round(y))
        area = self.ink[top : max(top + 1, round(bottom)), left : max(left + 1, round(right))]
        np.maximum(area, np.uint8(strength), out=area)

    def scale(self, x: float, y: float, right: float, bottom: float, share: float) -> None:
        """Paler ink in a rectangle: its coverage times `share`."""
        area = self._area(x, y, right, bottom)
        area[...] = (area * share).astype(np.uint8)

    def invert(self, x: float, y: float, right: float, bottom: float, strength: int) -> None:
        """Pale on dark in a rectangle, whose ground is `strength`."""
        area = self._area(x, y, right, bottom)
        area[...] = ((255 - area.astype(np.uint16)) * strength // 255).astype(np.uint8)

    def _area(self, x: float, y: float, right: float, bottom: float) -> NDArray[np.uint8]:
        left, top = max(0, round(x)), max(0, round(y))
        return self.ink[top : max(top, round(bottom)), left : max(left, round(right))]

    def blank(self, x: float, y: float, right: float, bottom: float) -> bool:
        """No ink stands in the rectangle."""
        return not self._area(x, y, right, bottom).any()

    @property
    def writing(self) -> Writing:
        """What has been written so far, cut off parts too."""
        boxes = np.array(self._boxes, dtype=np.float32).reshape(-1, 4)
        return Writing(list(self._characters), list(self._gaps), boxes)
