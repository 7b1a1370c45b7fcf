"""One cycle at a time: on this machine by a file's lock, across machines by one of Postgres.

Both are freed by the system when the process ends, however it ends. The Postgres lock is held on a
connection of its own, watched by a thread, because training keeps the event loop busy. Where that
connection is lost, the thread takes the lock anew; where another machine was faster, this process
has to end, and the other finds a run that it may not touch yet (`trainer.schedule.choose`).
"""

import contextlib
import fcntl
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psycopg

from extraction.errors import DocloopError

# Two small numbers are a space of their own: blobs and processes lock single large ones.
_LOCK = (0x646F636C, 1)
_PREFIX = "docloop training: "
_LONGEST_NAME = 63  # bytes of an application_name
_PING_SECONDS = 2.0
_ANSWER_SECONDS = 5

_HOLDER = """
SELECT activity.application_name, activity.backend_start
FROM pg_locks AS held JOIN pg_stat_activity AS activity USING (pid)
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 2
  AND held.classid = %s AND held.objid = %s
  AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class CycleRunning(DocloopError):
    """Another cycle is under way.

    Args:
        where: host name and process id of who runs it; empty where the database does not tell.
        since: when it began; None where that is unknown.
    """

    slug = "cycle-running"

    def __init__(self, where: str, since: datetime | None) -> None:
        self.where, self.since = where, since
        place = f" on {where}" if where else ""
        time = f", since {since.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if since is not None else ""
        super().__init__(f"Another training cycle is running{place}{time}. Wait for its end.")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock.

    Attributes:
        where: host name and process id.
        since: when its connection was opened.
    """

    where: str
    since: datetime | None


def this_process() -> str:
    """Host name and process id of this process, as `Holder.where` has it."""
    place = f"{socket.gethostname()}, process {os.getpid()}"
    return place[-(_LONGEST_NAME - len(_PREFIX)) :]


def find_holder(connection: psycopg.Connection[Any]) -> Holder | None:
    """Who runs a cycle on this database; None where nobody does."""
    row = connection.execute(_HOLDER, _LOCK).fetchone()
    return None if row is None else Holder((row[0] or "").removeprefix(_PREFIX), row[1])


def ask_holder(address: str) -> Holder | None:
    """The same over a connection of its own.

    Raises:
        psycopg.OperationalError: the database does not answer.
    """
    with contextlib.closing(_connect(address)) as connection:
        return find_holder(connection)


def end_this_process() -> None:
    """Ask this process to end, as the system would."""
    os.kill(os.getpid(), signal.SIGTERM)


class CycleLock:
    """The right to run a cycle, for as long as the block lasts.

    Args:
        address: libpq's address of the database.
        folder: where runs lie on this machine; the file `lock` is made in it.
        on_lost: called once, in the watching thread, when another process has the right.

    Raises:
        CycleRunning: on entry, when another has the right.
        psycopg.OperationalError: on entry, when the database does not answer.
    """

    def __init__(
        self, address: str, folder: Path, on_lost: Callable[[], None] = end_this_process
    ) -> None:
        self._address, self._folder, self._on_lost = address, folder, on_lost
        self._connection: psycopg.Connection[Any] | None = None
        self._file = contextlib.ExitStack()
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._keep, name="cycle-lock", daemon=True)

    def __enter__(self) -> Self:
        try:
            self._file.enter_context(_lock_file(self._folder / "lock"))
            self._connection = _connect(self._address)
            _take_or_say_who(self._connection)
        except BaseException:
            self._drop()
            self._file.close()
            raise
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._watch.join()
        if self._connection is not None:
            # The server notices a closed connection a little later; the next start may be faster.
            with contextlib.suppress(psycopg.Error):
                self._connection.execute("SELECT pg_advisory_unlock(%s, %s)", _LOCK)
        self._drop()
        self._file.close()

    def _keep(self) -> None:
        while not self._ended.wait(_PING_SECONDS):
            try:
                if self._connection is None:
                    self._connection = _connect(self._address)
                    if not self._take_again(self._connection):
                        self._on_lost()
                        return
                else:
                    self._connection.execute("SELECT 1")
            except psycopg.Error:
                self._drop()  # and try again: while the database is away nobody else has it either

    def _take_again(self, connection: psycopg.Connection[Any]) -> bool:
        """Whether the right is still ours, if only because the server keeps our old session."""
        while not _take(connection):
            holder = find_holder(connection)
            if holder is not None and holder.where != this_process():
                return False
            if self._ended.wait(_PING_SECONDS):
                return True
        return True

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()


def _take(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", _LOCK).fetchone()
    return bool(row and row[0])


def _take_or_say_who(connection: psycopg.Connection[Any]) -> None:
    if not _take(connection):
        holder = find_holder(connection) or Holder("", None)
        raise CycleRunning(holder.where, holder.since)


def _connect(address: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        address,
        autocommit=True,
        connect_timeout=_ANSWER_SECONDS,
        application_name=f"{_PREFIX}{this_process()}",
        # A machine that lost its power does not keep the lock for hours, and we notice the same.
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        options="-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
    )


@contextmanager
def _lock_file(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened without emptying it: until the lock is ours, what is written in it is another's.
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _running_here(file) from None
        file.truncate(0)
        file.write(f"{this_process()}\n{datetime.now(UTC).isoformat()}\n")
        file.flush()
        yield


def _running_here(file: IO[str]) -> CycleRunning:
    file.seek(0)
    lines = file.read().splitlines()
    try:
        return CycleRunning(lines[0], datetime.fromisoformat(lines[1]))
    except (IndexError, ValueError):
        return CycleRunning(socket.gethostname(), None)
