"""Browsers that are signed in."""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import ApiKey, PageSession

LIFETIME = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session at the only moment at which its token is known.

    Attributes:
        row: what is stored.
        token: the cookie's value; kept out of every representation.
    """

    row: PageSession
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session in force and its key."""

    session: PageSession
    key: ApiKey


async def begin_session(
    session: AsyncSession, key: ApiKey, reviewer: str, lifetime: timedelta = LIFETIME
) -> NewSession:
    """Sign a browser in, and forget the sessions that have expired.

    Args:
        session: to write with.
        key: the key that was shown.
        reviewer: how the person calls themselves.
        lifetime: after so long the key has to be shown again.
    """
    await session.execute(delete(PageSession).where(PageSession.expires_at < func.now()))
    token = secrets.token_urlsafe(32)
    row = PageSession(
        tenant_id=key.tenant_id,
        api_key_id=key.id,
        token_sha256=_hash(token),
        reviewer=reviewer,
        expires_at=datetime.now(UTC) + lifetime,
    )
    session.add(row)
    await session.flush()
    return NewSession(row, token)


async def find_signed_in(session: AsyncSession, token: str) -> SignedIn | None:
    """The session of a token, where neither it nor its key has ended."""
    now = func.now()
    query = (
        select(PageSession, ApiKey)
        .join(ApiKey, ApiKey.id == PageSession.api_key_id)
        .where(
            PageSession.token_sha256 == _hash(token),
            PageSession.expires_at > now,
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now),
        )
    )
    found = (await session.execute(query)).one_or_none()
    return None if found is None else SignedIn(*found)


async def end_session(session: AsyncSession, token: str) -> None:
    """Sign a browser out; its leases go with it."""
    await session.execute(delete(PageSession).where(PageSession.token_sha256 == _hash(token)))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
