"""One cycle at a time, on a real Postgres."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg.sql
import pytest

from tests.factories_training import (
    end_connections,
)
from trainer.cycle_lock import CycleLock, CycleRunning, ask_holder, this_process

ROOT = Path(__file__).parents[2]


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
        end_connections(database_url, "docloop training")
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
        end_connections(database_url, "docloop training: ", but=other.info.backend_pid)
        other.execute("SELECT pg_advisory_lock(%s, 1)", (0x646F636C,))
        deadline = time.monotonic() + 20
        while not lost:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert lost == [True]
