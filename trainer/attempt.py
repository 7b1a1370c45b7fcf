"""One attempt at a cycle: take up the unfinished run, or begin a new one, or say why not.

Whoever calls holds `trainer.cycle_lock`. How often a run ended by a fault or a crash is counted in
its folder, so that a run which kills its process does not do so for ever.
"""

import asyncio
import contextlib
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import psycopg
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.queries.learning import count_new
from db.queries.runs import finish_run, last_finished, unfinished_run
from db.tables import RunState, TrainingRun
from extraction.errors import DocloopError
from trainer.profile import Profile
from trainer.run import CycleFolders
from trainer.schedule import MOST_ATTEMPTS, Choice, choose
from trainer.stage import DONE, MATERIAL

if TYPE_CHECKING:
    from trainer.cycle import CycleOutcome

_ATTEMPTS = "attempts"


class RunCycle(Protocol):
    """What `trainer.cycle.run_cycle` is."""

    def __call__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        profile: Profile,
        folders: CycleFolders,
        *,
        progress: Any,
        resume: UUID | None = None,
    ) -> Awaitable["CycleOutcome"]:
        """Runs a cycle, or the rest of one."""


class Wish(StrEnum):
    """What the caller wants done with an unfinished run."""

    EITHER = "either"
    RESUME = "resume"
    NEW = "new"


class TooFewCorrections(DocloopError):
    """There is not enough to learn from.

    Args:
        found: accepted corrections that no finished cycle has seen.
        least: the profile's `data.least_examples`.
    """

    slug = "too-few-corrections"

    def __init__(self, found: int, least: int) -> None:
        self.found, self.least = found, least
        super().__init__(
            f"{found} new accepted corrections wait, and a cycle needs {least}: "
            f"{least - found} more. Correct predictions, or decide on those that are held."
        )


class NothingToResume(DocloopError):
    """No unfinished run has its work on this machine."""

    slug = "nothing-to-resume"

    def __init__(self) -> None:
        super().__init__(
            "There is no unfinished run on this machine. Leave --resume out to begin one."
        )


class RunElsewhere(DocloopError):
    """An unfinished run belongs to another machine, which may come back.

    Args:
        run_id: the run.
        last_sign: when it was last heard of.
    """

    slug = "run-elsewhere"

    def __init__(self, run_id: UUID, last_sign: datetime) -> None:
        self.run_id, self.last_sign = run_id, last_sign
        super().__init__(
            f"Run {run_id} began on another machine, which was heard of at "
            f"{last_sign:%H:%M:%S} UTC. Start the worker there, or begin anew with --new."
        )


class RunGivenUp(DocloopError):
    """A run ended by faults or crashes again and again.

    Args:
        run_id: the run; it has failed now.
        attempt_count: how often.
    """

    slug = "run-given-up"

    def __init__(self, run_id: UUID, attempt_count: int) -> None:
        self.run_id, self.attempt_count = run_id, attempt_count
        super().__init__(
            f"Run {run_id} broke off {attempt_count} times and is given up. "
            "Look into its log; the next start begins a new run."
        )


@dataclass(frozen=True, slots=True)
class Waiting:
    """What there is to learn from.

    Attributes:
        new_count: accepted corrections that no finished cycle has seen.
        last_finished: when the last cycle came to its end; None where none has.
        now: the database's time.
    """

    new_count: int
    last_finished: datetime | None
    now: datetime


async def count_waiting(session: AsyncSession) -> Waiting:
    """What waits; corrections that came while a cycle ran wait for the next one."""
    last = await last_finished(session, RunState.DONE)
    return Waiting(
        new_count=await count_new(session, None if last is None else last.started_at),
        last_finished=None if last is None else last.finished_at,
        now=await database_time(session),
    )


async def database_time(session: AsyncSession) -> datetime:
    """The time that all machines share."""
    now: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return now


def last_sign(run: TrainingRun) -> datetime:
    """When a run was last heard of."""
    return run.heartbeat_at or run.started_at


