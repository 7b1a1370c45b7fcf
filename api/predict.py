"""One document to one prediction: begun in the database, computed, finished in the database.

    upload -> type -> pages -> blobs and rows -> place -> extraction -> finished row -> answer

The row is there before anything dear is computed, and it is finished before anybody is answered.
The computation is a task of its own: it goes on when the one who asked hangs up, and others who ask
for the same wait for it.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import Services
from api.errors import DatabaseUnavailable, Interrupted, ProcessingFailed, QueueFull, QueueTimeout
from api.flights import Flight
from api.jobs_add import add_job
from api.logs import request_id
from api.presentation import stored_fields
from api.problems import log_problem, problem_of
from api.storing import StoredPages, encode_pages, store_document
from api.type_lookup import find_type
from api.upload import AUTO, Upload, stored_upload
from db.errors import IdempotencyConflict, NotFound
from db.presence import is_gone
from db.queries.documents import get_document, list_pages, set_lines
from db.queries.predictions import (
    Answer,
    NewPrediction,
    begin_prediction,
    find_by_idempotency_key,
    finish_prediction,
    get_prediction,
    list_unfinished,
    restart_prediction,
    set_running,
)
from db.tables import Page as PageRow
from db.tables import Prediction, State
from extraction.document_types.base import DocumentType
from extraction.errors import EngineUnavailable
from extraction.extract import Extraction, ExtractRequest
from extraction.pages import Page

MOST_ATTEMPTS = 5
"""How often a job is begun before its document is given up."""

_RUNNER = "runner"
_POLL_SECONDS = 0.3
_FINISH_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
# An engine that is built anew, compiled included, takes a few minutes.
_JOB_PATIENCE_SECONDS = 900.0
_LONGEST_PAUSE_SECONDS = 15.0

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """A prediction that is in the database.

    Attributes:
        prediction: its row as it was then.
        pages: those of its document.
        flight: its computation in this process; None where another one, or a worker, has it.
    """

    prediction: Prediction
    pages: Sequence[PageRow] = ()
    flight: Flight | None = None


@dataclass(frozen=True, slots=True)
class _Work:
    """All that a computation needs."""

    tenant_id: UUID
    prediction_id: UUID
    document_id: UUID
    upload: Upload
    document_type: DocumentType | None
    pages: Sequence[Page]
    patient: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)


async def begin(services: Services, tenant_id: UUID, upload: Upload, *, wait: bool) -> Begun:
    """Store an upload and begin to compute its prediction, or find the one of its key.

    Args:
        services: of the app.
        tenant_id: whose.
        upload: one document.
        wait: whether somebody waits for it; a worker computes it otherwise.

    Raises:
        UnknownType, UnknownField: the request names what is not there.
        UnreadableDocument: nothing was stored.
        IdempotencyConflict: the key stands for another request.
        BlobStoreFull, EngineUnavailable, DatabaseUnavailable: nothing was stored.
    """
    async with services.flights.turn(tenant_id, upload.idempotency_key):
        async with services.sessions.begin() as session:
            document_type = await _wanted_type(session, tenant_id, upload)
            known = await _known(services, session, tenant_id, upload)
        if known is not None and known.state is not State.FAILED:
            return Begun(known, flight=services.flights.find(known.id))
        began = time.monotonic()
        pages = await services.extractor.decode(upload.content)
        decoded = time.monotonic()
        images = await asyncio.to_thread(encode_pages, pages)
        stored = await _begin_rows(services, tenant_id, upload, document_type, images, wait=wait)
        if not stored.is_ours or not wait:
            return Begun(stored.prediction, stored.pages)
        seconds = {"decode": decoded - began, "store": time.monotonic() - decoded}
        work = _Work(
            tenant_id=tenant_id,
            prediction_id=stored.prediction.id,
            document_id=stored.prediction.document_id,
            upload=upload,
            document_type=document_type,
            pages=pages,
            seconds=seconds,
        )
        flight = services.flights.begin(work.prediction_id, _compute(services, work))
        return Begun(stored.prediction, stored.pages, flight)


async def follow(services: Services, tenant_id: UUID, begun: Begun, seconds: float) -> Prediction:
    """The prediction when it is finished, or as it is when the time is over.

    Raises:
        NotFound: it was erased meanwhile.
    """
    deadline = time.monotonic() + seconds
    if begun.flight is not None:
        await asyncio.wait({begun.flight}, timeout=seconds)
        if begun.flight.done() and not begun.flight.cancelled():
            finished = begun.flight.result()
            if finished is None:
                raise NotFound("prediction", str(begun.prediction.id))
            return finished
    while True:
        async with services.sessions.begin() as session:
            prediction = await get_prediction(session, tenant_id, begun.prediction.id)
            if await _end_abandoned(services, session, prediction):
                prediction = await get_prediction(session, tenant_id, prediction.id)
        if prediction.finished_at is not None or time.monotonic() >= deadline:
            return prediction
        await asyncio.sleep(_POLL_SECONDS)


async def work_off(
    services: Services, tenant_id: UUID, prediction_id: UUID, attempts: int
) -> None:
    """A worker's share: compute a queued prediction from what is stored.

    A model that is not there is waited for, so that only a process that dies counts as an attempt.

    Args:
        services: of the app.
        tenant_id: whose.
        prediction_id: which.
        attempts: how often it was begun before.
    """
    try:
        async with services.sessions.begin() as session:
            if not await set_running(session, tenant_id, prediction_id):
                return
            prediction = await get_prediction(session, tenant_id, prediction_id)
            document = await get_document(session, tenant_id, prediction.document_id)
    except NotFound:
        return  # erased meanwhile
    with structlog.contextvars.bound_contextvars(request_id=prediction.request_id):
        if attempts >= MOST_ATTEMPTS:
            failure = _failure(ProcessingFailed(attempts))
            await _finish(services, tenant_id, prediction_id, failure)
            services.metrics.count_prediction(prediction.document_type, State.FAILED)
            return
        content = await services.blobs.get(document.blob_key)
        flight = services.flights.begin(
            prediction_id, _compute_job(services, tenant_id, prediction, content)
        )
        try:
            await asyncio.shield(flight)
        except asyncio.CancelledError:
            flight.cancel()
            await asyncio.gather(flight, return_exceptions=True)
            raise


async def sweep_abandoned(services: Services) -> int:
    """End predictions whose process died while somebody waited; answers how many.

    Workers' predictions are left to the queue. Nobody was told of these as acknowledged: their
    callers' connections broke, and the same Idempotency-Key computes them anew.
    """
    ended = 0
    async with services.sessions.begin() as session:
        for prediction in await list_unfinished(session, datetime.now(UTC)):
            ended += await _end_abandoned(services, session, prediction)
    return ended


async def _wanted_type(
    session: AsyncSession, tenant_id: UUID, upload: Upload
) -> DocumentType | None:
    """The named type, with the wanted fields checked; None where `auto` decides."""
    if upload.document_type == AUTO:
        return None
    document_type = await find_type(session, tenant_id, upload.document_type)
    document_type.select(upload.fields)
    return document_type


async def _known(
    services: Services, session: AsyncSession, tenant_id: UUID, upload: Upload
) -> Prediction | None:
    """The prediction that the upload's key stands for."""
    if upload.idempotency_key is None:
        return None
    known = await find_by_idempotency_key(session, tenant_id, upload.idempotency_key)
    if known is None:
        return None
    if known.body_sha256 != upload.body_sha256():
        raise IdempotencyConflict(known.id)
    if await _end_abandoned(services, session, known):
        known = await get_prediction(session, tenant_id, known.id)
    return known


