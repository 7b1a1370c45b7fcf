"""Tenants and their API keys."""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound, WeakApiKey
from db.tables import ApiKey, Scope, Tenant
from db.types import uuid7

KEY_START = "dl_"
PREFIX_LENGTH = 8
SHORTEST_KEY = 16
USE_GRAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the only moment at which its text is known.

    Attributes:
        row: what is stored.
        secret: the key itself, to be shown once; kept out of every representation.
    """

    row: ApiKey
    secret: str = field(repr=False)


def hash_key(secret: str) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(secret.encode()).digest()


async def ensure_tenant(session: AsyncSession, name: str) -> Tenant:
    """The tenant of this name, made where there is none; many at once make one."""
    values = {"id": uuid7(), "name": name}
    await session.execute(insert(Tenant).values(values).on_conflict_do_nothing())
    return (await session.execute(select(Tenant).where(Tenant.name == name))).scalar_one()


async def create_key(
    session: AsyncSession,
    tenant_id: UUID,
    scopes: Collection[Scope],
    *,
    name: str = "",
    secret: str | None = None,
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
    max_bytes: int | None = None,
) -> NewKey:
    """Make a key with 256 random bits, or store one that the operator gives.

    Raises:
        WeakApiKey: the given one is shorter than 16 characters.
    """
    if secret is not None and len(secret) < SHORTEST_KEY:
        raise WeakApiKey(len(secret), SHORTEST_KEY)
    chosen = secret if secret is not None else KEY_START + secrets.token_urlsafe(32)
    row = ApiKey(
        tenant_id=tenant_id,
        name=name,
        key_sha256=hash_key(chosen),
        prefix=chosen[:PREFIX_LENGTH],
        scopes=sorted(scopes),
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
        max_bytes=max_bytes,
    )
    session.add(row)
    await session.flush()
    return NewKey(row, chosen)


async def find_key(session: AsyncSession, secret: str) -> ApiKey | None:
    """The key with this text, whatever its state; its owner is not known yet, so no tenant here."""
    query = select(ApiKey).where(ApiKey.key_sha256 == hash_key(secret))
    return (await session.execute(query)).scalar_one_or_none()


async def authenticate(session: AsyncSession, secret: str) -> ApiKey | None:
    """The key with this text where it is in force: neither revoked nor expired.

    Its last use is noted at most once a minute, so that a busy key is not a busy row.
    """
    now = func.now()
    query = select(ApiKey).where(
        ApiKey.key_sha256 == hash_key(secret),
        ApiKey.revoked_at.is_(None),
        or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now),
    )
    key = (await session.execute(query)).scalar_one_or_none()
    # A busy key costs one query; the clock of this machine decides only whether to ask for more.
    recent = datetime.now(UTC) - USE_GRAIN
    if key is not None and (key.last_used_at is None or key.last_used_at < recent):
        stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < now - USE_GRAIN)
        note = update(ApiKey).where(ApiKey.id == key.id, stale).values(last_used_at=now)
        await session.execute(note.execution_options(synchronize_session=False))
    return key


async def list_keys(session: AsyncSession, tenant_id: UUID) -> Sequence[ApiKey]:
    """All keys of a tenant, oldest first, those no longer in force included."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant_id).order_by(ApiKey.id)
    return (await session.execute(query)).scalars().all()


async def revoke_key(session: AsyncSession, tenant_id: UUID, key_id: UUID) -> ApiKey:
    """End a key now; a key that has ended keeps its first end.

    Raises:
        NotFound: no such key of this tenant.
    """
    query = (
        update(ApiKey)
        .where(ApiKey.tenant_id == tenant_id, ApiKey.id == key_id)
        .values(revoked_at=func.coalesce(ApiKey.revoked_at, func.now()))
        .returning(ApiKey)
        .execution_options(populate_existing=True)
    )
    key = (await session.execute(query)).scalar_one_or_none()
    if key is None:
        raise NotFound("API key", str(key_id))
    return key
