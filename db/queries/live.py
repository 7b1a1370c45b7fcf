"""How a version does in service: what the automatic rollback looks at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.corrections import in_force
from db.tables import Correction, Prediction, Verdict


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """Counts over a version's finished predictions, all tenants together.

    Attributes:
        predictions: finished, failed ones included where they name the version.
        schema_valid: of them, those whose answer fitted its schema.
        reviewed: of them, those of which a human said what is right, as the correction in force.
        corrected: of the reviewed, those that were wrong.
        by_document_type: the same by type; empty inside.
    """

    predictions: int
    schema_valid: int
    reviewed: int
    corrected: int
    by_document_type: Mapping[str, "LiveCounts"] = field(default_factory=dict)


async def live_counts(
    session: AsyncSession,
    model_version: str,
    *,
    first: int | None = None,
    since: datetime | None = None,
) -> LiveCounts:
    """Count a version's predictions.

    An unreadable page is nobody's fault: its verdict counts as no review.

    Args:
        session: to ask.
        model_version: the version that answered.
        first: only so many, the earliest; None for all.
        since: only those asked for from then on, as when it became the champion; None for all.
    """
    watched = _watched(model_version, first, since).subquery()
    spoken = [Verdict.CORRECT, Verdict.CORRECTED]
    in_force_of_it = and_(
        Correction.prediction_id == watched.c.id, Correction.verdict.in_(spoken), in_force()
    )
    query = (
        select(
            watched.c.document_type,
            func.count(),
            func.count().filter(watched.c.schema_valid.is_(True)),
            func.count(Correction.id),
            func.count().filter(Correction.verdict == Verdict.CORRECTED),
        )
        .select_from(watched)
        .outerjoin(Correction, in_force_of_it)
        .group_by(watched.c.document_type)
        .order_by(watched.c.document_type)
    )
    by_type = {name: LiveCounts(*counts) for name, *counts in await session.execute(query)}
    return LiveCounts(
        predictions=sum(counts.predictions for counts in by_type.values()),
        schema_valid=sum(counts.schema_valid for counts in by_type.values()),
        reviewed=sum(counts.reviewed for counts in by_type.values()),
        corrected=sum(counts.corrected for counts in by_type.values()),
        by_document_type=by_type,
    )


def _watched(
    model_version: str, first: int | None, since: datetime | None
) -> Select[*tuple[Any, ...]]:
    query = select(Prediction.id, Prediction.document_type, Prediction.schema_valid).where(
        Prediction.model_version == model_version, Prediction.finished_at.is_not(None)
    )
    if since is not None:
        query = query.where(Prediction.created_at >= since)
    if first is not None:
        query = query.order_by(Prediction.id).limit(first)
    return query
