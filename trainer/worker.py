"""`docloop worker`: looks for work, and runs one cycle at a time (procrastinate, Postgres).

Every worker looks by itself: it screens new corrections, watches a new champion, tells its metrics,
and where a cycle is due, it adds a job to the queue `training`. The queue takes one such job at a
time; some worker begins it, asks once more whether it is due, and starts `docloop train` as a
process. That process holds the lock of training (`trainer.cycle_lock`), so that nothing else has to
be right for there to be one cycle at a time.

The looks are no periodic tasks of the queue: those run on one machine only, in whole steps of a
crontab, and each worker has metrics to tell and perhaps a run to take up.
"""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import procrastinate
from procrastinate.exceptions import AlreadyEnqueued, ProcrastinateException
from procrastinate.jobs import Status
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.opening import Database
from db.queries.models import list_promotions
from db.queries.quarantine import count_held
from db.queries.runs import last_finished, list_runs, unfinished_run
from db.tables import Promotion, RunState, TrainingRun
from trainer import exit_status
from trainer.attempt import count_waiting, last_sign, lost_database
from trainer.cycle_lock import ask_holder
from trainer.profile import Profile
from trainer.schedule import Choice, Due, choose, due, rest_until
from trainer.worker_metrics import WorkerMetrics

QUEUE = "training"
TASK = "train"
STALLED_SECONDS = 20.0
"""A worker that was silent for so long is taken for dead, and its job with it."""

_HEARTBEAT_SECONDS = 4.0
_POLL_SECONDS = 5.0
_GRACE_SECONDS = 2.0
_LONGEST_REST_SECONDS = 3600.0
_MOST_PROMOTIONS = 50

logger = logging.getLogger(__name__)

Duty = Callable[[async_sessionmaker[AsyncSession], Profile], Awaitable[object]]
"""Something to do at each look; it commits what it does."""


@dataclass(frozen=True, slots=True)
class Training:
    """How a worker starts a cycle and knows of it.

    Attributes:
        start: runs one attempt, or waits for the one under way, and returns the exit status of
            `docloop train`; cancelling the wait does not end the attempt.
        running: whether an attempt of this worker is under way.
        folder: where runs lie on this machine.
    """

    start: Callable[[], Awaitable[int]]
    running: Callable[[], bool]
    folder: Path


class Worker:
    """Looks and works until the database goes away or it is cancelled.

    Args:
        database: open and migrated.
        profile: says when a cycle is due.
        training: how to start one.
        metrics: what to tell.
        duties: name -> what else is done at each look.
    """

    def __init__(
        self,
        database: Database,
        profile: Profile,
        training: Training,
        metrics: WorkerMetrics,
        duties: dict[str, Duty],
    ) -> None:
        self._database, self._profile, self._training = database, profile, training
        self._metrics, self._duties = metrics, duties
        self._ended_badly = 0
        self._rest_until = 0.0

    async def run(self, *, stalled_seconds: float = STALLED_SECONDS) -> None:
        """Works until cancelled.

        A cycle under way is left running: whoever started this worker ends it, or starts another.

        Args:
            stalled_seconds: a worker that was silent for so long is taken for dead.

        Raises:
            Exception: the database was lost; open it again and make another worker.
        """
        app = self._make_app()
        try:
            await app.open_async()
            await _run_together(
                _take_jobs(app, stalled_seconds),
                self._keep_looking(app, stalled_seconds),
                self._adopt(),
            )
        finally:
            await app.close_async()

    async def look(self) -> Due | UUID | None:
        """Does the duties, tells the metrics.

        Returns:
            What to train: a cycle that is due, or the run that is to be taken up here; None where
            there is nothing to do now.
        """
        for name, duty in self._duties.items():
            try:
                await duty(self._database.sessions, self._profile)
            except Exception as error:
                if lost_database(error):
                    raise
                # The others still have theirs to do.
                logger.exception("%s failed; it is tried again at the next look", name)
        async with self._database.sessions() as session:
            await self._tell(session)
            wanted = await self._wanted(session)
        if wanted is None or self._busy():
            return None
        holder = await asyncio.to_thread(ask_holder, self._database.address)
        return wanted if holder is None else None

    async def _tell(self, session: AsyncSession) -> None:
        done = await last_finished(session, RunState.DONE)
        if done is not None and done.finished_at is not None:
            self._metrics.set_last_success(done.finished_at.timestamp())
        self._metrics.set_schedule(
            period_seconds=self._profile.schedule.most_hours * 3600,
            least_corrections=self._profile.data.least_examples,
        )
        waiting = await count_waiting(session)
        self._metrics.set_corrections(waiting=waiting.new_count, held=await count_held(session))
        self._metrics.show_run(await unfinished_run(session))
        self._metrics.count_rollbacks(await list_promotions(session, _MOST_PROMOTIONS))

    async def _wanted(self, session: AsyncSession) -> Due | UUID | None:
        waiting = await count_waiting(session)
        unfinished = await unfinished_run(session)
        if unfinished is not None:
            here = (self._training.folder / str(unfinished.id)).is_dir()
            choice = choose(last_sign(unfinished), waiting.now, folder_here=here)
            if choice is Choice.RESUME:
                return unfinished.id
            if choice is Choice.WAIT:
                return None
        rest = rest_until(_failures(await list_runs(session)), self._profile.schedule)
        if rest is not None and waiting.now < rest:
            return None
        return due(
            waiting.now,
            waiting.last_finished,
            waiting.new_count,
            self._profile.schedule,
            self._profile.data.least_examples,
        )

    def _busy(self) -> bool:
        return self._training.running() or time.monotonic() < self._rest_until

    async def _train(self) -> None:
        """The job: one attempt, if there is still something to do."""
        async with self._database.sessions() as session:
            wanted = await self._wanted(session)
        if wanted is None or self._busy():
            return
        if isinstance(wanted, Due):
            logger.info("training: due by %s, %d corrections", wanted.reason, wanted.new_count)
        else:
            logger.info("training: taking up run %s", wanted)
        await self._note_end(await self._training.start())

    async def _adopt(self) -> None:
        """Waits for an attempt that outlived the connection of an earlier worker here."""
        if self._training.running():
            await self._note_end(await self._training.start())
        await asyncio.Event().wait()

    async def _note_end(self, status: int) -> None:
        """Counts an attempt that ended; after one that did not come to its end, rests."""
        if status == 0:
            self._ended_badly = 0
        else:
            self._ended_badly += 1
            rest = self._profile.schedule.poll_seconds * 2 ** min(self._ended_badly, 16)
            self._rest_until = time.monotonic() + min(rest, _LONGEST_REST_SECONDS)
        if status == exit_status.NOT_STARTED:
            logger.info("training: nothing to do")
            return
        async with self._database.sessions() as session:
            run = next(iter(await list_runs(session, 1)), None)
            promotions = await list_promotions(session, _MOST_PROMOTIONS)
        result = _result(run, status, promotions)
        self._metrics.count_run(result, _seconds(run) if status == 0 else None)
        logger.info("training: %s (run %s, exit status %d)", result, run and run.id, status)

    async def _keep_looking(self, app: Any, stalled_seconds: float) -> None:
        while True:
            await _bury_jobs(app, stalled_seconds)
            if await self.look() is not None:
                with contextlib.suppress(AlreadyEnqueued):
                    await app.tasks[TASK].defer_async()
            await asyncio.sleep(self._profile.schedule.poll_seconds)

    def _make_app(self) -> Any:
        connector = procrastinate.PsycopgConnector(
            conninfo=self._database.address,
            min_size=1,
            max_size=4,
            timeout=10.0,
            kwargs={"application_name": "docloop worker"},
        )
        app = procrastinate.App(connector=connector)
        # No retry: what is left undone is found again by the next look.
        app.task(name=TASK, queue=QUEUE, lock=TASK, queueing_lock=TASK)(self._train)
        return app


