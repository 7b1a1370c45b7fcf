"""The queue behind `wait=false`: procrastinate's tables in the same database, one worker in here.

A job is added in the transaction of its prediction, so that there is never one without the other.
A worker shows that it lives by a heartbeat. Jobs of one that does not any more, because its process
was killed, are taken up again; how often they were begun is counted with them, so that a document
that kills its worker cannot do so for ever (`api.predict.work_off`).
"""

import asyncio
from typing import Any
from uuid import UUID

import procrastinate
import structlog
from procrastinate.exceptions import ProcrastinateException
from procrastinate.manager import JobManager
from procrastinate.tasks import configure_task
from sqlalchemy.ext.asyncio import AsyncSession

from api.dependencies import Services
from api.predict import sweep_abandoned, work_off
from db.sessions import driver_url

QUEUE = "extract"
TASK = "extract"
STALLED_SECONDS = 20.0
"""A worker that was silent for so long is taken for dead."""

_HEARTBEAT_SECONDS = 4.0
_POLL_SECONDS = 5.0
_RETRY_SECONDS = 2
# The work itself gives up long before; this ends a job whose work cannot even say so.
_MOST_ATTEMPTS = 50
_SWEEP_SECONDS = 15.0

logger = structlog.get_logger(__name__)


async def add_job(session: AsyncSession, tenant_id: UUID, prediction_id: UUID) -> None:
    """Add the job of a prediction, in the session's transaction; workers hear of its commit."""
    connection = await (await session.connection()).get_raw_connection()
    # Never opened: the statement goes over the session's own connection.
    manager = JobManager(procrastinate.PsycopgConnector())
    deferrer = configure_task(
        name=TASK, job_manager=manager, queue=QUEUE, connection=connection.driver_connection
    )
    await deferrer.defer_async(tenant_id=str(tenant_id), prediction_id=str(prediction_id))


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
    await services.presence.start(address)
    app = _make_app(services, address)
    try:
        async with app.open_async(), asyncio.TaskGroup() as group:
            group.create_task(_work(app, services, stalled_seconds))
            group.create_task(_keep_rescuing(app, stalled_seconds))
            group.create_task(_keep_sweeping(services))
    except asyncio.CancelledError:
        await services.flights.end()
        await services.presence.stop()
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
