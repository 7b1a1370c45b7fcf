"""What a version that is only tried out would have answered."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.predictions import get_prediction
from db.tables import Correction, ShadowAnswer


@dataclass(frozen=True, slots=True)
class NewShadowAnswer:
    """One answer of a shadow version; `error` is a problem's slug where it gave none."""

    prediction_id: UUID
    model_version: str
    record: Mapping[str, Any] | None = None
    schema_valid: bool | None = None
    error: str | None = None


async def add_shadow_answer(session: AsyncSession, tenant_id: UUID, new: NewShadowAnswer) -> None:
    """Store an answer; the first one of a version to a prediction stays.

    Raises:
        NotFound: the tenant has no such prediction any more.
    """
    await get_prediction(session, tenant_id, new.prediction_id)
    values = {
        "prediction_id": new.prediction_id,
        "model_version": new.model_version,
        "tenant_id": tenant_id,
        "record": None if new.record is None else dict(new.record),
        "schema_valid": new.schema_valid,
        "error": new.error,
    }
    await session.execute(insert(ShadowAnswer).values(values).on_conflict_do_nothing())


async def list_shadow_answers(
    session: AsyncSession, tenant_id: UUID, prediction_id: UUID
) -> Sequence[ShadowAnswer]:
    """The answers of all shadow versions to one prediction, oldest first."""
    query = (
        select(ShadowAnswer)
        .where(ShadowAnswer.tenant_id == tenant_id, ShadowAnswer.prediction_id == prediction_id)
        .order_by(ShadowAnswer.created_at, ShadowAnswer.model_version)
    )
    return (await session.execute(query)).scalars().all()


async def own_corrections(
    session: AsyncSession, tenant_id: UUID, corrections: Collection[UUID]
) -> frozenset[UUID]:
    """Those of the corrections that are the tenant's; erased ones are nobody's."""
    query = select(Correction.id).where(
        Correction.tenant_id == tenant_id, Correction.id.in_(corrections)
    )
    return frozenset((await session.execute(query)).scalars())
