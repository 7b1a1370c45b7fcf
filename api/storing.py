"""A document and its pages -> blobs and rows, in one transaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.upload import Upload
from db.blobs import BlobStore
from db.queries.documents import NewDocument, NewPage, add_with_pages
from db.tables import Document
from db.tables import Page as PageRow
from extraction.pages import Page, perceptual_hash


@dataclass(frozen=True, slots=True)
class EncodedPage:
    """A page as it is stored: upright, without the sent file's metadata.

    Attributes:
        jpeg: the image.
        perceptual_hash: 64 bits, signed.
    """

    index: int
    width_pixels: int
    height_pixels: int
    jpeg: bytes = field(repr=False)
    perceptual_hash: int


def encode_pages(pages: Sequence[Page]) -> list[EncodedPage]:
    """The pages as they are stored. Blocks; about 20 ms a page."""
    return [
        EncodedPage(
            index=page.index,
            width_pixels=page.width_pixels,
            height_pixels=page.height_pixels,
            jpeg=page.jpeg,
            perceptual_hash=perceptual_hash(page),
        )
        for page in pages
    ]


async def store_document(
    session: AsyncSession,
    blobs: BlobStore,
    tenant_id: UUID,
    upload: Upload,
    pages: Sequence[EncodedPage],
) -> tuple[Document, Sequence[PageRow]]:
    """The tenant's document of this content with its pages; its blobs are there when it returns.

    Raises:
        BlobStoreFull: there is no room.
    """
    contents = await asyncio.to_thread(
        lambda: {
            blobs.key_for(content): content
            for content in (upload.content, *(page.jpeg for page in pages))
        }
    )
    keys = {content: key for key, content in contents.items()}
    rows = tuple(
        NewPage(
            index=page.index,
            width_pixels=page.width_pixels,
            height_pixels=page.height_pixels,
            blob_key=keys[page.jpeg],
            perceptual_hash=page.perceptual_hash,
        )
        for page in pages
    )
    if upload.is_text:  # its lines need a page to stand on; it has no image
        rows = (NewPage(0, 0, 0, keys[upload.content]),)
    new = NewDocument(
        content_sha256=upload.content_sha256,
        media_type=upload.media_type,
        size_bytes=len(upload.content),
        blob_key=keys[upload.content],
        pages=rows,
        perceptual_hash=pages[0].perceptual_hash if pages else None,
    )
    document, stored = await add_with_pages(session, tenant_id, new)
    # A document that was there may have pages that another version encoded; what no row names must
    # not lie in the store, where no erasure would find it.
    used = {document.blob_key, *(row.blob_key for row in stored)}
    await asyncio.gather(*(blobs.put(contents[key]) for key in used & set(contents)))
    return document, stored
