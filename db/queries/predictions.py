"""Predictions: begun once per key, finished once, listed in pages, erased without trace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import IdempotencyConflict, NotFound
from db.queries.audit import record_event
from db.queries.documents import erase_unused_document
from db.tables import Correction, Prediction, State
from db.types import uuid7

ERASING = "docloop.erasing"  # read by the trigger of migration 0001


@dataclass(frozen=True, slots=True)
class NewPrediction:
    """A request, as it is stored before anything is computed; `id` is drawn where it is None."""

    document_id: UUID
    document_type: str
    document_type_version: int | None = None
    asked_fields: tuple[str, ...] | None = None
    options: Mapping[str, Any] | None = None
    state: State = State.RUNNING
    idempotency_key: str | None = None
    body_sha256: bytes | None = None
    request_id: str | None = None
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """A prediction, and whether this call made it; if not, somebody else computes it or has."""

    prediction: Prediction
    is_new: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a prediction came to; `error` set means that it failed, the rest is what is known."""

    document_type: str | None = None
    document_type_version: int | None = None
    record: Mapping[str, Any] | None = None
    fields: Mapping[str, Mapping[str, Any]] | None = None
    checks: Sequence[Any] | None = None
    warnings: Sequence[Any] | None = None
    reasoning: str | None = None
    entity_tokens: str | None = None
    type_confidence: float | None = None
    model_version: str | None = None
    prompt_hash: str | None = None
    timings: Mapping[str, float] | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: str | None = None
    schema_valid: bool | None = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which predictions to list; what is None does not restrict.

    Attributes:
        created_from: not before.
        created_until: before, exclusive.
        has_correction: whether a human has spoken.
        confidence_below: only those with a field of less confidence than this.
    """

    document_type: str | None = None
    state: State | None = None
    model_version: str | None = None
    created_from: datetime | None = None
    created_until: datetime | None = None
    has_correction: bool | None = None
    confidence_below: float | None = None


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure left to do: `blob_keys` that no row uses now, to delete after the commit."""

    prediction_id: UUID
    blob_keys: frozenset[str]


async def begin_prediction(session: AsyncSession, tenant_id: UUID, new: NewPrediction) -> Begun:
    """Insert a prediction, or find the one that its idempotency key stands for.

    With the same key many at once make one row: the others wait for the first one's transaction.

    Raises:
        IdempotencyConflict: the key stands for another body.
    """
    values = {
        "id": new.id or uuid7(),
        "tenant_id": tenant_id,
        "document_id": new.document_id,
        "document_type": new.document_type,
        "document_type_version": new.document_type_version,
        "asked_fields": None if new.asked_fields is None else list(new.asked_fields),
        "options": dict(new.options or {}),
        "state": new.state,
        "idempotency_key": new.idempotency_key,
        "body_sha256": new.body_sha256,
        "request_id": new.request_id,
    }
    added = (
        insert(Prediction)
        .values(values)
        .on_conflict_do_nothing(index_elements=["tenant_id", "idempotency_key"])
        .returning(Prediction)
    )
    prediction = (await session.execute(added)).scalar_one_or_none()
    if prediction is not None:
        return Begun(prediction, is_new=True)
    key = new.idempotency_key
    found = None if key is None else await find_by_idempotency_key(session, tenant_id, key)
    if found is None:  # erased between our two statements; the next attempt inserts
        return await begin_prediction(session, tenant_id, new)
    if found.body_sha256 != new.body_sha256:
        raise IdempotencyConflict(found.id)
    return Begun(found, is_new=False)


async def find_by_idempotency_key(
    session: AsyncSession, tenant_id: UUID, key: str
) -> Prediction | None:
    """The prediction that a tenant's idempotency key stands for."""
    query = select(Prediction).where(
        Prediction.tenant_id == tenant_id, Prediction.idempotency_key == key
    )
    return (await session.execute(query)).scalar_one_or_none()


