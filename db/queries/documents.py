"""Documents and their pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.queries.blobs import doom_blobs, lock_blobs, used_blobs
from db.tables import Document, Page, Prediction
from db.types import uuid7

HOLDOUT_ONE_IN = 5


@dataclass(frozen=True, slots=True)
class NewPage:
    """A page as it is stored; `perceptual_hash` signed (`db.types.signed64`)."""

    index: int
    width_pixels: int
    height_pixels: int
    blob_key: str
    perceptual_hash: int | None = None


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document as it is stored; `perceptual_hash` signed (`db.types.signed64`)."""

    content_sha256: bytes
    media_type: str
    size_bytes: int
    blob_key: str
    pages: tuple[NewPage, ...]
    perceptual_hash: int | None = None


def is_holdout(content_sha256: bytes) -> bool:
    """Whether a document is never trained on: one in five, by its content alone."""
    return int.from_bytes(content_sha256[:8], "big") % HOLDOUT_ONE_IN == 0


async def add_document(session: AsyncSession, tenant_id: UUID, new: NewDocument) -> Document:
    """The tenant's document of this content; see `add_with_pages`."""
    return (await add_with_pages(session, tenant_id, new))[0]


async def add_with_pages(
    session: AsyncSession, tenant_id: UUID, new: NewDocument
) -> tuple[Document, Sequence[Page]]:
    """The tenant's document of this content, made where there is none; many at once make one.

    The blobs' locks are held until the transaction ends: `put` the contents before the commit.
    """
    await lock_blobs(session, {new.blob_key, *(page.blob_key for page in new.pages)})
    values = {
        "id": uuid7(),
        "tenant_id": tenant_id,
        "content_sha256": new.content_sha256,
        "perceptual_hash": new.perceptual_hash,
        "media_type": new.media_type,
        "size_bytes": new.size_bytes,
        "blob_key": new.blob_key,
        "page_count": len(new.pages),
        "holdout": is_holdout(new.content_sha256),
    }
    added = insert(Document).values(values).on_conflict_do_nothing().returning(Document)
    document = (await session.execute(added)).scalar_one_or_none()
    if document is not None and new.pages:
        rows = [
            {
                "document_id": document.id,
                "index": page.index,
                "width_pixels": page.width_pixels,
                "height_pixels": page.height_pixels,
                "blob_key": page.blob_key,
                "perceptual_hash": page.perceptual_hash,
            }
            for page in new.pages
        ]
        # Rows as parameters: a statement with them in it would be compiled anew each time.
        made = await session.execute(insert(Page).returning(Page), rows)
        return document, sorted(made.scalars(), key=lambda page: page.index)
    if document is not None:
        return document, ()
    # The lock is for an erasure that may be under way: a document that was there stays there until
    # the caller's prediction refers to it.
    query = (
        select(Document)
        .where(Document.tenant_id == tenant_id, Document.content_sha256 == new.content_sha256)
        .with_for_update(read=True, key_share=True)
    )
    found = (await session.execute(query)).scalar_one_or_none()
    if found is None:  # erased between our two statements; the next attempt inserts
        return await add_with_pages(session, tenant_id, new)
    return found, await list_pages(session, tenant_id, found.id)


async def get_document(session: AsyncSession, tenant_id: UUID, document_id: UUID) -> Document:
    """A tenant's document.

    Raises:
        NotFound: no such document of this tenant.
    """
    query = select(Document).where(Document.tenant_id == tenant_id, Document.id == document_id)
    found = (await session.execute(query)).scalar_one_or_none()
    if found is None:
        raise NotFound("document", str(document_id))
    return found


async def list_pages(session: AsyncSession, tenant_id: UUID, document_id: UUID) -> Sequence[Page]:
    """The pages of a tenant's document, in order; none where the document is another's."""
    query = (
        select(Page)
        .join(Document, Document.id == Page.document_id)
        .where(Document.tenant_id == tenant_id, Document.id == document_id)
        .order_by(Page.index)
    )
    return (await session.execute(query)).scalars().all()


async def get_page(session: AsyncSession, tenant_id: UUID, document_id: UUID, index: int) -> Page:
    """One page of a tenant's document.

    Raises:
        NotFound: no such page of this tenant.
    """
    query = (
        select(Page)
        .join(Document, Document.id == Page.document_id)
        .where(Document.tenant_id == tenant_id, Document.id == document_id, Page.index == index)
    )
    found = (await session.execute(query)).scalar_one_or_none()
    if found is None:
        raise NotFound("page", f"{index} of document {document_id}")
    return found


async def set_lines(
    session: AsyncSession, tenant_id: UUID, document_id: UUID, index: int, lines: list[Any]
) -> None:
    """Keep what the line reader found on a page.

    Raises:
        NotFound: no such page of this tenant.
    """
    mine = select(Document.id).where(Document.tenant_id == tenant_id, Document.id == document_id)
    query = (
        update(Page)
        .where(Page.document_id.in_(mine), Page.index == index)
        .values(lines=lines)
        .returning(Page.index)
    )
    if (await session.execute(query)).first() is None:
        raise NotFound("page", f"{index} of document {document_id}")


async def erase_unused_document(
    session: AsyncSession, tenant_id: UUID, document_id: UUID
) -> set[str]:
    """Delete a document that no prediction refers to any more, with its pages.

    Returns:
        The blob keys that no row uses now; they are also noted as doomed. Empty where the document
        is still in use or not there.
    """
    query = select(Document).where(Document.tenant_id == tenant_id, Document.id == document_id)
    document = (await session.execute(query.with_for_update())).scalar_one_or_none()
    if document is None:
        return set()
    in_use = select(exists().where(Prediction.document_id == document_id))
    if (await session.execute(in_use)).scalar_one():
        return set()
    pages = select(Page.blob_key).where(Page.document_id == document_id)
    keys = {document.blob_key, *(await session.execute(pages)).scalars()}
    await lock_blobs(session, keys)
    await session.execute(delete(Document).where(Document.id == document_id))
    session.expunge(document)
    orphans = keys - await used_blobs(session, keys)
    await doom_blobs(session, orphans)
    return orphans
