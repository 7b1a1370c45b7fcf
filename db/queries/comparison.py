"""Versions beside each other: how each does in service, what the gate said, who answered what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, cast, func, or_, select, union
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.corrections import in_force
from db.queries.live import LiveCounts
from db.queries.shadow import list_shadow_answers
from db.tables import (
    Correction,
    Evaluation,
    Prediction,
    ShadowAnswer,
    State,
    StoredDecision,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class VersionAnswer:
    """What a version answered to a document.

    Attributes:
        model_version: the version.
        record: its answer; None where it gave none.
        how: "served", "shadow", or the name of the set that it was evaluated on.
        schema_valid: whether the answer fitted its type.
        answered_at: when.
    """

    model_version: str
    record: Mapping[str, Any] | None
    how: str
    schema_valid: bool | None
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Contested:
    """A prediction that several versions have answered; `differs` where not all alike."""

    prediction: Prediction
    versions: tuple[str, ...]
    differs: bool


async def live_by_version(
    session: AsyncSession, tenant_id: UUID | None = None
) -> Mapping[str, LiveCounts]:
    """As `db.queries.live.live_counts`, of all versions at once; of one tenant where named."""
    spoken = [Verdict.CORRECT, Verdict.CORRECTED]
    given = and_(
        Correction.prediction_id == Prediction.id, Correction.verdict.in_(spoken), in_force()
    )
    query = (
        select(
            Prediction.model_version,
            func.count(),
            func.count().filter(Prediction.schema_valid.is_(True)),
            func.count(Correction.id),
            func.count().filter(Correction.verdict == Verdict.CORRECTED),
        )
        .select_from(Prediction)
        .outerjoin(Correction, given)
        .where(Prediction.model_version.is_not(None), Prediction.finished_at.is_not(None))
        .group_by(Prediction.model_version)
    )
    if tenant_id is not None:
        query = query.where(Prediction.tenant_id == tenant_id)
    return {
        str(version): LiveCounts(predictions, schema_valid, reviewed, corrected)
        for version, predictions, schema_valid, reviewed, corrected in await session.execute(query)
    }


async def list_decisions(session: AsyncSession, limit: int = 50) -> Sequence[StoredDecision]:
    """What the gate said, newest first."""
    query = select(StoredDecision).order_by(StoredDecision.id.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()


async def list_contested(
    session: AsyncSession, tenant_id: UUID, limit: int = 30
) -> Sequence[Contested]:
    """A tenant's predictions that more than one version has answered, newest first."""
    answers = union(
        select(
            ShadowAnswer.prediction_id,
            ShadowAnswer.model_version,
            cast(ShadowAnswer.record, JSONB).label("record"),
        ).where(ShadowAnswer.tenant_id == tenant_id, ShadowAnswer.record.is_not(None)),
        select(
            Evaluation.prediction_id,
            Evaluation.model_version,
            cast(Evaluation.record, JSONB).label("record"),
        ).where(
            Evaluation.tenant_id == tenant_id,
            Evaluation.prediction_id.is_not(None),
            Evaluation.record.is_not(None),
        ),
    ).subquery()
    differs = func.bool_or(answers.c.record != cast(Prediction.record, JSONB))
    query = (
        select(Prediction, func.array_agg(answers.c.model_version.distinct()), differs)
        .join(answers, answers.c.prediction_id == Prediction.id)
        .where(
            Prediction.tenant_id == tenant_id,
            Prediction.state == State.DONE,
            or_(answers.c.model_version != Prediction.model_version, answers.c.record.is_not(None)),
        )
        .group_by(Prediction.id)
        .order_by(differs.desc(), Prediction.id.desc())
        .limit(limit)
    )
    found = []
    for prediction, versions, is_different in await session.execute(query):
        names = tuple(dict.fromkeys([prediction.model_version or "", *sorted(versions)]))
        if len(names) > 1:
            found.append(Contested(prediction, names, bool(is_different)))
    return found


async def answers_to(session: AsyncSession, prediction: Prediction) -> Sequence[VersionAnswer]:
    """What each version answered to a prediction's document, the served one first, each once."""
    answers = [
        VersionAnswer(
            prediction.model_version or "",
            prediction.record,
            "served",
            prediction.schema_valid,
            prediction.finished_at,
        )
    ]
    answers += [
        VersionAnswer(row.model_version, row.record, "shadow", row.schema_valid, row.created_at)
        for row in await list_shadow_answers(session, prediction.tenant_id, prediction.id)
    ]
    query = (
        select(Evaluation)
        .where(
            Evaluation.tenant_id == prediction.tenant_id,
            Evaluation.prediction_id == prediction.id,
            Evaluation.answered_at.is_not(None),
        )
        .order_by(Evaluation.id.desc())
    )
    answers += [
        VersionAnswer(
            row.model_version, row.record, row.set_name, row.schema_valid, row.answered_at
        )
        for row in (await session.execute(query)).scalars()
    ]
    return list({answer.model_version: answer for answer in reversed(answers)}.values())[::-1]