@dataclass(frozen=True, slots=True)
class _StoredPrediction:
    prediction: Prediction
    pages: Sequence[PageRow]
    is_ours: bool


async def _begin_rows(
    services: Services,
    tenant_id: UUID,
    upload: Upload,
    document_type: DocumentType | None,
    images: StoredPages,
    *,
    wait: bool,
) -> _StoredPrediction:
    """Document, pages, prediction and job in one transaction; the blobs are there before its end."""
    state = State.RUNNING if wait else State.QUEUED
    options = upload.options() | ({_RUNNER: services.presence.number} if wait else {})
    async with services.sessions.begin() as session:
        document = await store_document(session, services.blobs, tenant_id, upload, images)
        pages = await list_pages(session, tenant_id, document.id)
        new = NewPrediction(
            document_id=document.id,
            document_type=upload.document_type,
            document_type_version=None if document_type is None else document_type.version,
            asked_fields=upload.fields or None,
            options=options,
            state=state,
            idempotency_key=upload.idempotency_key,
            body_sha256=upload.body_sha256(),
            request_id=request_id(),
        )
        begun = await begin_prediction(session, tenant_id, new)
        prediction, is_ours = begun.prediction, begun.is_new
        if not is_ours and prediction.state is State.FAILED:
            is_ours = await restart_prediction(
                session, tenant_id, prediction.id, state=state, options=options
            )
            prediction = await get_prediction(session, tenant_id, prediction.id)
        if is_ours and not wait:
            await add_job(session, tenant_id, prediction.id)
    return _StoredPrediction(prediction, pages, is_ours)


