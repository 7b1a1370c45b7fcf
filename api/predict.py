"""One document to one prediction: begun in the database, computed, finished in the database.

    upload -> type -> pages -> blobs and rows -> place -> extraction -> finished row -> answer

The row is finished before anybody is answered. Reading and storing begin together, so that a caller
does not wait for the disk twice; what was read is dropped where the storing fails. The computation
is a task of its own: it goes on when the one who asked hangs up, and others who ask for the same
wait for it.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.compute import Work, compute, failure, read
from api.dependencies import Services
from api.enqueue import add_job
from api.errors import Interrupted
from api.flights import Flight
from api.logs import request_id
from api.storing import encode_pages, store_document
from api.type_lookup import find_type
from api.upload import AUTO, Upload
from db.errors import IdempotencyConflict, NotFound
from db.presence import is_gone
from db.queries.predictions import (
    NewPrediction,
    begin_prediction,
    find_by_idempotency_key,
    finish_prediction,
    get_prediction,
    list_unfinished,
    restart_prediction,
)
from db.tables import Page as PageRow
from db.tables import Prediction, State
from db.types import uuid7
from extraction.document_types.base import DocumentType
from extraction.document_types.catalogue import as_asked
from extraction.extract import Extraction

_RUNNER = "runner"
_POLL_SECONDS = 0.3


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
        QueueFull: the documents of others fill the memory that is set apart for them.
    """
    return await services.flights.outlive(_begin(services, tenant_id, upload, wait=wait))


async def _begin(services: Services, tenant_id: UUID, upload: Upload, *, wait: bool) -> Begun:
    with contextlib.ExitStack() as held:
        held.enter_context(services.admission.hold(len(upload.content)))
        async with services.flights.turn(tenant_id, upload.idempotency_key):
            async with services.sessions.begin() as session:
                document_type = await _wanted_type(session, tenant_id, upload)
                known = await _known(services, session, tenant_id, upload)
            if known is not None and known.state is not State.FAILED:
                return Begun(known, flight=services.flights.find(known.id))
            began = time.monotonic()
            pages = [] if upload.is_text else await services.extractor.decode(upload.content)
            held.enter_context(services.admission.hold(sum(page.size_bytes for page in pages)))
            work = Work(
                tenant_id=tenant_id,
                prediction_id=known.id if known is not None else uuid7(),
                upload=upload,
                document_type=document_type,
                pages=pages,
                seconds={"decode": time.monotonic() - began},
            )
            begun = await _launch(services, work, wait=wait)
        if begun.flight is not None:
            # What a computation needs is held until it ends, whoever waits for it.
            until_landed = held.pop_all()
            begun.flight.add_done_callback(lambda _: until_landed.close())
        return begun


async def _launch(services: Services, work: Work, *, wait: bool) -> Begun:
    """Store the document while it is being read; its flight where it is ours to compute."""
    with services.flights.holding(work.prediction_id):
        reading = asyncio.create_task(read(services, work)) if wait else None
        try:
            stored, is_ours = await _begin_rows(services, work, wait=wait)
        except BaseException:
            await _drop(reading)
            raise
        if reading is None or not is_ours:
            await _drop(reading)
            return stored
        work = replace(work, prediction_id=stored.prediction.id)
        flight = services.flights.begin(
            work.prediction_id, compute(services, work, stored.prediction.document_id, reading)
        )
    return replace(stored, flight=flight)


async def _drop(reading: asyncio.Task[Extraction] | None) -> None:
    """Ends a reading whose document is not stored, or is another's to read."""
    if reading is not None:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def follow(services: Services, tenant_id: UUID, begun: Begun, seconds: float) -> Prediction:
    """The prediction when it is finished, or as it is when the time is over.

    Raises:
        NotFound: it was erased meanwhile.
        Interrupted: the service stops.
    """
    deadline = time.monotonic() + seconds
    if begun.flight is not None:
        await asyncio.wait({begun.flight}, timeout=seconds)
        if begun.flight.cancelled():
            raise Interrupted
        if begun.flight.done():
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
    document_type = as_asked(document_type, upload.options())
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


async def _begin_rows(services: Services, work: Work, *, wait: bool) -> tuple[Begun, bool]:
    """Document, pages, prediction and job in one transaction; the blobs are there before its end.

    The second value tells whether the prediction is ours to compute.
    """
    tenant_id, upload, document_type = work.tenant_id, work.upload, work.document_type
    images = await asyncio.to_thread(encode_pages, work.pages)
    state = State.RUNNING if wait else State.QUEUED
    options = upload.options() | ({_RUNNER: services.presence.number} if wait else {})
    async with services.sessions.begin() as session:
        document, pages = await store_document(session, services.blobs, tenant_id, upload, images)
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
            id=work.prediction_id,
        )
        found = await begin_prediction(session, tenant_id, new)
        prediction, is_ours = found.prediction, found.is_new
        if not is_ours and prediction.state is State.FAILED:
            is_ours = await restart_prediction(
                session,
                tenant_id,
                prediction.id,
                state=state,
                options=options,
                document_type=upload.document_type,
            )
            prediction = await get_prediction(session, tenant_id, prediction.id)
        if is_ours and not wait:
            await add_job(session, tenant_id, prediction.id)
    return Begun(prediction, pages), is_ours


async def _end_abandoned(services: Services, session: AsyncSession, prediction: Prediction) -> bool:
    """Mark a prediction as interrupted whose process died under a waiting caller."""
    runner = prediction.options.get(_RUNNER)
    if prediction.finished_at is not None or prediction.state is State.QUEUED or runner is None:
        return False
    if runner == services.presence.number:
        gone = not services.flights.holds(prediction.id)
    else:
        gone = await is_gone(session, runner)
    if not gone:
        return False
    await finish_prediction(
        session, prediction.tenant_id, prediction.id, failure(Interrupted(), prediction)
    )
    services.metrics.count_prediction(prediction.document_type, State.FAILED)
    return True
