"""Questions to model versions, and their answers: where the trainer and `docloop evaluate` meet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Evaluation
from db.types import uuid7


@dataclass(frozen=True, slots=True)
class NewEvaluation:
    """What a version is asked of a document.

    Attributes:
        run_id: the training run that wants to know.
        model_version: the version.
        set_name: "selection", "holdout", or the name of a golden set.
        tenant_id: whose document.
        document_id: the document.
        document_type: name of the type.
        reference: what is right, as JSON; the answering side does not look at it.
        prediction_id: that the reference came from; with it the row is erased.
        document_type_version: of a caller's type.
        asked_fields: top-level fields to answer; None for all.
        options: of the prediction: reasoning, answer_format, use_lines.
    """

    run_id: UUID
    model_version: str
    set_name: str
    tenant_id: UUID
    document_id: UUID
    document_type: str
    reference: Mapping[str, Any]
    prediction_id: UUID | None = None
    document_type_version: int | None = None
    asked_fields: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvaluationAnswer:
    """What came of it; `error` is the slug and the sentence of what went wrong.

    Attributes:
        record: the answer as it would be served.
        fields: value, raw, confidence and evidence by path.
        schema_valid: whether the completion parsed and every value fitted its kind.
        duration_seconds: from the pages to the record, without the reading of lines.
        error: why there is no record.
    """

    record: Mapping[str, Any] | None = None
    fields: Mapping[str, Mapping[str, Any]] | None = None
    schema_valid: bool | None = None
    duration_seconds: float | None = None
    error: str | None = None


async def add_evaluations(session: AsyncSession, rows: Sequence[NewEvaluation]) -> None:
    """Ask; what was asked already is not asked again."""
    if not rows:
        return
    values = [
        {
            "id": uuid7(),
            "run_id": row.run_id,
            "model_version": row.model_version,
            "set_name": row.set_name,
            "tenant_id": row.tenant_id,
            "document_id": row.document_id,
            "prediction_id": row.prediction_id,
            "document_type": row.document_type,
            "document_type_version": row.document_type_version,
            "asked_fields": None if row.asked_fields is None else list(row.asked_fields),
            "options": dict(row.options),
            "reference": dict(row.reference),
        }
        for row in rows
    ]
    await session.execute(insert(Evaluation).on_conflict_do_nothing(), values)


async def pending(session: AsyncSession, run_id: UUID) -> Sequence[Evaluation]:
    """What is not answered yet: version by version, each in the order of asking."""
    query = (
        select(Evaluation)
        .where(Evaluation.run_id == run_id, Evaluation.answered_at.is_(None))
        .order_by(Evaluation.model_version, Evaluation.id)
    )
    return (await session.execute(query)).scalars().all()


async def answer(session: AsyncSession, evaluation_id: UUID, given: EvaluationAnswer) -> bool:
    """Write an answer, once; false where there is one already, or the question was erased."""
    query = (
        update(Evaluation)
        .where(Evaluation.id == evaluation_id, Evaluation.answered_at.is_(None))
        .values(
            record=None if given.record is None else dict(given.record),
            fields=None if given.fields is None else dict(given.fields),
            schema_valid=given.schema_valid,
            duration_seconds=given.duration_seconds,
            error=given.error,
            answered_at=func.clock_timestamp(),
        )
        .returning(Evaluation.id)
        .execution_options(synchronize_session=False)
    )
    return (await session.execute(query)).first() is not None


async def list_evaluations(
    session: AsyncSession,
    run_id: UUID,
    *,
    set_name: str | None = None,
    model_version: str | None = None,
) -> Sequence[Evaluation]:
    """A run's questions with their answers, in the order of asking."""
    query = (
        select(Evaluation)
        .where(Evaluation.run_id == run_id)
        .order_by(Evaluation.id)
        .execution_options(populate_existing=True)
    )
    if set_name is not None:
        query = query.where(Evaluation.set_name == set_name)
    if model_version is not None:
        query = query.where(Evaluation.model_version == model_version)
    return (await session.execute(query)).scalars().all()