async def get_prediction(session: AsyncSession, tenant_id: UUID, prediction_id: UUID) -> Prediction:
    """A tenant's prediction, as the database has it now.

    Raises:
        NotFound: no such prediction of this tenant.
    """
    query = _mine(tenant_id, prediction_id).execution_options(populate_existing=True)
    return _found((await session.execute(query)).scalar_one_or_none(), prediction_id)


async def set_running(session: AsyncSession, tenant_id: UUID, prediction_id: UUID) -> bool:
    """Take a prediction that is queued, or that ran when the service died; false if it is finished.

    Raises:
        NotFound: no such prediction of this tenant.
    """
    query = (
        _mine(tenant_id, prediction_id).with_for_update().execution_options(populate_existing=True)
    )
    prediction = _found((await session.execute(query)).scalar_one_or_none(), prediction_id)
    if prediction.finished_at is not None:
        return False
    prediction.state = State.RUNNING
    await session.flush()
    return True


async def restart_prediction(
    session: AsyncSession,
    tenant_id: UUID,
    prediction_id: UUID,
    *,
    state: State = State.RUNNING,
    options: Mapping[str, Any] | None = None,
    document_type: str | None = None,
) -> bool:
    """Begin a failed prediction anew; false if it is not failed, so that of many one begins.

    Args:
        session: to ask.
        tenant_id: whose.
        prediction_id: which.
        state: queued or running.
        options: the new ones; None keeps the old.
        document_type: as it was asked for, "auto" again; None keeps what is known.
    """
    query = (
        update(Prediction)
        .where(
            Prediction.tenant_id == tenant_id,
            Prediction.id == prediction_id,
            Prediction.state == State.FAILED,
        )
        .values(
            state=state,
            error=None,
            finished_at=None,
            timings=None,
            model_version=None,
            finish_reason=None,
            schema_valid=None,
            **({} if options is None else {"options": dict(options)}),
            **({} if document_type is None else {"document_type": document_type}),
        )
        .returning(Prediction.id)
        .execution_options(synchronize_session=False)
    )
    return (await session.execute(query)).first() is not None


