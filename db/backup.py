"""A backup: database, blobs and served versions of one moment, in a folder.

    docloop-backup.json   what is in it: counts and hashes of tables, sizes and hashes of files
    database.dump         pg_dump, custom format, of one snapshot
    blobs/                the files that this snapshot refers to, as they are stored (sealed or not)
    versions/             folders of the versions that are or were champion, canary or shadow

The service runs on meanwhile. One transaction (repeatable read) exports its snapshot to pg_dump,
and counts, hashes and blob keys are read in the same one. A row is committed after its blob is
stored, so all of the snapshot's blobs are there; an advisory lock keeps erasures from deleting
their files until the copy is done (`db.queries.blobs.sweep_blobs`).
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from db.cluster import find_binaries
from db.errors import EmbeddedPostgresFailed, StorageError
from db.queries.blobs import BACKUP_LOCK

FORMAT = 1
MANIFEST = "docloop-backup.json"
DUMP = "database.dump"
BLOBS = "blobs"
VERSIONS = "versions"
_CHUNK_BYTES = 1 << 20
_LAST_WORDS = 1500
# libpq's variables, so that no password is an argument, which every user of the machine sees.
_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "options": "PGOPTIONS",
}

Say = Callable[[str], None]


class BackupFailed(StorageError):
    """A backup cannot be taken, or one that was taken is not whole.

    Args:
        why: what is wrong, with what to do about it.
    """

    slug = "backup-failed"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"The backup failed: {why}")


@dataclass(frozen=True, slots=True)
class TableDigest:
    """What a table holds: its rows, and the sum of their 64-bit hashes, whatever their order."""

    count: int
    hash: str


@dataclass(frozen=True, slots=True)
class FileDigest:
    """What a file holds."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a backup.

    Attributes:
        format: of the folder; this code reads `FORMAT`.
        version: of docloop that took it.
        taken_at: the moment that it shows, ISO 8601.
        revision: of the schema.
        server_version: of PostgreSQL, as 180001.
        tables: by name.
        files: by path in the folder.
        elsewhere: served versions whose folder lies outside of the data folder and is not in it.
    """

    format: int
    version: str
    taken_at: str
    revision: str
    server_version: int
    tables: Mapping[str, TableDigest]
    files: Mapping[str, FileDigest]
    elsewhere: tuple[str, ...] = ()

    @property
    def blob_count(self) -> int:
        """How many of the files are blobs."""
        return sum(name.startswith(f"{BLOBS}/") for name in self.files)

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """The manifest of a backup.

        Raises:
            BackupFailed: there is none, or it is of another format.
        """
        try:
            found = json.loads((folder / MANIFEST).read_text())
        except (OSError, ValueError):
            raise BackupFailed(f"{folder} has no readable {MANIFEST}; it is no backup") from None
        if found.get("format") != FORMAT:
            raise BackupFailed(f"{folder} is of format {found.get('format')}, not {FORMAT}")
        return cls(
            **{
                **found,
                "tables": {name: TableDigest(**row) for name, row in found["tables"].items()},
                "files": {name: FileDigest(**row) for name, row in found["files"].items()},
                "elsewhere": tuple(found["elsewhere"]),
            }
        )

    def write(self, folder: Path) -> None:
        """Put it into the folder."""
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")


def take_backup(
    address: str, data_dir: Path, target: Path, *, version: str, say: Say = lambda _: None
) -> Manifest:
    """Back up a service that may run meanwhile. Blocks.

    Args:
        address: libpq's, of the database.
        data_dir: with the blobs and versions.
        target: the folder to make; it appears whole or not at all.
        version: of docloop.
        say: is told each step.

    Raises:
        BackupFailed: no room, no pg_dump that fits, a blob is missing, or the target is there.
    """
    if target.exists():
        raise BackupFailed(f"{target} is there already")
    draft = target.with_name(f"{target.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    try:
        # Two connections: the lock has to outlive the snapshot's transaction.
        with psycopg.connect(address, autocommit=True) as guard:
            guard.execute("SELECT pg_advisory_lock(%s)", [BACKUP_LOCK])
            manifest = _copy(address, data_dir, draft, version, say)
        manifest.write(draft)
        os.sync()
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return manifest


def _copy(address: str, data_dir: Path, draft: Path, version: str, say: Say) -> Manifest:
    with psycopg.connect(address) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        taken_at = datetime.now(UTC).isoformat(timespec="seconds")
        snapshot = _value(reader, "SELECT pg_export_snapshot()")
        revision = _value(reader, "SELECT version_num FROM alembic_version")
        keys = _blob_keys(reader)
        _check_room(reader, data_dir, keys, draft)
        say("dumping the database")
        program = pg_program("pg_dump", reader.info.server_version)
        run_program(
            [
                *(program, "--format=custom", f"--snapshot={snapshot}", f"--file={draft / DUMP}"),
                *("--no-owner", "--no-privileges"),
            ],
            address,
        )
        tables = digest_tables(reader)
        served = _served_versions(reader)
        server_version = reader.info.server_version
    say(f"copying {len(keys)} blobs")
    files = {DUMP: digest_file(draft / DUMP)}
    for key in keys:
        name = f"{BLOBS}/{key[:2]}/{key}"
        files[name] = _copy_blob(data_dir / name, draft / name)
    elsewhere = []
    for served_version in served:
        source = data_dir / VERSIONS / served_version
        if not source.is_dir():
            elsewhere.append(served_version)
            continue
        say(f"copying version {served_version}")
        for path in sorted(found for found in source.rglob("*") if found.is_file()):
            name = f"{VERSIONS}/{served_version}/{path.relative_to(source)}"
            files[name] = copy_file(path, draft / name)
    return Manifest(
        format=FORMAT,
        version=version,
        taken_at=taken_at,
        revision=revision,
        server_version=server_version,
        tables=tables,
        files=files,
        elsewhere=tuple(elsewhere),
    )


def digest_tables(connection: psycopg.Connection[Any]) -> dict[str, TableDigest]:
    """Every table of the schema `public`, in the connection's transaction."""
    connection.execute("SET LOCAL timezone TO 'UTC'")
    connection.execute("SET LOCAL datestyle TO 'ISO, YMD'")
    names = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    ).fetchall()
    digests = {}
    for (name,) in names:
        query = sql.SQL(
            "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text "
            "FROM {} AS t"
        ).format(sql.Identifier("public", name))
        row = connection.execute(query).fetchone()
        digests[name] = TableDigest(*row) if row else TableDigest(0, "0")
    return digests