async def _compute_job(
    services: Services, tenant_id: UUID, prediction: Prediction, content: bytes
) -> Prediction | None:
    upload = stored_upload(
        content, prediction.document_type, prediction.asked_fields, prediction.options
    )
    try:
        async with services.sessions.begin() as session:
            document_type = None
            if upload.document_type != AUTO:
                document_type = await find_type(
                    session, tenant_id, upload.document_type, prediction.document_type_version
                )
        began = time.monotonic()
        pages = await _patiently_decode(services, content)
    except Exception as error:  # noqa: BLE001 - whatever it is, the row says it
        return await _fail(services, tenant_id, prediction, error)
    work = _Work(
        tenant_id=tenant_id,
        prediction_id=prediction.id,
        document_id=prediction.document_id,
        upload=upload,
        document_type=document_type,
        pages=pages,
        patient=True,
        seconds={"decode": time.monotonic() - began},
    )
    return await _compute(services, work)


async def _compute(services: Services, work: _Work) -> Prediction | None:
    """The computation of one prediction, finished in the database however it ends.

    Cancelled, it notes that it was interrupted; a worker's stays as it is and is taken up again.
    """
    document_type = work.upload.document_type
    try:
        extraction = await _extract(services, work)
    except asyncio.CancelledError:
        if not work.patient:
            await _finish(services, work.tenant_id, work.prediction_id, _failure(Interrupted()))
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the row says it
        log_problem(problem_of(error), error)
        answer = _failure(error)
        lines: dict[int, list[Any]] = {}
    else:
        document_type = extraction.document_type
        answer, lines = _answer(extraction, work), _lines_by_page(extraction)
        services.metrics.observe_extraction(extraction)
    began = time.monotonic()
    finished = await _finish(
        services, work.tenant_id, work.prediction_id, answer, (work.document_id, lines)
    )
    services.metrics.observe_stage("commit", time.monotonic() - began)
    for stage, seconds in work.seconds.items():
        services.metrics.observe_stage(stage, seconds)
    state = State.DONE if answer.error is None else State.FAILED
    services.metrics.count_prediction(document_type, state)
    return finished


async def _extract(services: Services, work: _Work) -> Extraction:
    """The extraction, once there is a place; a worker waits for the model, a caller does not."""
    upload = work.upload
    request = ExtractRequest(
        content=upload.content,
        document_type=work.document_type,
        fields=upload.fields,
        reasoning=upload.reasoning,
        answer_format=upload.answer_format,
        use_lines=upload.use_lines,
    )
    deadline = time.monotonic() + _JOB_PATIENCE_SECONDS
    while True:
        try:
            async with services.admission.place(patient=work.patient) as place:
                services.metrics.observe_stage("queue", place.waited_seconds)
                return await services.extractor.extract(request, work.pages)
        except (EngineUnavailable, QueueFull, QueueTimeout) as error:
            if not work.patient or time.monotonic() >= deadline:
                raise
            await asyncio.sleep(min(error.retry_after_seconds, _LONGEST_PAUSE_SECONDS))


