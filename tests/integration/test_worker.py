"""Workers on a real Postgres; the cycle itself is injected."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg.sql
import pytest
from prometheus_client import generate_latest
from sqlalchemy import make_url, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.embedded import EmbeddedPostgres
from db.opening import Database
from db.queries.models import get_champion, promote, roll_back
from db.queries.runs import finish_run
from db.tables import RunState, TrainingRun
from tests.factories_db import make_versions
from tests.factories_training import (
    LEAST,
    FakeCycle,
    begin,
    correct,
    end_connections,
    impatient_profile,
    under,
)
from trainer import exit_status
from trainer.attempt import (
    attempt_cycle,
)
from trainer.cycle_lock import CycleLock
from trainer.profile import Profile
from trainer.run import CycleFolders
from trainer.schedule import Due, Reason
from trainer.worker import Training, Worker, end_task
from trainer.worker_metrics import WorkerMetrics


@pytest.fixture
def profile() -> Profile:
    return impatient_profile()


@pytest.fixture
def folders(tmp_path: Path) -> CycleFolders:
    return under(tmp_path / "here")


@pytest.fixture
def database(sessions: async_sessionmaker[AsyncSession], database_url: str) -> Database:
    return Database(sessions, database_url)


@dataclass
class Machine:
    """A worker with a folder of its own; its cycles run in this process, behind the real lock."""

    database: Database
    profile: Profile
    folders: CycleFolders
    cycle: FakeCycle
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)
    statuses: list[int] = field(default_factory=list)
    looks: int = 0
    attempt: asyncio.Task[int] | None = None

    def worker(self) -> Worker:
        training = Training(self.start, self.running, self.folders.training)
        return Worker(
            self.database, self.profile, training, self.metrics, {"counting": self.count_look}
        )

    async def count_look(self, _sessions: Any, _profile: Profile) -> None:
        self.looks += 1

    def running(self) -> bool:
        return self.attempt is not None and not self.attempt.done()

    async def start(self) -> int:
        if self.attempt is None or self.attempt.done():
            self.attempt = asyncio.create_task(self.try_once())
        return await asyncio.shield(self.attempt)

    async def try_once(self) -> int:
        status = 0
        try:
            lock = CycleLock(self.database.address, self.folders.training)
            await asyncio.to_thread(lock.__enter__)
            try:
                await attempt_cycle(
                    self.database.sessions, self.profile, self.folders, run_cycle=self.cycle
                )
            finally:
                await asyncio.to_thread(lock.__exit__, None, None, None)
        except Exception as error:  # noqa: BLE001 - as the command's edge does
            status, _ = exit_status.status_of(error)
        self.statuses.append(status)
        return status


@contextlib.asynccontextmanager
async def working(*machines: Machine) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(machine.worker().run()) for machine in machines]
    try:
        yield tasks
    finally:
        await asyncio.gather(*map(end_task, tasks))


async def until(condition: Callable[[], bool], tasks: list[asyncio.Task[None]]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        for task in tasks:
            if task.done():
                task.result()
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_two_workers_run_one_cycle(
    database: Database, profile: Profile, tmp_path: Path
) -> None:
    cycle = FakeCycle(work=lambda: asyncio.sleep(0.5))
    machines = [
        Machine(database, profile, under(tmp_path / name), cycle) for name in ("one", "two")
    ]
    async with working(*machines) as tasks:
        await until(lambda: all(machine.looks > 2 for machine in machines), tasks)
        assert cycle.began == []
        await correct(database.sessions)
        await until(lambda: any(machine.statuses for machine in machines), tasks)
        seen = [machine.looks for machine in machines]
        await until(
            lambda: all(
                machine.looks > before + 5 for machine, before in zip(machines, seen, strict=True)
            ),
            tasks,
        )
        assert len(cycle.began) == 1
        await correct(database.sessions, profile.schedule.new_corrections)
        await until(lambda: len(cycle.began) == 2 and cycle.at_once == 0, tasks)
    assert cycle.most_at_once == 1
    assert cycle.began[0] != cycle.began[1]
    scraped = [generate_latest(machine.metrics.registry).decode() for machine in machines]
    counts = [
        text.count('docloop_training_runs_total{result="not_promoted"} 0.0') for text in scraped
    ]
    assert sum(counts) <= 1  # whoever ran one has counted it


async def test_a_worker_takes_up_what_lies_on_its_machine(
    database: Database, profile: Profile, tmp_path: Path
) -> None:
    here, there = (under(tmp_path / name) for name in ("here", "there"))
    run_id = await begin(database.sessions, here)
    cycle = FakeCycle()
    await correct(database.sessions)
    async with working(Machine(database, profile, there, cycle)) as tasks:
        await asyncio.sleep(1)
        assert (cycle.began, tasks[0].done()) == ([], False)
    machine = Machine(database, profile, here, cycle)
    async with working(machine) as tasks:
        await until(lambda: machine.statuses == [0], tasks)
    assert cycle.began[0] == run_id


async def test_a_worker_waits_while_a_cycle_is_run_by_hand(
    database: Database, profile: Profile, tmp_path: Path
) -> None:
    await correct(database.sessions)
    machine = Machine(database, profile, under(tmp_path / "one"), FakeCycle())
    with CycleLock(database.address, tmp_path / "by-hand"):
        async with working(machine) as tasks:
            await until(lambda: machine.looks > 5, tasks)
            assert machine.statuses == []
    async with working(machine) as tasks:
        await until(lambda: machine.statuses == [0], tasks)


async def test_after_a_failed_run_the_worker_rests(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    await correct(database.sessions)
    machine = Machine(database, profile, folders, FakeCycle())
    run_id = await begin(database.sessions, folders)
    async with database.sessions.begin() as session:
        await finish_run(session, run_id, RunState.FAILED)
    worker = machine.worker()
    assert await worker.look() is None
    async with database.sessions.begin() as session:
        ago = datetime.now(UTC) - timedelta(minutes=11)
        await session.execute(update(TrainingRun).values(finished_at=ago))
    assert await worker.look() == Due(Reason.TIME, LEAST)


async def test_a_duty_with_a_fault_does_not_keep_the_others_from_theirs(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    async def fault(_sessions: Any, _profile: Profile) -> None:
        raise ValueError("our own bug")

    await correct(database.sessions)
    machine = Machine(database, profile, folders, FakeCycle())
    training = Training(machine.start, machine.running, folders.training)
    duties = {"breaking": fault, "counting": machine.count_look}
    worker = Worker(database, profile, training, machine.metrics, duties)
    assert await worker.look() == Due(Reason.TIME, LEAST)
    assert machine.looks == 1


async def test_a_short_loss_of_connections_heals(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    machine = Machine(database, profile, folders, FakeCycle())
    async with working(machine) as tasks:
        await until(lambda: machine.looks > 2, tasks)
        end_connections(database.address, "docloop worker")
        await correct(database.sessions)
        await until(lambda: machine.statuses == [0], tasks)


async def test_a_cycle_outlives_the_database_and_is_counted_by_the_next_worker(
    database: Database, profile: Profile, folders: CycleFolders, postgres: EmbeddedPostgres
) -> None:
    await correct(database.sessions)
    finish = asyncio.Event()
    cycle = FakeCycle(work=finish.wait)  # type: ignore[arg-type]
    machine = Machine(database, profile, folders, cycle)
    first = asyncio.create_task(machine.worker().run())
    await until(lambda: cycle.at_once == 1, [first])
    _allow_connections(postgres, database.address, allowed=False)
    await asyncio.wait({first}, timeout=60)
    assert isinstance(first.exception(), Exception)
    assert machine.running()
    _allow_connections(postgres, database.address, allowed=True)
    async with working(machine) as tasks:
        finish.set()
        await until(lambda: 'result="not_promoted"} 1.0' in _scrape(machine.metrics), tasks)
    assert len(cycle.began) == 1


def _allow_connections(postgres: EmbeddedPostgres, address: str, *, allowed: bool) -> None:
    """As if the database went away: what is open ends, and nothing new is let in."""
    name = make_url(address).database or ""
    alter = psycopg.sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(
        psycopg.sql.Identifier(name), psycopg.sql.SQL(str(allowed).lower())
    )
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(alter)
        if not allowed:
            connection.execute(end, (name,))


async def test_metrics_tell_the_state_of_training(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    await correct(database.sessions, 2)
    machine = Machine(database, profile, folders, FakeCycle())
    worker = machine.worker()
    async with database.sessions.begin() as session:
        await make_versions(session, ["v-1", "v-2"])
        await promote(session, "v-1", 0)
        await promote(session, "v-2", 1)
    await worker.look()
    text = _scrape(machine.metrics)
    assert "docloop_training_waiting_corrections 2.0" in text
    assert "docloop_training_held_corrections 0.0" in text
    assert "docloop_training_last_success_timestamp_seconds 0.0" in text
    assert 'docloop_rollbacks_total{reason="automatic-rollback"} 0.0' in text
    run_id = await begin(database.sessions, None)
    async with database.sessions.begin() as session:
        await roll_back(session, actor="key:dl_test")
        assert (await get_champion(session)).generation == 3
    await worker.look()
    await worker.look()
    text = _scrape(machine.metrics)
    assert 'docloop_training_stage_info{stage="sft"} 1.0' in text
    assert "docloop_training_stage_progress_ratio 0.5" in text
    assert 'docloop_rollbacks_total{reason="rollback"} 1.0' in text
    async with database.sessions.begin() as session:
        await finish_run(session, run_id, RunState.DONE)
    await worker.look()
    text = _scrape(machine.metrics)
    assert "stage_info{" not in text
    assert "docloop_training_last_success_timestamp_seconds 1." in text


def _scrape(metrics: WorkerMetrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_metrics_are_served_while_the_worker_runs() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    metrics = WorkerMetrics()
    with metrics.served("127.0.0.1", port):
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert "docloop_training_runs_total" in answer.text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")
    with metrics.served("127.0.0.1", 0):
        pass
