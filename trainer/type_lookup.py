"""What was asked of a prediction: its type, built in or the tenant's own."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.document_types import get_type
from db.queries.learning import Learnable
from db.tables import Prediction
from extraction.document_types.base import DocumentType
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.custom import type_from_schema
from extraction.errors import UnknownType

TypeKey = tuple[UUID, str, int | None]
"""Tenant, name and version of a type."""

Types = Mapping[TypeKey, DocumentType]


def type_key(prediction: Prediction) -> TypeKey:
    """Under which key `find_types` has a prediction's type."""
    return prediction.tenant_id, prediction.document_type, prediction.document_type_version


async def find_types(session: AsyncSession, learnables: Iterable[Learnable]) -> Types:
    """The types of the predictions, retired ones too; what is no type ("unknown") has no entry."""
    found: dict[TypeKey, DocumentType] = {}
    for key in {type_key(learnable.prediction) for learnable in learnables}:
        tenant_id, name, version = key
        if name in BUILT_IN:
            found[key] = BUILT_IN[name]
            continue
        try:
            stored = await get_type(session, tenant_id, name, version)
        except UnknownType:
            continue
        found[key] = type_from_schema(stored.name, stored.json_schema, stored.version)
    return found
