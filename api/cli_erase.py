"""`docloop erase`: one prediction, or all that is older than the retention rules allow."""

import asyncio
from collections import Counter
from typing import Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from api.cli_settings import load_settings, open_sessions
from api.settings import Settings
from db.errors import NotFound

ACTOR = "command line"

_FAILED = 1


def erase(
    prediction: Annotated[
        list[UUID] | None, typer.Argument(help="Ids of predictions, with all that hangs on them.")
    ] = None,
    *,
    expired: Annotated[
        bool, typer.Option("--expired", help="All that DOCLOOP_RETENTION lets go.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be erased.")
    ] = False,
    tenant: Annotated[str | None, typer.Option(help="Whose, of those named by id.")] = None,
) -> None:
    """Erase predictions with their corrections, evaluations, and documents that nothing else uses.

    An audit event with ids and counts stays. A worker takes them out of the reports of training
    runs at its next look. The service does what `--expired` does by itself, once an hour.

    For example:

        DOCLOOP_RETENTION=passport=30 docloop erase --expired --dry-run
    """
    console = Console(stderr=True, highlight=False)
    settings = load_settings()
    if bool(prediction) == expired:
        console.print("[red]Name predictions, or --expired.")
        raise typer.Exit(2)
    if expired:
        asyncio.run(_erase_expired(settings, console, dry_run=dry_run))
        return
    missing = asyncio.run(
        _erase_named(settings, prediction or [], tenant or settings.tenant, dry_run=dry_run)
    )
    for identity in missing:
        console.print(f"[red]There is no prediction {identity}.")
    if missing:
        raise typer.Exit(_FAILED)


async def _erase_expired(settings: Settings, console: Console, *, dry_run: bool) -> None:
    from db.blobs import FolderBlobStore
    from db.retention import erase_expired, list_expired
    from db.retention_rules import parse_rules

    rules = parse_rules(settings.retention)
    if not rules:
        console.print("DOCLOOP_RETENTION names no rule, so everything is kept.")
        return
    async with open_sessions(settings) as sessions:
        async with sessions() as session:
            found = await list_expired(session, rules)
        table = Table("tenant", "type", "predictions", box=None, pad_edge=False)
        for (owner, kind), count in sorted(
            Counter((one.tenant, one.document_type) for one in found).items()
        ):
            table.add_row(owner, kind, str(count))
        Console().print(table)
        if not dry_run:
            store = FolderBlobStore(settings.data_dir / "blobs", settings.blob_key_bytes)
            console.print(f"{await erase_expired(sessions, store, rules)} erased")


async def _erase_named(
    settings: Settings, wanted: list[UUID], tenant: str, *, dry_run: bool
) -> list[UUID]:
    """Those that are not there."""
    from db.blobs import FolderBlobStore
    from db.queries.blobs import sweep_blobs
    from db.queries.keys import ensure_tenant
    from db.queries.predictions import erase_prediction, get_prediction

    missing = []
    store = FolderBlobStore(settings.data_dir / "blobs", settings.blob_key_bytes)
    async with open_sessions(settings) as sessions:
        async with sessions.begin() as session:
            owner = await ensure_tenant(session, tenant)
        for identity in wanted:
            try:
                async with sessions.begin() as session:
                    if dry_run:
                        await get_prediction(session, owner.id, identity)
                    else:
                        await erase_prediction(session, owner.id, identity, actor=ACTOR)
            except NotFound:
                missing.append(identity)
        async with sessions.begin() as session:
            await sweep_blobs(session, store)
    return missing
