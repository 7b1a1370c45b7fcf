"""The queue behind `wait=false`: procrastinate's tables in the same database, one worker in here.

A job is added in the transaction of its prediction, so that there is never one without the other.
A worker shows that it lives by a heartbeat. Jobs of one that does not any more, because its process
was killed, are taken up again; how often they were begun is counted with them, so that a document
that kills its worker cannot do so for ever (`work_off`).
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import procrastinate
import structlog
from procrastinate.exceptions import ProcrastinateException

from api.cancelling import cancel_until_done, check_cancelled
from api.compute import (
    JOB_PATIENCE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Work,
    compute,
    failure,
    finish,
    is_database_away,
)
from api.dependencies import Services
from api.enqueue import QUEUE, TASK
from api.errors import ProcessingFailed
from api.predict import sweep_abandoned
from api.problems import log_problem, problem_of
from api.type_lookup import find_type
from api.upload import AUTO, stored_upload
from db.errors import NotFound
from db.queries.documents import get_document
from db.queries.predictions import get_prediction, set_running
from db.sessions import driver_url
from db.tables import Prediction, State
from extraction.document_types.catalogue import as_asked
from extraction.errors import EngineUnavailable
from extraction.pages import Page

STALLED_SECONDS = 20.0
"""A worker that was silent for so long is taken for dead."""

MOST_ATTEMPTS = 5
"""How often a job is begun before its document is given up."""

_HEARTBEAT_SECONDS = 4.0
_POLL_SECONDS = 5.0
_RETRY_SECONDS = 2
# The work itself gives up long before; this ends a job whose work cannot even say so.
_MOST_ATTEMPTS = 50
_SWEEP_SECONDS = 15.0
_GRACE_SECONDS = 2.0

logger = structlog.get_logger(__name__)


async def run_jobs(services: Services, *, stalled_seconds: float = STALLED_SECONDS) -> None:
    """Work on jobs, those of dead processes included, until cancelled.

    When cancelled, jobs under way may end within `shutdown_seconds`; others go back to the queue,
    and predictions that somebody waits for are marked as interrupted.

    Args:
        services: of the app; its database is there and migrated.
        stalled_seconds: a worker that was silent for so long is taken for dead.

    Raises:
        Exception: the database was lost; call it again.
    """
    url = driver_url(services.database_url).set(drivername="postgresql")
    address = url.render_as_string(hide_password=False)
    app = _make_app(services, address)
    try:
        await services.presence.start(address)
        await app.open_async()
        check_cancelled()
        await _run_together(
            _work(app, services, stalled_seconds),
            _keep_rescuing(app, stalled_seconds),
            _keep_sweeping(services),
            grace_seconds=services.settings.shutdown_seconds + _GRACE_SECONDS,
        )
    except asyncio.CancelledError:
        await services.flights.end()
        await services.presence.stop()
        raise
    finally:
        # Also where opening it was cancelled half-way: its pool would go on trying for ever.
        await app.close_async()


async def _run_together(
    work: Coroutine[Any, Any, None], *others: Coroutine[Any, Any, None], grace_seconds: float
) -> None:
    """Runs until one ends or we are cancelled; then all end, the work in its own time.

    A task group would wait for ever for one that lost its cancellation.
    """
    tasks = [asyncio.create_task(work), *map(asyncio.create_task, others)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        pauses = [grace_seconds, *(_GRACE_SECONDS for _ in others)]
        await asyncio.gather(*map(cancel_until_done, tasks, pauses))
    for task in done:
        task.result()


async def work_off(services: Services, tenant_id: UUID, prediction_id: UUID, attempts: int) -> None:
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
            gave_up = failure(ProcessingFailed(attempts))
            await finish(services, tenant_id, prediction_id, gave_up)
            services.metrics.count_prediction(prediction.document_type, State.FAILED)
            return
        work = _compute_job(services, tenant_id, prediction, document.blob_key)
        flight = services.flights.begin(prediction_id, work)
        try:
            await asyncio.shield(flight)
        except asyncio.CancelledError:
            flight.cancel()
            await asyncio.gather(flight, return_exceptions=True)
            raise


async def rescue_jobs(app: Any, stalled_seconds: float) -> int:
    """Put the jobs of dead workers back into the queue; answers how many."""
    jobs = await app.job_manager.get_stalled_jobs(
        queue=QUEUE, seconds_since_heartbeat=stalled_seconds
    )
    rescued = 0
    for job in jobs:
        try:
            await app.job_manager.retry_job(job)
        except ProcrastinateException:
            continue  # another process was faster
        rescued += 1
    return rescued


def _make_app(services: Services, address: str) -> Any:
    async def perform(context: Any, tenant_id: str, prediction_id: str) -> None:
        await work_off(services, UUID(tenant_id), UUID(prediction_id), context.job.attempts)

    connector = procrastinate.PsycopgConnector(
        conninfo=address,
        min_size=1,
        max_size=services.settings.job_concurrency + 2,
        timeout=10.0,
        kwargs={"application_name": "docloop jobs"},
    )
    app = procrastinate.App(connector=connector)
    # Everything is tried again, a job that our own shutdown cancelled included.
    retry = procrastinate.RetryStrategy(
        max_attempts=_MOST_ATTEMPTS,
        wait=_RETRY_SECONDS,
        retry_exceptions=(Exception, asyncio.CancelledError),
    )
    app.task(name=TASK, queue=QUEUE, retry=retry, pass_context=True)(perform)
    return app


async def _work(app: Any, services: Services, stalled_seconds: float) -> None:
    """Runs the worker; it ends when the database goes away under it, which is an error here."""
    await app.run_worker_async(
        queues=[QUEUE],
        concurrency=services.settings.job_concurrency,
        install_signal_handlers=False,
        delete_jobs="successful",
        fetch_job_polling_interval=_POLL_SECONDS,
        update_heartbeat_interval=min(_HEARTBEAT_SECONDS, stalled_seconds / 4),
        stalled_worker_timeout=stalled_seconds,
        shutdown_graceful_timeout=services.settings.shutdown_seconds,
    )
    raise ProcrastinateException("the worker ended by itself")


async def _keep_rescuing(app: Any, stalled_seconds: float) -> None:
    while True:
        rescued = await rescue_jobs(app, stalled_seconds)
        if rescued:
            logger.warning("jobs of dead workers taken up again", job_count=rescued)
        await asyncio.sleep(stalled_seconds / 2)


async def _keep_sweeping(services: Services) -> None:
    while True:
        interrupted = await sweep_abandoned(services)
        if interrupted:
            logger.warning("predictions of dead processes ended", prediction_count=interrupted)
        await asyncio.sleep(_SWEEP_SECONDS)


async def _compute_job(
    services: Services, tenant_id: UUID, prediction: Prediction, blob_key: str
) -> Prediction | None:
    try:
        content = await services.blobs.get(blob_key)
        upload = stored_upload(
            content, prediction.document_type, prediction.asked_fields, prediction.options
        )
        document_type = None
        if upload.document_type != AUTO:
            async with services.sessions.begin() as session:
                document_type = await find_type(
                    session, tenant_id, upload.document_type, prediction.document_type_version
                )
            document_type = as_asked(document_type, prediction.options)
        began = time.monotonic()
        pages = [] if upload.is_text else await _patiently_decode(services, content)
    except Exception as error:  # whatever else it is, the row says it
        if is_database_away(error):
            raise  # the job begins again, with its document
        return await _fail(services, tenant_id, prediction, error)
    work = Work(
        tenant_id=tenant_id,
        prediction_id=prediction.id,
        upload=upload,
        document_type=document_type,
        pages=pages,
        patient=True,
        seconds={"decode": time.monotonic() - began},
    )
    return await compute(services, work, prediction.document_id)


async def _patiently_decode(services: Services, content: bytes) -> list[Page]:
    deadline = time.monotonic() + JOB_PATIENCE_SECONDS
    while True:
        try:
            return await services.extractor.decode(content)
        except EngineUnavailable as error:  # its parts are still being loaded
            if time.monotonic() >= deadline:
                raise
            await asyncio.sleep(min(error.retry_after_seconds, LONGEST_PAUSE_SECONDS))


async def _fail(
    services: Services, tenant_id: UUID, prediction: Prediction, error: BaseException
) -> Prediction | None:
    log_problem(problem_of(error), error)
    services.metrics.count_prediction(prediction.document_type, State.FAILED)
    return await finish(services, tenant_id, prediction.id, failure(error))
