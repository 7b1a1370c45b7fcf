"""Who reviews which document now, so that two people do not do the same work."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import PageSession, ReviewLease

LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Held:
    """A lease that is in force.

    Attributes:
        reviewer: who has it.
        session_id: with which browser.
        taken_at: since when.
    """

    reviewer: str
    session_id: UUID
    taken_at: datetime


async def take_lease(
    session: AsyncSession, holder: PageSession, prediction_id: UUID, *, by_force: bool = False
) -> Held:
    """Take or renew the lease of a prediction; the one in force afterwards, which may be another's.

    Args:
        session: to write with.
        holder: who wants it.
        prediction_id: of which document; the caller has seen that it is the tenant's.
        by_force: take it from whoever has it.
    """
    now = func.clock_timestamp()
    added = insert(ReviewLease).values(
        prediction_id=prediction_id,
        tenant_id=holder.tenant_id,
        session_id=holder.id,
        reviewer=holder.reviewer,
        taken_at=now,
        expires_at=now + LEASE,
    )
    mine = ReviewLease.session_id == holder.id
    free = or_(mine, ReviewLease.expires_at <= now)
    # A renewal keeps the time at which it was taken.
    since = func.coalesce(
        select(ReviewLease.taken_at)
        .where(ReviewLease.prediction_id == prediction_id, mine)
        .scalar_subquery(),
        now,
    )
    changed = {
        "session_id": holder.id,
        "reviewer": holder.reviewer,
        "taken_at": since,
        "expires_at": now + LEASE,
    }
    await session.execute(
        added.on_conflict_do_update(
            index_elements=["prediction_id"], set_=changed, where=None if by_force else free
        )
    )
    held = await leases_of(session, [prediction_id])
    return held[prediction_id]


async def release_lease(session: AsyncSession, holder: PageSession, prediction_id: UUID) -> None:
    """Give a lease back; another's stays."""
    await session.execute(
        delete(ReviewLease).where(
            ReviewLease.prediction_id == prediction_id, ReviewLease.session_id == holder.id
        )
    )


async def leases_of(session: AsyncSession, prediction_ids: Collection[UUID]) -> Mapping[UUID, Held]:
    """The leases in force of several predictions; those that nobody has are absent."""
    query = select(ReviewLease).where(
        ReviewLease.prediction_id.in_(list(prediction_ids)),
        ReviewLease.expires_at > func.clock_timestamp(),
    )
    query = query.execution_options(populate_existing=True)
    return {
        row.prediction_id: Held(row.reviewer, row.session_id, row.taken_at)
        for row in (await session.execute(query)).scalars()
    }
