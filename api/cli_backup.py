"""`docloop backup` and `docloop restore`: database and blobs, while the service runs."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from api.cli_settings import load_settings
from api.settings import Settings
from api.version import VERSION
from db.backup import Manifest
from extraction.errors import DocloopError

ACTOR = "command line"
PREFIX = "docloop-"
RESTORED = "backup.restored"

_FAILED = 1


def backup(
    folder: Annotated[Path, typer.Argument(help="Where backups are kept; one folder each.")],
    *,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Afterwards remove all but so many of the newest.")
    ] = None,
    verify: Annotated[
        bool, typer.Option(help="Restore the database into a server beside, and compare.")
    ] = True,
) -> None:
    """Back up database, blobs and served versions; the service may run meanwhile.

    It is one moment: whatever is written while it runs is in the next one. The path of the backup
    is printed. It holds documents' values in the clear (blobs as they are stored): keep it as
    carefully as the service.

    For example:

        docloop backup /backups --keep 7
    """
    console = Console(stderr=True, highlight=False)
    settings = load_settings()
    target = folder.expanduser() / f"{PREFIX}{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    with _told(console):
        manifest = asyncio.run(_backup(settings, target, console, verify=verify))
    typer.echo(target)
    rows = sum(digest.count for digest in manifest.tables.values())
    console.print(
        f"{rows} rows of {len(manifest.tables)} tables, {manifest.blob_count} blobs"
        + (", verified by restoring." if verify else ", not verified.")
    )
    for version in manifest.elsewhere:
        console.print(
            f"[yellow]The version {escape(version)} is outside of the data folder and not in it.[/]"
        )
    if keep is not None:
        for old in sorted(folder.expanduser().glob(f"{PREFIX}*Z"))[:-keep]:
            shutil.rmtree(old)
            console.print(f"removed {old}")


def restore(
    folder: Annotated[Path, typer.Argument(help="A backup, as `docloop backup` printed it.")],
    *,
    only_verify: Annotated[
        bool, typer.Option("--verify", help="Only prove that it can be restored.")
    ] = False,
) -> None:
    """Restore a backup into an empty data folder (and, with DATABASE_URL, an empty database).

    Stop the service first. Every hash and every table's count is compared; nothing is left behind
    where something differs. Erasures that came after the backup have to be done again.

    For example:

        DOCLOOP_DATA_DIR=/srv/docloop docloop restore /backups/docloop-20261122T180000Z
    """
    console = Console(stderr=True, highlight=False)
    settings = load_settings()
    with _told(console):
        manifest = asyncio.run(_restore(settings, folder.expanduser(), console, only=only_verify))
    done = "can be restored" if only_verify else "is restored"
    console.print(f"The backup of {manifest.taken_at} {done}: {manifest.blob_count} blobs.")


async def _backup(settings: Settings, target: Path, console: Console, *, verify: bool) -> Manifest:
    from db.backup import take_backup
    from db.blobs import FolderBlobStore
    from db.opening import open_database
    from db.queries.audit import record_event
    from db.queries.blobs import sweep_blobs
    from db.queries.watching import BACKUP_DONE
    from db.restore import verify_backup

    async with open_database(settings) as database:
        manifest = await asyncio.to_thread(
            take_backup,
            database.address,
            settings.data_dir.expanduser(),
            target,
            version=VERSION,
            say=console.print,
        )
        if verify:
            try:
                await asyncio.to_thread(verify_backup, target, console.print)
            except BaseException:
                shutil.rmtree(target, ignore_errors=True)
                raise
        async with database.sessions.begin() as session:
            facts = {"verified": verify, "blob_count": manifest.blob_count}
            await record_event(
                session, None, actor=ACTOR, action=BACKUP_DONE, subject=target.name, details=facts
            )
        # What was erased meanwhile has waited for the copy's end.
        store = FolderBlobStore(settings.data_dir / "blobs", settings.blob_key_bytes)
        async with database.sessions.begin() as session:
            await sweep_blobs(session, store)
    return manifest


async def _restore(settings: Settings, folder: Path, console: Console, *, only: bool) -> Manifest:
    from db.embedded import start_postgres
    from db.opening import open_database
    from db.queries.audit import record_event
    from db.restore import restore_backup, verify_backup
    from db.sessions import driver_url

    if only:
        return await asyncio.to_thread(verify_backup, folder, console.print)
    data_dir = settings.data_dir.expanduser()
    server = None
    if settings.database_url is None:
        server = await asyncio.to_thread(start_postgres, data_dir / "postgres")
        address = server.url
    else:
        given = driver_url(settings.database_url.get_secret_value()).set(drivername="postgresql")
        address = given.render_as_string(hide_password=False)
    try:
        manifest = await asyncio.to_thread(restore_backup, folder, address, data_dir, console.print)
        async with open_database(settings) as database, database.sessions.begin() as session:
            await record_event(session, None, actor=ACTOR, action=RESTORED, subject=folder.name)
    finally:
        if server is not None:
            await asyncio.to_thread(server.stop)
    return manifest


@contextmanager
def _told(console: Console) -> Iterator[None]:
    """Our own errors become a sentence and an exit status."""
    try:
        yield
    except (DocloopError, OSError) as error:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        raise typer.Exit(_FAILED) from None
