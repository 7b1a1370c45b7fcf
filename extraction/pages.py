"""bytes -> list[Page]: upright RGB pages of bounded size from images and PDF files."""

import io
from dataclasses import dataclass
from functools import cached_property

from PIL import Image

from extraction.errors import DocumentTooLarge, UnreadableDocument
from extraction.images import read_images
from extraction.media import PDF, media_type
from extraction.page_limits import PageLimits
from extraction.pdf import read_pdf

__all__ = ["Page", "PageLimits", "load_pages", "media_type", "perceptual_hash"]


@dataclass(frozen=True, eq=False)
class Page:
    """One page of a document: upright, RGB, of bounded size, without metadata.

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

    @property
    def size_bytes(self) -> int:
        """What the pixels take in memory: Pillow pads RGB to four bytes."""
        return 4 * self.image.width * self.image.height

    def png_bytes(self) -> bytes:
        """The page as PNG, lossless; for a model that sees."""
        buffer = io.BytesIO()
        self.image.save(buffer, "PNG", compress_level=3)
        return buffer.getvalue()

    @cached_property
    def jpeg(self) -> bytes:
        """The page as JPEG, encoded once: what is stored is what a model is shown."""
        return self.jpeg_bytes()

    def jpeg_bytes(self, quality: int = 90) -> bytes:
        """The page as JPEG, without the sent file's metadata."""
        buffer = io.BytesIO()
        self.image.save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()


def load_pages(content: bytes, limits: PageLimits | None = None) -> list[Page]:
    """The pages of a document. Its bytes decide what it is, not its name.

    A PDF is drawn in a child process of bounded memory and time. Blocks; seconds for many pages.

    Args:
        content: a JPEG, PNG, WebP, TIFF, HEIC or PDF file.
        limits: what is accepted; the defaults where absent.

    Raises:
        UnreadableDocument: empty, damaged, or smaller than anything that can be read.
        UnsupportedFormat: any other format.
        EncryptedDocument: a PDF that needs a password.
        DocumentTooLarge: more bytes, pixels or pages than the limits; found before decoding.
    """
    limits = limits or PageLimits()
    if not content:
        raise UnreadableDocument("it is empty")
    if len(content) > limits.bytes:
        raise DocumentTooLarge("bytes", len(content), limits.bytes)
    kind = media_type(content)
    images = read_pdf(content, limits) if kind == PDF else read_images(content, kind, limits)
    return [Page(index, image) for index, image in enumerate(images)]


def perceptual_hash(page: Page) -> int:
    """A 64-bit hash, signed, whose Hamming distance is small for pages that look alike.

    The signs of the lowest 8 x 8 DCT coefficients against their median (pHash, Zauner 2010).
    """
    import imagehash
    import numpy as np

    bits = imagehash.phash(page.image).hash
    return int.from_bytes(np.packbits(bits.ravel()).tobytes(), "big", signed=True)