async def attempt_cycle(
    sessions: async_sessionmaker[AsyncSession],
    profile: Profile,
    folders: CycleFolders,
    *,
    run_cycle: RunCycle,
    progress: Any = None,
    wish: Wish = Wish.EITHER,
) -> "CycleOutcome":
    """Runs a cycle to its end.

    A run that is cancelled, or loses the database, stays unfinished and is taken up by the next
    attempt; so is one with a fault, until there were too many.

    Args:
        sessions: on the database of the service.
        profile: how to train; a run that is taken up keeps the profile that it began with.
        folders: where it works.
        run_cycle: `trainer.cycle.run_cycle`.
        progress: handed to it.
        wish: whether to take up an unfinished run.

    Raises:
        TooFewCorrections: a new cycle would have too little to learn from.
        NothingToResume: that was the wish.
        RunElsewhere: another machine may go on with its run.
        RunGivenUp: the unfinished run broke off too often.
    """
    run = await _settle_unfinished(sessions, folders.training, wish)
    if run is None:
        async with sessions() as session:
            waiting = await count_waiting(session)
        if waiting.new_count < profile.data.least_examples:
            raise TooFewCorrections(waiting.new_count, profile.data.least_examples)
        resume, before = None, 0
    else:
        profile = profile_of(run, profile)
        resume, before = run.id, _read_count(folders.training, run.id)
        _write_count(folders.training, run.id, before + 1)  # a crash writes nothing later
    try:
        return await run_cycle(sessions, profile, folders, progress=progress, resume=resume)
    except BaseException as error:
        count = before + 1 if _is_fault(error) else before
        with contextlib.suppress(SQLAlchemyError, OSError):
            await asyncio.shield(_note_end(sessions, folders.training, count))
        raise


def profile_of(run: TrainingRun, otherwise: Profile) -> Profile:
    """The profile that a run began with; `otherwise` where this version cannot read it."""
    try:
        return Profile.model_validate(run.config)
    except ValueError:
        return otherwise


def lost_database(error: BaseException | None) -> bool:
    """Whether this error, or one that it came from, is the database going away."""
    while error is not None:
        if isinstance(error, (psycopg.OperationalError, PoolTimeout)):
            return True
        if isinstance(error, DBAPIError) and (
            error.connection_invalidated or isinstance(error.orig, psycopg.OperationalError)
        ):
            return True
        error = error.__cause__
    return False


def _is_fault(error: BaseException) -> bool:
    return isinstance(error, Exception) and not lost_database(error)


async def _settle_unfinished(
    sessions: async_sessionmaker[AsyncSession], training: Path, wish: Wish
) -> TrainingRun | None:
    """The run to take up; None where a new one is to begin. One that nobody takes up is ended."""
    async with sessions.begin() as session:
        run = await unfinished_run(session)
        if run is None:
            if wish is Wish.RESUME:
                raise NothingToResume
            return None
        here = (training / str(run.id)).is_dir()
        count = _read_count(training, run.id)
        choice = choose(
            last_sign(run),
            await database_time(session),
            folder_here=here,
            attempt_count=0 if wish is Wish.RESUME else count,
        )
        if choice is Choice.RESUME and wish is not Wish.NEW:
            return run
        if wish is Wish.RESUME:
            raise NothingToResume
        if choice is Choice.WAIT and wish is not Wish.NEW:
            raise RunElsewhere(run.id, last_sign(run))
        failed = here and count >= MOST_ATTEMPTS and wish is Wish.EITHER
        await finish_run(session, run.id, RunState.FAILED if failed else RunState.INTERRUPTED)
    if failed:
        raise RunGivenUp(run.id, count)
    return None


async def _note_end(sessions: async_sessionmaker[AsyncSession], training: Path, count: int) -> None:
    """Says of our run that it was broken off, or that there were too many faults."""
    async with sessions.begin() as session:
        run = await unfinished_run(session)
        if run is None:
            return  # it never began, or says itself how it ended
        if (training / str(run.id)).is_dir():
            _write_count(training, run.id, count)
        failed = count >= MOST_ATTEMPTS
        await finish_run(session, run.id, RunState.FAILED if failed else RunState.INTERRUPTED)


def _read_count(training: Path, run_id: UUID) -> int:
    """How often the run ended by a fault since it last got on: each finished stage begins anew."""
    folder = training / str(run_id)
    try:
        count, finished = (folder / _ATTEMPTS).read_text().split()
        return int(count) if int(finished) == _finished_count(folder) else 0
    except (OSError, ValueError):
        return 0


def _write_count(training: Path, run_id: UUID, count: int) -> None:
    folder = training / str(run_id)
    (folder / _ATTEMPTS).write_text(f"{count} {_finished_count(folder)}")


def _finished_count(folder: Path) -> int:
    """Stages that need not be run again, the run's material among them."""
    return len(list(folder.glob(f"*/{DONE}"))) + (folder / MATERIAL).exists()
