"""A type's name -> the type: built in, or the tenant's own."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.upload import AUTO
from db.queries.document_types import get_type, list_types
from db.tables import StoredType
from extraction.document_types.base import DocumentType
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.custom import type_from_schema
from extraction.errors import UnknownType


async def find_type(
    session: AsyncSession, tenant_id: UUID, name: str, version: int | None = None
) -> DocumentType:
    """The type of this name.

    Args:
        session: to ask.
        tenant_id: whose.
        name: of the type.
        version: a certain one, retired or not; the latest that is in use where None.

    Raises:
        UnknownType: no such type, or version, for this tenant.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    try:
        stored = await get_type(session, tenant_id, name, version)
    except UnknownType:
        known = [row.name for row in await list_types(session, tenant_id)]
        raise UnknownType(name, (AUTO, *BUILT_IN, *known)) from None
    return as_type(stored)


def as_type(stored: StoredType) -> DocumentType:
    """A tenant's type from its row."""
    return type_from_schema(stored.name, stored.json_schema, stored.version)
