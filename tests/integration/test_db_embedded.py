import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from db.cluster import read_postmaster
from db.embedded import start_postgres
from db.errors import EmbeddedPostgresFailed

REPOSITORY = Path(__file__).parents[2]
OWNER = """
import sys, time
from pathlib import Path
from db.embedded import start_postgres
server = start_postgres(Path(sys.argv[1]))
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def root() -> Iterator[Path]:
    """Not tmp_path: pytest closes its folder again whenever another run starts."""
    with tempfile.TemporaryDirectory(prefix="docloop-test-") as folder:
        yield Path(folder)


@pytest.fixture
def folder(root: Path) -> Iterator[Path]:
    folder = root / "pg"
    yield folder
    found = read_postmaster(folder / "cluster")
    assert found is None, "the test left a server behind"


def count_rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
        assert row is not None
        return int(row[0])


def fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (id int)")
        connection.execute("INSERT INTO kept SELECT generate_series(1, 100)")


def test_a_second_start_finds_the_rows_again_fast_and_durable(folder: Path) -> None:
    server = start_postgres(folder)
    fill(server.url)
    with psycopg.connect(server.url) as connection:
        for name in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums"):
            assert connection.execute(f"SHOW {name}".encode()).fetchone() == ("on",)
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    server.stop()
    assert not server.is_running()
    began = time.monotonic()
    server = start_postgres(folder)
    took_seconds = time.monotonic() - began
    assert count_rows(server.url) == 100
    server.stop()
    server.stop()  # once more does no harm
    assert took_seconds < 5  # 0.1 s on an idle machine


def test_the_socket_is_for_its_owner_alone(folder: Path) -> None:
    server = start_postgres(folder)
    try:
        (found,) = (folder / "socket").glob(".s.PGSQL.*[0-9]")
        assert stat.S_IMODE(found.stat().st_mode) == 0o700
        assert stat.S_IMODE(found.parent.stat().st_mode) == 0o700
    finally:
        server.stop()


def test_a_killed_postmaster_is_recovered_with_clients_attached(folder: Path) -> None:
    server = start_postgres(folder)
    fill(server.url)
    for _ in range(3):
        with psycopg.connect(server.url) as busy:
            busy.execute("INSERT INTO kept VALUES (0)")  # never committed
            os.kill(server.pid, signal.SIGKILL)
            server.stop()  # nothing to end; reaps what is left of it
            server = start_postgres(folder)
            busy.close()
        assert count_rows(server.url) == 100
    server.stop()


def test_a_killed_owner_leaves_no_orphan(folder: Path) -> None:
    with owner(folder) as process:
        assert process.stdout is not None
        postmaster = psutil.Process(int(process.stdout.readline()))
        found = read_postmaster(folder / "cluster")
        assert found is not None
        with psycopg.connect(start_postgres(folder).url) as connection:
            connection.execute("CREATE TABLE kept (id int)")
        process.kill()
    server = start_postgres(folder)  # at once, while the old one may still be closing
    assert server.owned
    assert server.pid != postmaster.pid
    assert count_rows(server.url) == 0
    server.stop()


def test_a_killed_owners_server_ends_without_anyones_help(folder: Path) -> None:
    with owner(folder) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    wait_until(lambda: read_postmaster(folder / "cluster") is None)


def test_who_comes_second_attaches_and_does_not_stop_it(folder: Path) -> None:
    first = start_postgres(folder)
    second = start_postgres(folder)
    assert (first.owned, second.owned) == (True, False)
    assert first.url == second.url
    second.stop()
    assert first.is_running()
    first.stop()


def test_a_server_without_guardian_is_replaced(folder: Path) -> None:
    first = start_postgres(folder)
    fill(first.url)
    parent = psutil.Process(first.pid).parent()
    assert parent is not None
    parent.kill()
    wait_until(lambda: (found := read_postmaster(folder / "cluster")) and not found.guardian)
    second = start_postgres(folder)
    assert second.owned
    assert count_rows(second.url) == 100
    second.stop()
    first.stop()


def test_a_strangers_process_id_is_no_server(folder: Path) -> None:
    """After a container restart, the number in postmaster.pid may be anybody's."""
    server = start_postgres(folder)
    server.stop()
    (folder / "cluster" / "postmaster.pid").write_text(f"{os.getpid()}\n{folder}\n0\n5432\n\n\n\n")
    server = start_postgres(folder)
    assert server.is_running()
    server.stop()


def test_an_interrupted_init_starts_over(folder: Path) -> None:
    (folder / "cluster.new").mkdir(parents=True)
    (folder / "cluster.new" / "PG_VERSION").write_text("18")
    (folder / "cluster").mkdir()
    server = start_postgres(folder)
    assert server.is_running()
    server.stop()


def test_a_long_path_gets_its_socket_elsewhere(root: Path) -> None:
    folder = root / ("long" * 20) / "pg"
    server = start_postgres(folder)
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    server.stop()


def test_a_setting_that_is_wrong_is_named(folder: Path) -> None:
    with pytest.raises(EmbeddedPostgresFailed, match="shared_buffers"):
        start_postgres(folder, {"shared_buffers": "many"})


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def owner(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this interpreter, this code
        [sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, cwd=REPOSITORY
    )
