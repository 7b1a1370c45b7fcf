"""Image files -> upright RGB images of bounded size."""

import io
import re
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from PIL import Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from extraction.errors import (
    DocloopError,
    DocumentTooLarge,
    UnreadableDocument,
    UnsupportedFormat,
)
from extraction.media import HEIC, JPEG, PNG, TIFF, WEBP
from extraction.page_limits import PageLimits

# A progressive JPEG has about ten scans. Thousands of empty ones fit into a small file, and each
# costs a pass over all of its pixels.
MOST_JPEG_SCANS = 100
# EXIF tag and its values (CIPA DC-008): how to turn the stored pixels upright.
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Modes whose values are light, so that scaling may average them.
_SMOOTH_MODES = {"L", "LA", "RGB", "RGBA", "CMYK", "YCbCr"}
# Bit 0 of TIFF's NewSubfileType (tag 254): a smaller copy of another page.
_SUBFILE_TYPE, _REDUCED = 254, 1


def read_images(content: bytes, media_type: str, limits: PageLimits) -> list[Image.Image]:
    """The pages of an image file: one, or a TIFF's many.

    Raises:
        UnreadableDocument: damaged, cut off, or too small to be read.
        UnsupportedFormat: an animation.
        DocumentTooLarge: more pixels or pages than the limits; found before decoding.
    """
    try:
        return list(_READERS[media_type](content, limits))
    except DocloopError:
        raise
    except Exception as error:
        # Decoders raise nearly every type there is for damaged bytes; what they say may quote them.
        raise UnreadableDocument(f"it is damaged or cut off ({type(error).__name__})") from error


def _read_jpeg(content: bytes, limits: PageLimits) -> Iterator[Image.Image]:
    # The class rather than Image.open: it takes one format only, and Pillow's own pixel limit does
    # not come before ours with a warning.
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(content))
    _check_size(image.size, limits)
    if len(re.findall(b"\xff\xda", content)) > MOST_JPEG_SCANS:
        raise UnreadableDocument(f"it has more than {MOST_JPEG_SCANS} progressive scans")
    scale = min(limits.scale(*image.size), 1.0)
    # The decoder can leave out detail that scaling down would remove, in steps of two.
    image.draft(None, (int(image.width * scale) or 1, int(image.height * scale) or 1))
    yield _page(image, limits)


def _read_png(content: bytes, limits: PageLimits) -> Iterator[Image.Image]:
    image = PngImagePlugin.PngImageFile(io.BytesIO(content))
    _check_size(image.size, limits)
    yield _page(image, limits)


def _read_webp(content: bytes, limits: PageLimits) -> Iterator[Image.Image]:
    # Its decoder takes memory for all pixels when it is opened, so the size is read before.
    size = _webp_size(content)
    if size is None:
        raise UnreadableDocument("its header is damaged")
    _check_size(size, limits)
    image = WebPImagePlugin.WebPImageFile(io.BytesIO(content))
    _check_size(image.size, limits)
    if image.n_frames > 1:
        raise UnsupportedFormat("An animated WebP")
    yield _page(image, limits)


def _webp_size(content: bytes) -> tuple[int, int] | None:
    """Width and height from the first chunk (RFC 9649, section 2.5 on)."""
    kind, start = content[12:16], content[16:32]
    if len(start) < 14:  # noqa: PLR2004 chunk size and the longest of the three headers
        return None
    match kind:
        case b"VP8 ":
            width, height = (int.from_bytes(start[at : at + 2], "little") for at in (10, 12))
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            bits = int.from_bytes(start[5:9], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            width, height = (int.from_bytes(start[at : at + 3], "little") for at in (8, 11))
            return width + 1, height + 1
        case _:
            return None


def _read_tiff(content: bytes, limits: PageLimits) -> Iterator[Image.Image]:
    # Pillow's own count reads every directory: 1.5 s for 10,000 frames.
    count = _tiff_directories(content)
    if count > limits.pages:
        raise DocumentTooLarge("pages", count, limits.pages)
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(content))
    frames = []
    for frame in range(image.n_frames):
        image.seek(frame)
        if frame and int(image.tag_v2.get(_SUBFILE_TYPE, 0)) & _REDUCED:
            continue
        _check_size(image.size, limits)
        frames.append(frame)
    for frame in frames:
        image.seek(frame)
        yield _page(image, limits)