async def _take_jobs(app: Any, stalled_seconds: float) -> None:
    """Takes jobs; it ends when the database goes away under it, which is an error here."""
    await app.run_worker_async(
        queues=[QUEUE],
        concurrency=1,
        install_signal_handlers=False,
        delete_jobs="always",  # the runs' own rows say what happened
        fetch_job_polling_interval=_POLL_SECONDS,
        update_heartbeat_interval=min(_HEARTBEAT_SECONDS, stalled_seconds / 4),
        stalled_worker_timeout=stalled_seconds,
        shutdown_graceful_timeout=0.0,
    )
    raise ProcrastinateException("the worker ended by itself")


async def _bury_jobs(app: Any, stalled_seconds: float) -> None:
    """Ends the jobs of dead workers, which would keep the queue's lock for ever."""
    stalled = await app.job_manager.get_stalled_jobs(
        queue=QUEUE, seconds_since_heartbeat=stalled_seconds
    )
    for job in stalled:
        # Another worker may have been faster.
        with contextlib.suppress(ProcrastinateException):
            await app.job_manager.finish_job(job, status=Status.FAILED, delete_job=True)


async def _run_together(*parts: Coroutine[Any, Any, None]) -> None:
    """Runs until one ends or we are cancelled; then all end.

    A task group would wait for ever for one that lost its cancellation, which happens before Python
    3.12 where `asyncio.wait_for` ends in that moment.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await asyncio.gather(*map(end_task, tasks))
    for task in done:
        task.result()


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_GRACE_SECONDS)


def _failures(runs: Sequence[TrainingRun]) -> list[datetime]:
    """When runs failed since the last that came to its end; newest first, as the runs are."""
    since = itertools.takewhile(lambda run: run.state is not RunState.DONE, runs)
    failed = (run.finished_at for run in since if run.state is RunState.FAILED)
    return [finished_at for finished_at in failed if finished_at is not None]


def _result(run: TrainingRun | None, status: int, promotions: Sequence[Promotion]) -> str:
    """What became of the newest run, as `WorkerMetrics.count_run` calls it."""
    if status == 0:
        promoted = run is not None and any(change.run_id == run.id for change in promotions)
        return "promoted" if promoted else "not_promoted"
    failed = status == exit_status.FAULT or (run is not None and run.state is RunState.FAILED)
    return "failed" if failed else "interrupted"


def _seconds(run: TrainingRun | None) -> float | None:
    if run is None or run.finished_at is None:
        return None
    return (run.finished_at - run.started_at).total_seconds()
