"""How large a model that sees is shown its pages, and how many of them.

What a page costs is the model's affair: a model of SmolVLM's family cuts it into square tiles, each
of a fixed number of tokens, and adds a small picture of the whole; how many tiles decides how long
an answer takes. So its card says what it was trained with, and how many tiles a prompt may have:
few beside the lines, more where it reads alone. The family's processor stretches a page to whole
tiles; a model that was trained on letters of their own shape has its pages padded instead.

    "pages": {"tile_pixels": 512, "most_tiles": 3, "most_tiles_alone": 9, "padded": true}
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from extraction.pages import Page
from extraction.written import stretched

_JPEG_QUALITY = 90
_WHOLE = 1  # the small picture of a page that is cut


@dataclass(frozen=True, slots=True)
class ShownPages:
    """What goes into a prompt.

    Attributes:
        images: encoded, in order.
        options: what the model's image processor has to be told, as it names it.
    """

    images: tuple[bytes, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PageView:
    """The view of a model version; the default shows pages as they are.

    Attributes:
        side_pixels: longer side of a page that is shown; a smaller page is not enlarged. None for
            pages as they are, and for a model with tiles.
        side_pixels_alone: the same where the model reads without lines; as `side_pixels` where
            None.
        tile_pixels: edge of a tile where the model's processor cuts pages into tiles
            (Idefics3, SmolVLM); None where it takes any size.
        most_tiles: tiles that all pages of a prompt may take together; 0 where none is shown beside
            lines.
        most_tiles_alone: the same where the model reads without lines.
        padded: whether white is added to a page until it fills whole tiles, so that the processor
            need not stretch it.
        stretched: whether a page's written part is stretched to one tile.
    """

    side_pixels: int | None = None
    side_pixels_alone: int | None = None
    tile_pixels: int | None = None
    most_tiles: int = 1
    most_tiles_alone: int = 1
    padded: bool = False
    stretched: bool = False

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "PageView":
        """The view as a card states it.

        Raises:
            ValueError: an entry that is none of the view's, or not what it should be.
        """
        known = {name: content[name] for name in cls.__slots__ if name in content}
        wrong = [name for name, value in known.items() if not _is_right(name, value)]
        if wrong or known.keys() != content.keys():
            raise ValueError("pages: " + ", ".join(sorted([*wrong, *(content.keys() - known)])))
        return cls(**known)

    def show(self, pages: Sequence[Page], most_pages: int, *, alone: bool) -> ShownPages:
        """The first pages, as many as there is room for, each of the size that is right for them.

        Args:
            pages: of the document.
            most_pages: more are never shown.
            alone: whether the model has nothing but these images.
        """
        most = most_pages
        if self.tile_pixels is not None:
            most = min(most, self._tiles(alone=alone))
        shown = pages[:most]
        if not shown:
            return ShownPages()
        side = self.side([page.image.size for page in shown], alone=alone)
        images = tuple(self._encoded(page, side) for page in shown)
        # The processor scales every page to this side; what is larger would only travel.
        return ShownPages(images, {"size": {"longest_edge": side}} if self.tile_pixels else {})

    def shows_any(self, *, alone: bool) -> bool:
        """Whether a prompt has a page at all.

        Args:
            alone: whether the model has nothing but the page.
        """
        return self.tile_pixels is None or self._tiles(alone=alone) > 0

    def _tiles(self, *, alone: bool) -> int:
        return self.most_tiles_alone if alone else self.most_tiles

    def fit(self, image: Image.Image, side_pixels: int | None) -> Image.Image:
        """A page as it travels: at most so large, and padded or stretched as the model wants it.

        Args:
            image: the page.
            side_pixels: as `side` says it.
        """
        if self.stretched and self.tile_pixels is not None:
            return stretched(image, self.tile_pixels)
        image = fitted(image, side_pixels)
        if not self.padded or self.tile_pixels is None or side_pixels is None:
            return image
        return padded(image, side_pixels // self.tile_pixels)

    def _encoded(self, page: Page, side_pixels: int | None) -> bytes:
        image = self.fit(page.image, side_pixels)
        if image is page.image:
            return page.jpeg
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
        return buffer.getvalue()

    def side(self, sizes: Sequence[tuple[int, int]], *, alone: bool) -> int | None:
        """The longer side to which pages of a prompt are scaled; None leaves them as they are.

        With tiles: as many whole ones as there is room for, and no more than to the next whole tile
        above the largest page.

        Args:
            sizes: width and height of each page.
            alone: whether the model has nothing but these images.
        """
        if self.tile_pixels is None:
            return (self.side_pixels_alone if alone else None) or self.side_pixels
        most = self._tiles(alone=alone)
        largest = max(math.ceil(max(size) / self.tile_pixels) for size in sizes)
        for count in range(largest, 1, -1):
            if sum(tiles_of(size, count) for size in sizes) <= most:
                return count * self.tile_pixels
        return self.tile_pixels


def tiles_of(size: tuple[int, int], count: int) -> int:
    """The tiles of a page whose longer side is `count` of them, with the picture of the whole.

    As Idefics3's image processor counts (transformers 5.19): the shorter side is rounded up to
    whole tiles, and a page of a single tile has no picture beside it.
    """
    if count == 1:
        return 1
    across = math.ceil(count * min(size) / max(size))
    return count * across + _WHOLE


def padded(image: Image.Image, count: int) -> Image.Image:
    """The page with white at its right or foot, until whole tiles hold it without stretching it.

    Args:
        image: the page.
        count: tiles along its longer side.
    """
    width, height = image.size
    longer = max(image.size)
    across = math.ceil(count * min(image.size) / longer)
    # Not a pixel more: what is rounded up to another tile costs its tokens.
    shorter = longer * across // count
    size = (shorter, height) if height >= width else (width, shorter)
    if size == image.size:
        return image
    page = Image.new("RGB", size, "white")
    page.paste(image.convert("RGB"), (0, 0))
    return page


def fitted(image: Image.Image, side_pixels: int | None) -> Image.Image:
    """The image, scaled down where its longer side is above the given one."""
    longer = max(image.size)
    if side_pixels is None or longer <= side_pixels:
        return image
    width, height = (max(round(length * side_pixels / longer), 1) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _is_right(name: str, value: Any) -> bool:
    if name in {"padded", "stretched"}:
        return isinstance(value, bool)
    least = 0 if name == "most_tiles" else 1
    return value is None or (type(value) is int and value >= least)