async def _patiently_decode(services: Services, content: bytes) -> list[Page]:
    deadline = time.monotonic() + _JOB_PATIENCE_SECONDS
    while True:
        try:
            return await services.extractor.decode(content)
        except EngineUnavailable as error:  # its parts are still being loaded
            if time.monotonic() >= deadline:
                raise
            await asyncio.sleep(min(error.retry_after_seconds, _LONGEST_PAUSE_SECONDS))


async def _finish(
    services: Services,
    tenant_id: UUID,
    prediction_id: UUID,
    answer: Answer,
    lines: tuple[UUID, Mapping[int, list[Any]]] | None = None,
) -> Prediction | None:
    """Commit the answer, through a short absence of the database; None where the row is erased."""
    for pause in (*_FINISH_PAUSES_SECONDS, None):
        try:
            async with services.sessions.begin() as session:
                finished = await finish_prediction(session, tenant_id, prediction_id, answer)
                if lines is not None:
                    document_id, by_page = lines
                    for index, found in by_page.items():
                        await set_lines(session, tenant_id, document_id, index, found)
                return finished
        except NotFound:
            return None
        except Exception as error:
            if pause is None or problem_of(error).body["type"] != _DATABASE_PROBLEM:
                raise
            logger.warning("answer not committed yet", prediction_id=str(prediction_id))
            await asyncio.sleep(pause)
    raise AssertionError("the last pass returns or raises")


_DATABASE_PROBLEM = f"/problems/{DatabaseUnavailable.slug}"


async def _fail(
    services: Services, tenant_id: UUID, prediction: Prediction, error: BaseException
) -> Prediction | None:
    log_problem(problem_of(error), error)
    services.metrics.count_prediction(prediction.document_type, State.FAILED)
    return await _finish(services, tenant_id, prediction.id, _failure(error))


async def _end_abandoned(
    services: Services, session: AsyncSession, prediction: Prediction
) -> bool:
    """Mark a prediction as interrupted whose process died under a waiting caller.

    Our own are ours as long as we compute them; one that is begun at this moment is not yet known
    to be, so only older ones count.
    """
    runner = prediction.options.get(_RUNNER)
    if prediction.finished_at is not None or prediction.state is State.QUEUED or runner is None:
        return False
    if runner == services.presence.number:
        return False
    if not await is_gone(session, runner):
        return False
    await finish_prediction(
        session, prediction.tenant_id, prediction.id, _failure(Interrupted(), prediction)
    )
    services.metrics.count_prediction(prediction.document_type, State.FAILED)
    return True


def _failure(error: BaseException, prediction: Prediction | None = None) -> Answer:
    asked_id = None if prediction is None else prediction.request_id
    return Answer(error=problem_of(error, asked_id=asked_id).body)


def _answer(extraction: Extraction, work: _Work) -> Answer:
    seconds = {**extraction.timings_seconds}
    for stage, measured in work.seconds.items():
        seconds[stage] = seconds.get(stage, 0.0) + measured
    return Answer(
        document_type=extraction.document_type,
        document_type_version=extraction.document_type_version,
        record=extraction.record,
        fields=stored_fields(extraction),
        checks=[asdict(check) for check in extraction.checks],
        warnings=list(extraction.warnings),
        reasoning=extraction.reasoning,
        entity_tokens=extraction.entity_tokens,
        type_confidence=extraction.type_confidence,
        model_version=extraction.model_version,
        prompt_hash=extraction.prompt_hash,
        timings={stage: round(value, 4) for stage, value in seconds.items()},
        prompt_tokens=extraction.prompt_tokens,
        completion_tokens=extraction.completion_tokens,
        finish_reason=extraction.finish_reason,
        schema_valid=extraction.schema_valid,
    )


def _lines_by_page(extraction: Extraction) -> dict[int, list[Any]]:
    """The OCR's lines as the pages' rows keep them; a dataset is made of these later."""
    by_page: dict[int, list[Any]] = {}
    for line in extraction.lines:
        box = [round(s, 5) for s in (line.box.left, line.box.top, line.box.right, line.box.bottom)]
        by_page.setdefault(line.page, []).append(
            {
                "text": line.text,
                "box": box,
                "score": round(line.score, 4),
                "quarter_turns": line.quarter_turns,
            }
        )
    return by_page
