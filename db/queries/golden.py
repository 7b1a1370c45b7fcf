"""Golden sets: documents with references that every candidate answers, whatever it learnt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.queries.documents import get_document
from db.tables import GoldenExample
from db.types import uuid7


@dataclass(frozen=True, slots=True)
class NewGolden:
    """A document with what is right.

    Attributes:
        set_name: of the set, as "passports".
        document_id: the tenant's document.
        document_type: name of the type.
        reference: what is right, as JSON.
        document_type_version: of a caller's type.
        asked_fields: top-level fields to answer; None for all.
    """

    set_name: str
    document_id: UUID
    document_type: str
    reference: Mapping[str, Any]
    document_type_version: int | None = None
    asked_fields: tuple[str, ...] | None = None


async def add_golden(session: AsyncSession, tenant_id: UUID, new: NewGolden) -> GoldenExample:
    """Put a document into a set; one that is there gets the new reference.

    Raises:
        NotFound: no such document of this tenant.
    """
    await get_document(session, tenant_id, new.document_id)
    changing = {
        "document_type": new.document_type,
        "document_type_version": new.document_type_version,
        "asked_fields": None if new.asked_fields is None else list(new.asked_fields),
        "reference": dict(new.reference),
    }
    query = (
        insert(GoldenExample)
        .values(
            id=uuid7(),
            tenant_id=tenant_id,
            set_name=new.set_name,
            document_id=new.document_id,
            **changing,
        )
        .on_conflict_do_update(
            index_elements=["tenant_id", "set_name", "document_id"], set_=changing
        )
        .returning(GoldenExample)
        .execution_options(populate_existing=True)
    )
    return (await session.execute(query)).scalar_one()


async def list_golden(
    session: AsyncSession, set_name: str | None = None
) -> Sequence[GoldenExample]:
    """Golden examples of all tenants, by set; of one set where it is named."""
    query = select(GoldenExample).order_by(GoldenExample.set_name, GoldenExample.id)
    if set_name is not None:
        query = query.where(GoldenExample.set_name == set_name)
    return (await session.execute(query)).scalars().all()


async def remove_golden(session: AsyncSession, tenant_id: UUID, golden_id: UUID) -> None:
    """Take a document out of a set; the document stays.

    Raises:
        NotFound: no such golden example of this tenant.
    """
    query = (
        delete(GoldenExample)
        .where(GoldenExample.tenant_id == tenant_id, GoldenExample.id == golden_id)
        .returning(GoldenExample.id)
    )
    if (await session.execute(query)).first() is None:
        raise NotFound("golden example", str(golden_id))