def _tiff_directories(content: bytes) -> int:
    """Length of the chain of image file directories (TIFF 6.0, section 2; BigTIFF is wider)."""
    order: Literal["little", "big"] = "little" if content[:1] == b"I" else "big"
    big = b"+" in content[2:4]  # version 43, where a plain TIFF says 42
    first, offset_bytes, count_bytes, entry_bytes = (8, 8, 8, 20) if big else (4, 4, 2, 12)

    def number(at: int, length: int) -> int:
        return int.from_bytes(content[at : at + length], order)

    seen: set[int] = set()
    at = number(first, offset_bytes)
    while 0 < at < len(content) and at not in seen:
        seen.add(at)
        entries = number(at, count_bytes)
        at = number(at + count_bytes + entries * entry_bytes, offset_bytes)
    return len(seen)


def _read_heic(content: bytes, limits: PageLimits) -> Iterator[Image.Image]:
    import pillow_heif

    heif = pillow_heif.open_heif(io.BytesIO(content))
    image = heif[heif.primary_index]
    _check_size(image.size, limits)
    yield _page(image.to_pillow(), limits)


_READERS: dict[str, Callable[[bytes, PageLimits], Iterator[Image.Image]]] = {
    JPEG: _read_jpeg,
    PNG: _read_png,
    WEBP: _read_webp,
    TIFF: _read_tiff,
    HEIC: _read_heic,
}


def _check_size(size: tuple[int, int], limits: PageLimits) -> None:
    width, height = size
    if max(size) > limits.side_pixels:
        raise DocumentTooLarge("pixels on one side of a page", max(size), limits.side_pixels)
    if width * height > limits.pixels:
        raise DocumentTooLarge("pixels on a page", width * height, limits.pixels)
    if min(size) < limits.least_side_pixels:
        least = limits.least_side_pixels
        raise UnreadableDocument(
            f"a page has {width} x {height} pixels, and at least {least} x {least} are needed"
        )


def _page(image: Image.Image, limits: PageLimits) -> Image.Image:
    """Decodes, scales down, makes RGB and upright; drops all metadata."""
    image.load()
    orientation = _orientation(image)
    # Before the change to RGB where the mode allows it: a page of 50 MP takes 200 MB in each mode.
    upright = _fitted(image, limits) if image.mode in _SMOOTH_MODES else image
    upright = _fitted(_rgb(upright), limits)
    if orientation in _UPRIGHT:
        upright = upright.transpose(_UPRIGHT[orientation])
    if upright is image:
        upright = upright.copy()
    upright.info.clear()
    return upright


def _fitted(image: Image.Image, limits: PageLimits) -> Image.Image:
    """The image, scaled down to a page's bounded size."""
    scale = limits.scale(*image.size)
    width, height = (max(round(side * scale), 1) for side in image.size)
    if scale >= 1 or (width, height) == image.size:
        return image
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where absent or damaged. TIFF and HEIC apply theirs."""
    if isinstance(image, ImageFile.ImageFile):
        try:
            return int(image.getexif().get(_ORIENTATION, 1))
        except Exception:  # noqa: BLE001 damaged metadata raises anything, and the pixels are fine
            return 1
    return 1


def _rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB: deep grey scaled by its range, transparency laid on white paper."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        return _stretched(image).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(layer, mask=layer.getchannel("A"))
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def _stretched(image: Image.Image) -> Image.Image:
    """32-bit grey has no agreed white, so its own darkest and lightest pixels become the ends."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return Image.new("L", image.size, "white")
    return Image.fromarray(((values - low) * (255.0 / (high - low))).astype(np.uint8))