def digest_file(path: Path) -> FileDigest:
    """Size and SHA-256."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256")
        return FileDigest(file.tell(), found.hexdigest())


def copy_file(source: Path, target: Path) -> FileDigest:
    """Copy one file, hashing what was read.

    Raises:
        FileNotFoundError: it is not there.
    """
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_CHUNK_BYTES):
            found.update(chunk)
            writer.write(chunk)
        size = writer.tell()
    target.chmod(0o600)
    return FileDigest(size, found.hexdigest())


def pg_program(name: str, server_version: int) -> Path:
    """The path of one of PostgreSQL's programs that is not older than the server.

    Raises:
        BackupFailed: there is none.
    """
    wanted = server_version // 10000
    places = []
    with suppress(EmbeddedPostgresFailed):
        places.append(find_binaries() / name)
    if on_path := shutil.which(name):
        places.append(Path(on_path))
    for place in places:
        if place.is_file() and _major(place) >= wanted:
            return place
    raise BackupFailed(
        f"{name} of PostgreSQL {wanted} or later is needed; install the package "
        f"postgresql-client-{wanted}"
    )


def run_program(command: list[Any], address: str) -> None:
    """Run one of PostgreSQL's programs on this database.

    Raises:
        BackupFailed: with the end of what it said.
    """
    given = conninfo_to_dict(address)
    variables = {
        _VARIABLES[name]: str(value) for name, value in given.items() if name in _VARIABLES
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program
        [str(part) for part in command],
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        name = Path(command[0]).name
        said = done.stderr[-_LAST_WORDS:].strip()
        raise BackupFailed(f"{name} ended with {done.returncode}: {said}")


def _value(connection: psycopg.Connection[Any], query: Any) -> str:
    row = connection.execute(query).fetchone()
    if row is None:
        raise BackupFailed("the database is empty; start the service once")
    return str(row[0])


def _blob_keys(connection: psycopg.Connection[Any]) -> list[str]:
    query = "SELECT blob_key FROM documents UNION SELECT blob_key FROM pages ORDER BY 1"
    return [row[0] for row in connection.execute(query).fetchall()]


def _served_versions(connection: psycopg.Connection[Any]) -> list[str]:
    """Versions that serve, and the one that a rollback would go back to."""
    query = """
        SELECT model_version_id FROM champion UNION SELECT canary_version_id FROM champion
        UNION SELECT shadow_version_id FROM champion
        UNION (SELECT previous_id FROM promotions ORDER BY generation DESC LIMIT 1)
    """
    return sorted(row[0] for row in connection.execute(query).fetchall() if row[0])


def _check_room(
    connection: psycopg.Connection[Any], data_dir: Path, keys: list[str], draft: Path
) -> None:
    """Fail before the work where the disk is too small; a dump is smaller than its database."""
    needed = int(_value(connection, "SELECT pg_database_size(current_database())"))
    for key in keys:
        with suppress(OSError):
            needed += (data_dir / BLOBS / key[:2] / key).stat().st_size
    free = shutil.disk_usage(draft).free
    if free < needed:
        raise BackupFailed(
            f"{needed:,} bytes may be needed and {free:,} are free at {draft.parent}"
        )


def _copy_blob(source: Path, target: Path) -> FileDigest:
    try:
        return copy_file(source, target)
    except FileNotFoundError:
        raise BackupFailed(
            f"the blob {source.name} is missing; `docloop doctor` says which documents need it"
        ) from None


def _major(program: Path) -> int:
    """As 18, of "pg_dump (PostgreSQL) 18.1"."""
    said = subprocess.run(  # noqa: S603 - PostgreSQL's own program
        [str(program), "--version"], capture_output=True, text=True, check=False
    ).stdout
    number = said.partition(") ")[2].split(".")[0].split("devel")[0].strip()
    return int(number) if number.isdigit() else 0
