"""Corrections: added, never changed; the last one of a prediction is in force."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from db.errors import CorrectionConflict, NotFound
from db.tables import Correction, Prediction, Verdict
from db.types import clean_text, dump_json


@dataclass(frozen=True, slots=True)
class NewCorrection:
    """A human's word, validated by the prediction's type.

    Attributes:
        record: the corrected fields only.
        confirms_rest: whether the fields that it does not name are right.
    """

    prediction_id: UUID
    verdict: Verdict
    record: Mapping[str, Any] | None = None
    reviewer: str | None = None
    comment: str | None = None
    api_key_id: UUID | None = None
    confirms_rest: bool = False


@dataclass(frozen=True, slots=True)
class AddedCorrection:
    """A correction, and whether this call added it."""

    correction: Correction
    is_new: bool


async def add_correction(session: AsyncSession, tenant_id: UUID, new: NewCorrection) -> Correction:
    """Append a correction that supersedes the one in force. Two at once stand one after the other.

    Raises:
        NotFound: no such prediction of this tenant.
    """
    return await _append(session, tenant_id, new, await _hold(session, tenant_id, new))


async def add_correction_once(
    session: AsyncSession, tenant_id: UUID, new: NewCorrection, expected: int | None = None
) -> AddedCorrection:
    """As `add_correction`, unless the one in force says the same and comes from the same reviewer.

    A nameless reviewer is known by the API key. Of two equal ones at once, one is added.

    Args:
        session: to write with.
        tenant_id: whose.
        new: the correction.
        expected: how many corrections its author has seen; None supersedes whichever is found.

    Raises:
        NotFound: no such prediction of this tenant.
        CorrectionConflict: somebody else has spoken since.
    """
    latest = await _hold(session, tenant_id, new)
    if latest is not None and _same(latest, new):
        return AddedCorrection(latest, is_new=False)
    if expected is not None:
        counts = await count_corrections(session, tenant_id, [new.prediction_id])
        found = counts.get(new.prediction_id, 0)
        if found != expected:
            raise CorrectionConflict(expected, found)
    return AddedCorrection(await _append(session, tenant_id, new, latest), is_new=True)


async def _hold(session: AsyncSession, tenant_id: UUID, new: NewCorrection) -> Correction | None:
    """The correction in force; the prediction is locked, so that it stays in force meanwhile."""
    holder = (
        select(Prediction.id)
        .where(Prediction.tenant_id == tenant_id, Prediction.id == new.prediction_id)
        .with_for_update(key_share=True)
    )
    if (await session.execute(holder)).first() is None:
        raise NotFound("prediction", str(new.prediction_id))
    return await latest_correction(session, tenant_id, new.prediction_id)


async def _append(
    session: AsyncSession, tenant_id: UUID, new: NewCorrection, latest: Correction | None
) -> Correction:
    correction = Correction(
        tenant_id=tenant_id,
        prediction_id=new.prediction_id,
        verdict=new.verdict,
        record=None if new.record is None else dict(new.record),
        confirms_rest=new.confirms_rest,
        reviewer=new.reviewer,
        comment=new.comment,
        api_key_id=new.api_key_id,
        supersedes=None if latest is None else latest.id,
    )
    session.add(correction)
    await session.flush()
    return correction


def _same(latest: Correction, new: NewCorrection) -> bool:
    record = None if new.record is None else json.loads(dump_json(new.record))
    reviewer = None if new.reviewer is None else clean_text(new.reviewer)
    comment = None if new.comment is None else clean_text(new.comment)
    return (
        (latest.verdict, latest.record, latest.confirms_rest, latest.reviewer, latest.comment)
        == (new.verdict, record, new.confirms_rest, reviewer, comment)
    ) and (reviewer is not None or latest.api_key_id == new.api_key_id)


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


async def count_corrections(
    session: AsyncSession, tenant_id: UUID, prediction_ids: Collection[UUID]
) -> Mapping[UUID, int]:
    """How many corrections predictions have, superseded ones included; those without are absent."""
    query = (
        select(Correction.prediction_id, func.count().label("given"))
        .where(
            Correction.tenant_id == tenant_id, Correction.prediction_id.in_(list(prediction_ids))
        )
        .group_by(Correction.prediction_id)
    )
    return {row.prediction_id: row.given for row in await session.execute(query)}


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
