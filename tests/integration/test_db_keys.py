import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.errors import WeakApiKey
from db.queries.keys import (
    authenticate,
    create_key,
    ensure_tenant,
    find_key,
    hash_key,
    list_keys,
    revoke_key,
)
from db.tables import Scope


async def test_a_key_opens_and_is_nowhere_in_the_database(
    session: AsyncSession, tenant_id: UUID
) -> None:
    made = await create_key(session, tenant_id, {Scope.EXTRACT, Scope.FEEDBACK}, name="first")
    key = await authenticate(session, made.secret)
    assert key is not None
    assert (key.tenant_id, key.scopes) == (tenant_id, ["extract", "feedback"])
    assert key.prefix == made.secret[:8]
    assert len(made.secret) > 40
    assert made.secret not in repr(made)
    row = (await session.execute(text("SELECT api_keys::text FROM api_keys"))).scalar_one()
    assert made.secret not in row
    assert hash_key(made.secret).hex() in row


async def test_wrong_revoked_and_expired_keys_open_nothing(
    session: AsyncSession, tenant_id: UUID
) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    expired = await create_key(session, tenant_id, {Scope.EXTRACT}, expires_at=past)
    revoked = await create_key(session, tenant_id, {Scope.EXTRACT})
    first_end = (await revoke_key(session, tenant_id, revoked.row.id)).revoked_at
    assert (await revoke_key(session, tenant_id, revoked.row.id)).revoked_at == first_end
    for secret in ("", "wrong", expired.secret, revoked.secret, revoked.secret + "x"):
        assert await authenticate(session, secret) is None
    assert await find_key(session, revoked.secret) is not None
    assert len(await list_keys(session, tenant_id)) == 2


async def test_last_use_is_noted_once_a_minute(session: AsyncSession, tenant_id: UUID) -> None:
    made = await create_key(session, tenant_id, {Scope.EXTRACT})
    await authenticate(session, made.secret)
    first = await session.scalar(text("SELECT ctid FROM api_keys"))
    await authenticate(session, made.secret)
    assert await session.scalar(text("SELECT ctid FROM api_keys")) == first
    await session.execute(text("UPDATE api_keys SET last_used_at = now() - interval '2 minutes'"))
    session.expunge_all()
    await authenticate(session, made.secret)
    assert await session.scalar(text("SELECT last_used_at = now() FROM api_keys"))


async def test_a_key_that_the_operator_gives(session: AsyncSession, tenant_id: UUID) -> None:
    made = await create_key(session, tenant_id, {Scope.ADMIN}, secret="operator-given-key")
    assert (await authenticate(session, "operator-given-key")) is made.row
    with pytest.raises(WeakApiKey) as caught:
        await create_key(session, tenant_id, {Scope.ADMIN}, secret="short")
    assert "short" not in str(caught.value.facts())


async def test_unknown_scopes_are_refused(session: AsyncSession, tenant_id: UUID) -> None:
    with pytest.raises(IntegrityError, match="ck_api_keys_scopes_known"):
        await create_key(session, tenant_id, ["root"])  # type: ignore[list-item]


async def test_one_tenant_of_a_name(sessions: async_sessionmaker[AsyncSession]) -> None:
    async def ensure() -> UUID:
        async with sessions.begin() as session:
            return (await ensure_tenant(session, "same")).id

    assert len(set(await asyncio.gather(*(ensure() for _ in range(10))))) == 1
