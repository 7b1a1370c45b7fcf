"""One cycle at a time, on a real Postgres; the cycle itself is injected."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import psycopg.sql
import pytest
from prometheus_client import generate_latest
from sqlalchemy import make_url, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.embedded import EmbeddedPostgres
from db.opening import Database, open_database
from db.queries.keys import ensure_tenant
from db.queries.models import get_champion, promote, roll_back
from db.queries.runs import finish_run, get_run, set_stage, start_run, unfinished_run
from db.tables import RunState, TrainingRun
from tests.factories_db import make_answered, make_screened, make_versions
from trainer import exit_status
from trainer.attempt import (
    NothingToResume,
    RunElsewhere,
    RunGivenUp,
    TooFewCorrections,
    Wish,
    attempt_cycle,
)
from trainer.child import CycleProcess
from trainer.cycle_lock import CycleLock, CycleRunning, ask_holder, this_process
from trainer.profile import Profile, load_profile
from trainer.run import CycleFolders
from trainer.schedule import MOST_ATTEMPTS, SILENCE, Due, Reason
from trainer.settings import TrainerSettings
from trainer.worker import Training, Worker, end_task
from trainer.worker_metrics import WorkerMetrics

ROOT = Path(__file__).parents[2]
LEAST = 3


@pytest.fixture
def profile() -> Profile:
    """Small, impatient, and content with three corrections."""
    small = load_profile("small")
    data = small.data.model_copy(update={"least_examples": LEAST})
    schedule = small.schedule.model_copy(update={"poll_seconds": 0.1})
    return small.model_copy(update={"data": data, "schedule": schedule})


def under(folder: Path) -> CycleFolders:
    return CycleFolders.under(folder, folder / "model")


@pytest.fixture
def folders(tmp_path: Path) -> CycleFolders:
    return under(tmp_path / "here")


@pytest.fixture
def database(sessions: async_sessionmaker[AsyncSession], database_url: str) -> Database:
    return Database(sessions, database_url)


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


# The lock


def test_the_second_machine_is_told_who_runs_and_since_when(
    database_url: str, tmp_path: Path
) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    with CycleLock(database_url, tmp_path / "one"):
        with pytest.raises(CycleRunning) as raised, CycleLock(database_url, tmp_path / "two"):
            pytest.fail("two at once")
        assert raised.value.where == this_process()
        assert f"process {os.getpid()}" in str(raised.value)
        assert raised.value.since is not None
        assert before < raised.value.since < datetime.now(UTC) + timedelta(seconds=5)
        assert ask_holder(database_url) is not None
    assert ask_holder(database_url) is None
    with CycleLock(database_url, tmp_path / "two"):
        pass


def test_on_one_machine_the_folder_is_locked_whatever_the_database(
    database_url: str, empty_url: str, tmp_path: Path
) -> None:
    with CycleLock(database_url, tmp_path):
        with pytest.raises(CycleRunning) as raised, CycleLock(empty_url, tmp_path):
            pytest.fail("two in one folder")
        assert raised.value.where == this_process()
        assert raised.value.since is not None


def test_another_database_has_another_lock(
    database_url: str, empty_url: str, tmp_path: Path
) -> None:
    with CycleLock(database_url, tmp_path / "one"):
        assert ask_holder(empty_url) is None
        with CycleLock(empty_url, tmp_path / "two"):
            pass


def test_the_lock_of_a_killed_process_is_free(database_url: str, tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from trainer.cycle_lock import CycleLock\n"
        "with CycleLock(sys.argv[1], Path(sys.argv[2])): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, database_url, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:  # noqa: S603
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        holder = ask_holder(database_url)
        assert holder is not None
        assert f"process {process.pid}" in holder.where
        process.kill()
    deadline = time.monotonic() + 10
    while ask_holder(database_url) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with CycleLock(database_url, tmp_path):
        pass


def test_a_lost_connection_is_opened_anew_and_the_lock_taken_again(
    database_url: str, tmp_path: Path
) -> None:
    lost: list[bool] = []
    with CycleLock(database_url, tmp_path, on_lost=lambda: lost.append(True)):
        _end_connections(database_url, "docloop training")
        assert ask_holder(database_url) is None
        deadline = time.monotonic() + 20
        while ask_holder(database_url) is None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert lost == []


def test_whoever_lost_the_lock_to_another_is_told(database_url: str, tmp_path: Path) -> None:
    lost: list[bool] = []
    with (
        CycleLock(database_url, tmp_path, on_lost=lambda: lost.append(True)),
        psycopg.connect(
            database_url, autocommit=True, application_name="docloop training: elsewhere, process 1"
        ) as other,
    ):
        _end_connections(database_url, "docloop training: ", but=other.info.backend_pid)
        other.execute("SELECT pg_advisory_lock(%s, 1)", (0x646F636C,))
        deadline = time.monotonic() + 20
        while not lost:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert lost == [True]


def _end_connections(url: str, name: str, but: int = 0) -> None:
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND starts_with(application_name, %s) AND pid NOT IN (pg_backend_pid(), %s)"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute(query, (name, but)).fetchall() != []


# One attempt


async def test_too_few_corrections_say_how_many_more(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    await correct(database.sessions, LEAST - 1)
    cycle = FakeCycle()
    with pytest.raises(TooFewCorrections, match=r"2 new .* needs 3: 1 more"):
        await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    await correct(database.sessions, 1)
    await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    # They have been learnt from now.
    with pytest.raises(TooFewCorrections, match="0 new"):
        await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    assert len(cycle.began) == 1


async def test_a_run_whose_folder_is_here_goes_on_with_its_own_profile(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    run_id = await begin(database.sessions, folders, seed=99)
    cycle = FakeCycle()
    await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    assert (cycle.began, cycle.seeds) == ([run_id], [99])
    assert await state_of(database.sessions, run_id) is RunState.DONE


async def test_a_run_of_another_machine_is_left_to_it_for_a_while(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    run_id = await begin(database.sessions, None)
    await correct(database.sessions)
    cycle = FakeCycle()
    with pytest.raises(RunElsewhere):
        await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    assert await state_of(database.sessions, run_id) is RunState.RUNNING
    with pytest.raises(NothingToResume):
        await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle, wish=Wish.RESUME)
    await silence(database.sessions, run_id)
    await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    assert await state_of(database.sessions, run_id) is RunState.INTERRUPTED
    assert len(cycle.began) == 1
    assert cycle.began != [run_id]


async def test_new_leaves_the_unfinished_run(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    run_id = await begin(database.sessions, folders)
    await correct(database.sessions)
    cycle = FakeCycle()
    await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle, wish=Wish.NEW)
    assert cycle.began != [run_id]
    assert await state_of(database.sessions, run_id) is RunState.INTERRUPTED


async def test_resume_without_an_unfinished_run(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    await correct(database.sessions)
    with pytest.raises(NothingToResume):
        await attempt_cycle(
            database.sessions, profile, folders, run_cycle=FakeCycle(), wish=Wish.RESUME
        )


async def test_a_cycle_that_is_stopped_goes_on_as_often_as_it_takes(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    await correct(database.sessions)
    cycle = FakeCycle(work=asyncio.Event().wait)  # type: ignore[arg-type]
    for round_ in range(MOST_ATTEMPTS + 2):
        task = asyncio.ensure_future(
            attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
        )
        while len(cycle.began) <= round_:
            await asyncio.sleep(0.01)
            assert not task.done(), task.exception()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await state_of(database.sessions, cycle.began[0]) is RunState.INTERRUPTED
    assert set(cycle.began) == {cycle.began[0]}
    cycle.work = None
    await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    assert await state_of(database.sessions, cycle.began[0]) is RunState.DONE


async def test_a_run_with_faults_fails_in_the_end(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    async def fault() -> None:
        raise OSError("no room left")

    await correct(database.sessions)
    cycle = FakeCycle(work=fault)
    states = []
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(OSError, match="no room left"):
            await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
        states.append(await state_of(database.sessions, cycle.began[0]))
    assert set(cycle.began) == {cycle.began[0]}
    assert states == [RunState.INTERRUPTED] * (MOST_ATTEMPTS - 1) + [RunState.FAILED]


async def test_a_run_that_kills_its_process_is_given_up(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    class Killed(BaseException):
        """Nothing of ours runs after it."""

    async def crash() -> None:
        async with database.sessions.begin() as session:  # what a kill leaves is a running run
            run = await unfinished_run(session)
            assert run is not None
        raise Killed

    run_id = await begin(database.sessions, folders)
    (folders.training / str(run_id) / "attempts").write_text(f"{MOST_ATTEMPTS}")
    cycle = FakeCycle(work=crash)
    with pytest.raises(RunGivenUp):
        await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    assert await state_of(database.sessions, run_id) is RunState.FAILED
    assert cycle.began == []


# The worker


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
        _end_connections(database.address, "docloop worker")
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


# The process


@pytest.fixture
def cycle_process(tmp_path: Path) -> CycleProcess:
    return CycleProcess(tmp_path / "log" / "training.log", niceness=7)


def script(tmp_path: Path, body: str) -> list[str]:
    path = tmp_path / "script.py"
    path.write_text(body)
    return [sys.executable, str(path)]


def read_when_there(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text()


async def test_the_process_is_nice_and_has_a_session_of_its_own(
    cycle_process: CycleProcess, tmp_path: Path
) -> None:
    body = (
        "import os, pathlib\n"
        "group = pathlib.Path('/proc/self/autogroup')\n"
        "print(os.getpriority(os.PRIO_PROCESS, 0), os.getsid(0) == os.getpid(),\n"
        "      group.read_text().split()[-1] if group.exists() else 7)\n"
        "raise SystemExit(3)"
    )
    assert await cycle_process.run(script(tmp_path, body)) == 3
    assert not cycle_process.running
    nice, own, group = (tmp_path / "log" / "training.log").read_text().split()
    assert (nice, own) == (str(max(7, os.getpriority(os.PRIO_PROCESS, 0))), "True")
    assert group == nice


async def test_the_process_is_asked_to_end(cycle_process: CycleProcess, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    body = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        f"pathlib.Path({str(ready)!r}).write_text('yes'); time.sleep(60)"
    )
    task = asyncio.create_task(cycle_process.run(script(tmp_path, body)))
    await asyncio.to_thread(read_when_there, ready)
    assert cycle_process.running
    await cycle_process.stop()
    assert await task == exit_status.STOPPED
    await cycle_process.stop()


def test_nothing_of_the_process_outlives_the_worker(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    body = (
        "import os, pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"pathlib.Path({str(pids)!r}).write_text(f'{{os.getpid()}} {{child.pid}}'); time.sleep(60)"
    )
    worker = (
        "import asyncio, sys; from pathlib import Path\n"
        "from trainer.child import CycleProcess\n"
        f"asyncio.run(CycleProcess(Path({str(tmp_path / 'log')!r}), 5).run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", worker, *script(tmp_path, body)]
    with subprocess.Popen(command, cwd=ROOT) as process:  # noqa: S603
        family = [int(pid) for pid in read_when_there(pids).split()]
        assert all(psutil.pid_exists(pid) for pid in family)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(_lives(pid) for pid in family):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_the_settings_open_the_database_that_the_service_has(
    empty_url: str, tmp_path: Path
) -> None:
    settings = TrainerSettings(database_url=empty_url, data_dir=tmp_path)
    async with open_database(settings) as database, database.sessions() as session:
        assert await unfinished_run(session) is None
    assert ask_holder(database.address) is None
