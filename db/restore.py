"""A backup back into an empty place, and the proof that one can be: it is restored beside."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

from db.backup import (
    BLOBS,
    DUMP,
    VERSIONS,
    BackupFailed,
    Manifest,
    Say,
    TableDigest,
    copy_file,
    digest_file,
    digest_tables,
    pg_program,
    run_program,
)
from db.embedded import start_postgres
from db.migrate import upgrade

_MOST_NAMED = 5


def verify_backup(folder: Path, say: Say = lambda _: None) -> Manifest:
    """Check every file's hash, and restore the database into a server of its own. Blocks.

    Raises:
        BackupFailed: a file or a table is not what the manifest says.
        EmbeddedPostgresFailed: there is no embedded PostgreSQL on this machine.
    """
    manifest = Manifest.read(folder)
    say("checking hashes")
    _check_files(folder, manifest)
    say("restoring the database into a server of its own")
    with tempfile.TemporaryDirectory(prefix="docloop-verify-") as scratch:
        # Nothing of it outlives this block, so nothing has to survive a power cut.
        unsafe = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        server = start_postgres(Path(scratch) / "postgres", unsafe)
        try:
            _load(folder, server.url, manifest)
        finally:
            server.stop()
    return manifest


def restore_backup(
    folder: Path, address: str, data_dir: Path, say: Say = lambda _: None
) -> Manifest:
    """Put a backup into an empty database and an empty data folder. Blocks.

    The database is then brought to the newest schema; the blobs' key has to be the one of then.

    Args:
        folder: the backup.
        address: libpq's, of a database without tables.
        data_dir: with neither blobs nor versions.
        say: is told each step.

    Raises:
        BackupFailed: the backup is damaged, or the place is not empty.
    """
    manifest = Manifest.read(folder)
    for name in (BLOBS, VERSIONS):
        place = data_dir / name
        if place.is_dir() and any(place.iterdir()):
            raise BackupFailed(f"{place} is not empty; restore into an empty DOCLOOP_DATA_DIR")
    with psycopg.connect(address) as connection:
        if tables := digest_tables(connection):
            raise BackupFailed(
                f"the database has tables already ({', '.join(sorted(tables)[:_MOST_NAMED])}); "
                "restore into an empty one"
            )
    say("checking hashes")
    _check_files(folder, manifest)
    say(f"copying {len(manifest.files) - 1} files")
    try:
        _copy_files(folder, data_dir, manifest)
        say("restoring the database")
        _load(folder, address, manifest)
    except BaseException:
        # The next attempt finds the place as empty as this one did.
        with suppress(psycopg.Error), psycopg.connect(address) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        for name in (BLOBS, VERSIONS):
            shutil.rmtree(data_dir / name, ignore_errors=True)
        raise
    upgrade(address)
    return manifest


def _copy_files(folder: Path, data_dir: Path, manifest: Manifest) -> None:
    for name, digest in manifest.files.items():
        if name != DUMP and copy_file(folder / name, data_dir / name) != digest:
            raise BackupFailed(f"{name} changed while it was copied")


def _load(folder: Path, address: str, manifest: Manifest) -> None:
    """The dump into an empty database, all or nothing, compared with what was counted."""
    with psycopg.connect(address) as connection:
        program = pg_program("pg_restore", manifest.server_version)
    name = psycopg.conninfo.conninfo_to_dict(address).get("dbname", "docloop")
    command: list[Any] = [program, "--single-transaction", "--exit-on-error", "--no-owner"]
    command += ["--no-privileges", f"--dbname={name}", folder / DUMP]
    run_program(command, address)
    with psycopg.connect(address) as connection:
        found = digest_tables(connection)
    if faults := _differences(manifest.tables, found):
        raise BackupFailed(f"the restored database differs from the one of then: {faults}")


def _differences(wanted: Any, found: dict[str, TableDigest]) -> str:
    names = sorted({*wanted, *found})
    return ", ".join(
        f"{name} has {found.get(name)} for {wanted.get(name)}"
        for name in names
        if wanted.get(name) != found.get(name)
    )


def _check_files(folder: Path, manifest: Manifest) -> None:
    damaged = [
        name
        for name, digest in manifest.files.items()
        if not (folder / name).is_file() or digest_file(folder / name) != digest
    ]
    if damaged:
        shown = ", ".join(damaged[:_MOST_NAMED])
        raise BackupFailed(f"{len(damaged)} files are missing or damaged: {shown}")
