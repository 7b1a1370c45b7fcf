"""A caller's own document types; versions are added and never change."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from db.tables import StoredType
from db.types import dump_json
from extraction.errors import UnknownType


@dataclass(frozen=True, slots=True)
class PutType:
    """A version of a type, and whether this call made it."""

    stored: StoredType
    is_new: bool


async def put_type(
    session: AsyncSession, tenant_id: UUID, name: str, json_schema: Mapping[str, Any]
) -> PutType:
    """Add the next version of a type, unless its latest has this very schema. Two at once queue up.

    The schema has been validated. The order of its properties is kept and is part of it. A retired
    type is in use again.
    """
    mark = hashlib.sha256(f"type:{tenant_id}:{name}".encode()).digest()
    lock = int.from_bytes(mark[:8], "big", signed=True)
    await session.execute(select(func.pg_advisory_xact_lock(lock)))
    versions = await list_versions(session, tenant_id, name)
    if versions and dump_json(versions[0].json_schema) == dump_json(json_schema):
        versions[0].retired_at = None
        await session.flush()
        return PutType(versions[0], is_new=False)
    stored = StoredType(
        tenant_id=tenant_id,
        name=name,
        version=versions[0].version + 1 if versions else 1,
        json_schema=dict(json_schema),
    )
    session.add(stored)
    await session.flush()
    return PutType(stored, is_new=True)


async def get_type(
    session: AsyncSession, tenant_id: UUID, name: str, version: int | None = None
) -> StoredType:
    """A version of a tenant's type; the latest where none is named, unless it is retired.

    Raises:
        UnknownType: no such type, or version, of this tenant.
    """
    versions = await list_versions(session, tenant_id, name)
    for stored in versions:
        if stored.version == version or (version is None and stored.retired_at is None):
            return stored
    known = tuple(stored.name for stored in await list_types(session, tenant_id))
    raise UnknownType(name, known)


async def retire_type(session: AsyncSession, tenant_id: UUID, name: str) -> StoredType:
    """Take a type out of use with all its versions; they stay for what was read with them.

    Raises:
        UnknownType: no such type of this tenant is in use.
    """
    latest = await get_type(session, tenant_id, name)
    query = (
        update(StoredType)
        .where(
            StoredType.tenant_id == tenant_id,
            StoredType.name == name,
            StoredType.retired_at.is_(None),
        )
        .values(retired_at=func.now())
        .execution_options(synchronize_session=False)
    )
    await session.execute(query)
    await session.refresh(latest)
    return latest


async def list_versions(session: AsyncSession, tenant_id: UUID, name: str) -> Sequence[StoredType]:
    """All versions of a tenant's type, latest first."""
    query = (
        select(StoredType)
        .where(StoredType.tenant_id == tenant_id, StoredType.name == name)
        .order_by(StoredType.version.desc())
    )
    return (await session.execute(query)).scalars().all()


async def list_types(session: AsyncSession, tenant_id: UUID) -> Sequence[StoredType]:
    """The latest version of each of a tenant's types that are in use, by name."""
    later = aliased(StoredType)
    superseded = exists().where(
        later.tenant_id == StoredType.tenant_id,
        later.name == StoredType.name,
        later.version > StoredType.version,
    )
    query = (
        select(StoredType)
        .where(StoredType.tenant_id == tenant_id, StoredType.retired_at.is_(None), ~superseded)
        .order_by(StoredType.name)
    )
    return (await session.execute(query)).scalars().all()
