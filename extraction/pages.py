"""bytes -> list[Page]: upright RGB pages of bounded size."""

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One page of a document: upright, RGB, of bounded size.

    Attributes:
        index: position in the document, from 0.
        image: the pixels, mode RGB.
    """

    index: int
    image: Image.Image

    @property
    def width_pixels(self) -> int:
        """Width of the image."""
        return self.image.width

    @property
    def height_pixels(self) -> int:
        """Height of the image."""
        return self.image.height