async def finish_prediction(
    session: AsyncSession, tenant_id: UUID, prediction_id: UUID, answer: Answer
) -> Prediction:
    """Write the answer, once: a prediction that is finished keeps the answer that it has.

    Raises:
        NotFound: no such prediction of this tenant; it may have been erased meanwhile.
    """
    values = {
        name: value
        for name in Answer.__dataclass_fields__
        if (value := getattr(answer, name)) is not None
    }
    query = (
        update(Prediction)
        .where(
            Prediction.tenant_id == tenant_id,
            Prediction.id == prediction_id,
            Prediction.finished_at.is_(None),
        )
        .values(
            **values,
            state=State.DONE if answer.error is None else State.FAILED,
            lowest_confidence=lowest_confidence(answer.fields or {}),
            finished_at=func.clock_timestamp(),
        )
        .returning(Prediction)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    finished = (await session.execute(query)).scalar_one_or_none()
    return finished or await get_prediction(session, tenant_id, prediction_id)


def lowest_confidence(fields: Mapping[str, Mapping[str, Any]]) -> float | None:
    """The least confidence among the fields; None where no field has one."""
    known = [
        field["confidence"] for field in fields.values() if field.get("confidence") is not None
    ]
    return min(known, default=None)


async def list_predictions(
    session: AsyncSession,
    tenant_id: UUID,
    chosen: Filter | None = None,
    *,
    before: UUID | None = None,
    limit: int = 50,
) -> Sequence[Prediction]:
    """A tenant's predictions, newest first.

    Args:
        session: to ask.
        tenant_id: whose.
        chosen: which.
        before: the last id of the page before; None for the first page.
        limit: most predictions of a page. Fewer in the answer mean that there are no more.
    """
    query = select(Prediction).where(
        Prediction.tenant_id == tenant_id, *_conditions(chosen or Filter())
    )
    if before is not None:
        query = query.where(Prediction.id < before)
    query = query.order_by(Prediction.id.desc()).limit(limit)
    return (await session.execute(query)).scalars().all()


async def count_unfinished(session: AsyncSession) -> Mapping[State, int]:
    """How many predictions of all tenants are queued and running: the depth of the queue."""
    query = (
        select(Prediction.state, func.count().label("depth"))
        .where(Prediction.finished_at.is_(None))
        .group_by(Prediction.state)
    )
    return {row.state: row.depth for row in await session.execute(query)}


async def list_unfinished(
    session: AsyncSession, created_until: datetime, limit: int = 100
) -> Sequence[Prediction]:
    """Predictions of all tenants, oldest first, that were begun before and are not finished.

    For the service's start: what ran when it died is still marked as running.
    """
    query = (
        select(Prediction)
        .where(Prediction.finished_at.is_(None), Prediction.created_at < created_until)
        .order_by(Prediction.id)
        .limit(limit)
    )
    return (await session.execute(query)).scalars().all()


async def erase_prediction(
    session: AsyncSession, tenant_id: UUID, prediction_id: UUID, *, actor: str
) -> Erased:
    """Remove a prediction, its corrections, and its document with all pages if none else uses it.

    An audit event stays; it holds ids and counts. After the commit, `db.queries.blobs.sweep_blobs`
    (or the caller) deletes the blobs; the keys are noted in the same transaction, so that a crash
    in between leaves nothing behind for good.

    Raises:
        NotFound: no such prediction of this tenant.
    """
    query = _mine(tenant_id, prediction_id).with_for_update()
    prediction = _found((await session.execute(query)).scalar_one_or_none(), prediction_id)
    document_id = prediction.document_id
    corrections = select(func.count()).where(Correction.prediction_id == prediction_id)
    correction_count = (await session.execute(corrections)).scalar_one()
    await _set_erasing(session, str(prediction_id))
    await session.execute(
        delete(Prediction)
        .where(Prediction.tenant_id == tenant_id, Prediction.id == prediction_id)
        .execution_options(synchronize_session="fetch")
    )
    await _set_erasing(session, "")
    blob_keys = await erase_unused_document(session, tenant_id, document_id)
    await record_event(
        session,
        tenant_id,
        actor=actor,
        action="prediction.erase",
        subject=str(prediction_id),
        details={"correction_count": correction_count, "blob_count": len(blob_keys)},
    )
    return Erased(prediction_id, frozenset(blob_keys))


async def _set_erasing(session: AsyncSession, prediction_id: str) -> None:
    await session.execute(select(func.set_config(ERASING, prediction_id, True)))  # noqa: FBT003


def _mine(tenant_id: UUID, prediction_id: UUID) -> Select[Prediction]:
    return select(Prediction).where(
        Prediction.tenant_id == tenant_id, Prediction.id == prediction_id
    )


def _found(prediction: Prediction | None, prediction_id: UUID) -> Prediction:
    if prediction is None:
        raise NotFound("prediction", str(prediction_id))
    return prediction


def _conditions(chosen: Filter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if chosen.document_type is not None:
        conditions.append(Prediction.document_type == chosen.document_type)
    if chosen.state is not None:
        conditions.append(Prediction.state == chosen.state)
    if chosen.model_version is not None:
        conditions.append(Prediction.model_version == chosen.model_version)
    if chosen.created_from is not None:
        conditions.append(Prediction.created_at >= chosen.created_from)
    if chosen.created_until is not None:
        conditions.append(Prediction.created_at < chosen.created_until)
    if chosen.confidence_below is not None:
        conditions.append(Prediction.lowest_confidence < chosen.confidence_below)
    if chosen.has_correction is not None:
        corrected = exists().where(Correction.prediction_id == Prediction.id)
        conditions.append(corrected if chosen.has_correction else ~corrected)
    return conditions
