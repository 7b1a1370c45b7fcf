"""The erasure of predictions that are older than `db.retention_rules` allow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.blobs import BlobStore
from db.errors import NotFound
from db.queries.blobs import sweep_blobs
from db.queries.predictions import erase_prediction
from db.retention_rules import Rule, days_kept
from db.tables import Prediction, Tenant

ACTOR = "retention"
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Expired:
    """A prediction that is older than its rule allows."""

    tenant_id: UUID
    tenant: str
    document_type: str
    prediction_id: UUID
    created_at: datetime


async def list_expired(
    session: AsyncSession, rules: Sequence[Rule], now: datetime | None = None
) -> list[Expired]:
    """What is older than its rule allows, oldest first; unfinished ones are not among it."""
    if not rules:
        return []
    now = now or datetime.now(UTC)
    newest = now - timedelta(days=min(rule.days for rule in rules))
    query = (
        select(
            Prediction.tenant_id,
            Tenant.name,
            Prediction.document_type,
            Prediction.id,
            Prediction.created_at,
        )
        .join(Tenant, Tenant.id == Prediction.tenant_id)
        .where(Prediction.created_at < newest, Prediction.finished_at.is_not(None))
        .order_by(Prediction.id)
    )
    found = [Expired(*row) for row in await session.execute(query)]
    return [
        one
        for one in found
        if (days := days_kept(rules, one.tenant, one.document_type)) is not None
        and one.created_at < now - timedelta(days=days)
    ]


async def erase_expired(
    sessions: async_sessionmaker[AsyncSession],
    blobs: BlobStore,
    rules: Sequence[Rule],
    now: datetime | None = None,
) -> int:
    """Erase what is older than its rule allows; answers how many. Several at once share the work.

    Each prediction is a transaction of its own: what a stop leaves over, the next call does.
    """
    async with sessions() as session:
        expired = await list_expired(session, rules, now)
    erased = 0
    for number, one in enumerate(expired, start=1):
        try:
            async with sessions.begin() as session:
                await erase_prediction(session, one.tenant_id, one.prediction_id, actor=ACTOR)
        except NotFound:  # somebody else was faster
            continue
        erased += 1
        if number % _AT_ONCE == 0:
            await _sweep(sessions, blobs)
    if erased:
        await _sweep(sessions, blobs)
    return erased


async def _sweep(sessions: async_sessionmaker[AsyncSession], blobs: BlobStore) -> None:
    async with sessions.begin() as session:
        await sweep_blobs(session, blobs)
