"""Pages as small JPEG texts that stand in the report itself."""

import base64
import io

from PIL import Image, ImageOps

MOST_PIXELS = 700
_JPEG_QUALITY = 72
_TAKEN = "RGB"


def shrink(content: bytes, most_pixels: int = MOST_PIXELS) -> str:
    """An image file as base64 JPEG with no side above `most_pixels`, without metadata.

    Raises:
        PIL.UnidentifiedImageError: it is no image.
    """
    with Image.open(io.BytesIO(content)) as opened:
        image = ImageOps.exif_transpose(opened).convert(_TAKEN)
    image.thumbnail((most_pixels, most_pixels), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
