"""Runs, corrections and a cycle for tests of the trainer; the cycle does what it is told."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg.sql
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.queries.keys import ensure_tenant
from db.queries.runs import finish_run, get_run, set_stage, start_run
from db.tables import RunState, TrainingRun
from tests.factories_db import make_answered, make_screened
from trainer.profile import Profile, load_profile
from trainer.run import CycleFolders
from trainer.schedule import SILENCE

LEAST = 3


def impatient_profile() -> Profile:
    """Small, impatient, and content with three corrections."""
    small = load_profile("small")
    data = small.data.model_copy(update={"least_examples": LEAST})
    schedule = small.schedule.model_copy(update={"poll_seconds": 0.1})
    return small.model_copy(update={"data": data, "schedule": schedule})


def under(folder: Path) -> CycleFolders:
    return CycleFolders.under(folder, folder / "model")


@dataclass
class FakeCycle:
    """Stands for `trainer.cycle.run_cycle`: rows and a folder, and then what it is told to do."""

    work: Callable[[], Awaitable[None]] | None = None
    began: list[UUID] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def __call__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        profile: Profile,
        folders: CycleFolders,
        *,
        progress: Any,
        resume: UUID | None = None,
    ) -> Any:
        async with sessions.begin() as session:
            config = profile.model_dump(mode="json")
            run_id = resume or (await start_run(session, config, champion_id=None)).id
            await set_stage(session, run_id, "sft", 0.5)
        (folders.training / str(run_id)).mkdir(parents=True, exist_ok=True)
        self.began.append(run_id)
        self.seeds.append(profile.seed)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.work is not None:
                await self.work()
        finally:
            self.at_once -= 1
        async with sessions.begin() as session:
            await finish_run(session, run_id, RunState.DONE)
        return run_id


async def correct(sessions: async_sessionmaker[AsyncSession], count: int = LEAST) -> None:
    async with sessions.begin() as session:
        tenant = await ensure_tenant(session, "first")
        for _ in range(count):
            await make_screened(session, tenant.id, await make_answered(session, tenant.id))


async def begin(
    sessions: async_sessionmaker[AsyncSession], folders: CycleFolders | None, seed: int = 17
) -> UUID:
    """A run whose process is gone; its folder is here where `folders` says so."""
    config = load_profile("small").model_copy(update={"seed": seed}).model_dump(mode="json")
    async with sessions.begin() as session:
        run = await start_run(session, config, champion_id=None)
        await set_stage(session, run.id, "sft", 0.5)
    if folders is not None:
        (folders.training / str(run.id)).mkdir(parents=True)
    return run.id


async def state_of(sessions: async_sessionmaker[AsyncSession], run_id: UUID) -> RunState:
    async with sessions() as session:
        return (await get_run(session, run_id)).state


async def silence(sessions: async_sessionmaker[AsyncSession], run_id: UUID) -> None:
    """The run was last heard of long ago."""
    ago = datetime.now(UTC) - SILENCE - timedelta(minutes=1)
    async with sessions.begin() as session:
        query = update(TrainingRun).where(TrainingRun.id == run_id).values(heartbeat_at=ago)
        await session.execute(query)


def end_connections(url: str, name: str, but: int = 0) -> None:
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND starts_with(application_name, %s) AND pid NOT IN (pg_backend_pid(), %s)"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute(query, (name, but)).fetchall() != []
