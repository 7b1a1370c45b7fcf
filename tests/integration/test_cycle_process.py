"""The process that a worker starts."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from db.opening import open_database
from db.queries.runs import unfinished_run
from trainer import exit_status
from trainer.child import CycleProcess
from trainer.cycle_lock import ask_holder
from trainer.settings import TrainerSettings

ROOT = Path(__file__).parents[2]


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
