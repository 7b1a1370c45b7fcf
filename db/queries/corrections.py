"""Corrections: added, never changed; the last one of a prediction is in force."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from db.errors import NotFound
from db.tables import Correction, Prediction, Verdict


@dataclass(frozen=True, slots=True)
class NewCorrection:
    """A human's word, validated by the prediction's type; `record` has corrected fields only."""

    prediction_id: UUID
    verdict: Verdict
    record: Mapping[str, Any] | None = None
    reviewer: str | None = None
    comment: str | None = None
    api_key_id: UUID | None = None


async def add_correction(session: AsyncSession, tenant_id: UUID, new: NewCorrection) -> Correction:
    """Append a correction that supersedes the one in force. Two at once stand one after the other.

    Raises:
        NotFound: no such prediction of this tenant.
    """
    holder = (
        select(Prediction.id)
        .where(Prediction.tenant_id == tenant_id, Prediction.id == new.prediction_id)
        .with_for_update(key_share=True)
    )
    if (await session.execute(holder)).first() is None:
        raise NotFound("prediction", str(new.prediction_id))
    latest = await latest_correction(session, tenant_id, new.prediction_id)
    correction = Correction(
        tenant_id=tenant_id,
        prediction_id=new.prediction_id,
        verdict=new.verdict,
        record=None if new.record is None else dict(new.record),
        reviewer=new.reviewer,
        comment=new.comment,
        api_key_id=new.api_key_id,
        supersedes=None if latest is None else latest.id,
    )
    session.add(correction)
    await session.flush()
    return correction


async def get_correction(session: AsyncSession, tenant_id: UUID, correction_id: UUID) -> Correction:
    """One correction of a tenant, in force or not.

    Raises:
        NotFound: no such correction of this tenant.
    """
    query = select(Correction).where(
        Correction.tenant_id == tenant_id, Correction.id == correction_id
    )
    found = (await session.execute(query)).scalar_one_or_none()
    if found is None:
        raise NotFound("correction", str(correction_id))
    return found


async def latest_correction(
    session: AsyncSession, tenant_id: UUID, prediction_id: UUID
) -> Correction | None:
    """The correction in force; None where no human has spoken."""
    found = await latest_corrections(session, tenant_id, [prediction_id])
    return found.get(prediction_id)


async def latest_corrections(
    session: AsyncSession, tenant_id: UUID, prediction_ids: Collection[UUID]
) -> Mapping[UUID, Correction]:
    """The corrections in force of several predictions, by prediction; for a page of a list."""
    query = select(Correction).where(
        Correction.tenant_id == tenant_id,
        Correction.prediction_id.in_(list(prediction_ids)),
        in_force(),
    )
    return {row.prediction_id: row for row in (await session.execute(query)).scalars()}


async def correction_history(
    session: AsyncSession, tenant_id: UUID, prediction_id: UUID
) -> Sequence[Correction]:
    """All corrections of a prediction, from the first to the one in force."""
    query = select(Correction).where(
        Correction.tenant_id == tenant_id, Correction.prediction_id == prediction_id
    )
    by_parent = {row.supersedes: row for row in (await session.execute(query)).scalars()}
    # Followed by its links, not by time: the clocks of two machines may disagree.
    chain: list[Correction] = []
    step = by_parent.get(None)
    while step is not None:
        chain.append(step)
        step = by_parent.get(step.id)
    return chain


async def list_corrections(
    session: AsyncSession,
    tenant_id: UUID,
    *,
    verdict: Verdict | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[Correction]:
    """A tenant's corrections in force, newest first.

    Args:
        session: to ask.
        tenant_id: whose.
        verdict: only those with this verdict.
        before: the last id of the page before; None for the first page.
        limit: most corrections of a page.
    """
    query = select(Correction).where(Correction.tenant_id == tenant_id, in_force())
    if verdict is not None:
        query = query.where(Correction.verdict == verdict)
    if before is not None:
        query = query.where(Correction.id < before)
    query = query.order_by(Correction.id.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()


def in_force() -> ColumnElement[bool]:
    """The condition that nothing supersedes a correction."""
    later = aliased(Correction)
    return ~exists().where(later.supersedes == Correction.id)
