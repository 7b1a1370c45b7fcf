"""`docloop export`: corrections as a data set for TRL. A command of `docloop` by entry point."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from extraction.errors import DocloopError
from extraction.prompt import PromptStyle
from trainer.settings import TrainerSettings

_FAILED = 1
_CONFIGURATION_ERROR = 2


def export(
    folder: Annotated[Path, typer.Argument(help="A new folder for the data set.")],
    *,
    document_type: Annotated[
        str | None, typer.Option("--type", help="Only corrections of this type.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    images: Annotated[bool, typer.Option("--images", help="With the pages as pictures.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that wait for a second person.")
    ] = False,
    style: Annotated[
        PromptStyle, typer.Option(help="How prompts are put; described: for larger models.")
    ] = PromptStyle.COMPACT,
) -> None:
    """Export corrections as a data set that TRL's trainers take as it is.

    It holds documents' text and values in the clear; erasures that come later do not reach it.

    For example:

        docloop export corrections --type receipt --images
    """
    console = Console(stderr=True, highlight=False)
    try:
        settings = TrainerSettings()
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_context=False, include_url=False):
            console.print(f"[red]{fault['loc']}[/]: {escape(fault['msg'])}")
        raise typer.Exit(_CONFIGURATION_ERROR) from None
    try:
        table = asyncio.run(
            _export(settings, folder.expanduser(), document_type, tenant, style, images, everything)
        )
    except FileExistsError:
        console.print(f"[red]{folder} is there already; name a new folder.")
        raise typer.Exit(_FAILED) from None
    except DocloopError as error:
        console.print(f"[red]{escape(str(error))}", soft_wrap=True)
        raise typer.Exit(_FAILED) from None
    Console().print(table)


async def _export(
    settings: TrainerSettings,
    folder: Path,
    document_type: str | None,
    tenant: str | None,
    style: PromptStyle,
    images: bool,
    everything: bool,
) -> Table:
    from sqlalchemy import select

    from db.blobs import FolderBlobStore
    from db.errors import NotFound
    from db.opening import open_database
    from db.tables import Tenant
    from trainer.export import Choice, export_corrections

    store = FolderBlobStore(settings.data_dir / "blobs", settings.blob_key_bytes)
    async with open_database(settings) as database, database.sessions() as session:
        tenant_id = None
        if tenant is not None:
            query = select(Tenant.id).where(Tenant.name == tenant)
            tenant_id = (await session.execute(query)).scalar_one_or_none()
            if tenant_id is None:
                raise NotFound("tenant", tenant)
        choice = Choice(tenant_id, document_type, everything, style)
        done = await export_corrections(session, folder, choice, store if images else None)
    table = Table("type", "part", "rows", box=None, pad_edge=False)
    for (kind, part), count in sorted(done.counts.items()):
        table.add_row(kind, part, str(count))
    table.caption = f"in {folder}; {done.skipped} corrections name nothing a model is asked for"
    return table
