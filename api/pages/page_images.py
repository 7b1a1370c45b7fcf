"""Page images for the pages: small ones for lists, and regions that are read again."""

import asyncio
import io
from uuid import UUID

from fastapi import Response
from PIL import Image

from api.auth import Caller
from api.dependencies import Services
from db.queries.documents import get_page
from db.queries.predictions import get_prediction
from extraction.lines import Box, Line
from extraction.pages import Page

_THUMBNAIL = (144, 192)
_KEPT_SECONDS = 300
_JPEG_QUALITY = 80
# What is drawn by hand cuts letters at its border: a little more is read around it.
_MARGIN_RATIO = 0.006
# The detector does not find text that fills its picture.
_BORDER_PIXELS = 24


async def read_blob(services: Services, caller: Caller, prediction_id: UUID, index: int) -> bytes:
    """The stored image of a page.

    Raises:
        NotFound: no such prediction of this tenant, or no such page.
    """
    async with services.sessions.begin() as session:
        prediction = await get_prediction(session, caller.tenant_id, prediction_id)
        stored = await get_page(session, caller.tenant_id, prediction.document_id, index)
    return await services.blobs.get(stored.blob_key)


async def thumbnail(services: Services, caller: Caller, prediction_id: UUID) -> Response:
    """The first page, small enough for a list."""
    content = await read_blob(services, caller, prediction_id, 0)
    small = await asyncio.to_thread(_shrink, content)
    headers = {
        "Cache-Control": f"private, max-age={_KEPT_SECONDS}",
        "Vary": "Authorization, Cookie",
    }
    return Response(small, headers=headers, media_type="image/jpeg")


async def read_region(
    services: Services, caller: Caller, prediction_id: UUID, index: int, box: Box
) -> list[Line] | None:
    """What stands in a box of a page, read anew; None where this service reads no lines.

    Waits for a place like any extraction, for it takes the same models.

    Raises:
        NotFound: no such prediction of this tenant, or no such page.
        QueueFull, QueueTimeout: too many wait.
    """
    reader = services.extractor.readers.lines
    content = await read_blob(services, caller, prediction_id, index)
    if reader is None:
        return None
    region, crop = await asyncio.to_thread(_crop, content, box)
    async with services.admission.place():
        lines = await asyncio.to_thread(reader.read, Page(index, crop))
    width = crop.width - 2 * _BORDER_PIXELS
    height = crop.height - 2 * _BORDER_PIXELS

    def along(ratio: float, whole: int, inner: int, start: float, length: float) -> float:
        """A ratio of the bordered crop as a ratio of the page."""
        inside = min(max((ratio * whole - _BORDER_PIXELS) / inner, 0.0), 1.0)
        return start + inside * length

    return [
        Line(
            line.text,
            Box(
                along(line.box.left, crop.width, width, region.left, region.width),
                along(line.box.top, crop.height, height, region.top, region.height),
                along(line.box.right, crop.width, width, region.left, region.width),
                along(line.box.bottom, crop.height, height, region.top, region.height),
            ),
            line.score,
            index,
        )
        for line in lines
    ]


def _shrink(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content)) as image:
        image.draft("RGB", (_THUMBNAIL[0] * 2, _THUMBNAIL[1] * 2))
        small = image.convert("RGB")
    small.thumbnail(_THUMBNAIL)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()


def _crop(content: bytes, box: Box) -> tuple[Box, Image.Image]:
    """The region that is read, in whole pixels as ratios of the page, and its image on white."""
    with Image.open(io.BytesIO(content)) as opened:
        image = opened.convert("RGB")
    width, height = image.size
    left = max(0, int((box.left - _MARGIN_RATIO) * width))
    top = max(0, int((box.top - _MARGIN_RATIO) * height))
    right = min(width, max(left + 1, int((box.right + _MARGIN_RATIO) * width) + 1))
    bottom = min(height, max(top + 1, int((box.bottom + _MARGIN_RATIO) * height) + 1))
    cut = image.crop((left, top, right, bottom))
    framed = Image.new(
        "RGB", (cut.width + 2 * _BORDER_PIXELS, cut.height + 2 * _BORDER_PIXELS), "white"
    )
    framed.paste(cut, (_BORDER_PIXELS, _BORDER_PIXELS))
    return Box(left / width, top / height, right / width, bottom / height), framed
