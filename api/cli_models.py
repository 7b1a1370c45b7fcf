"""`docloop models`: the versions that the database knows."""

import asyncio
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table

from api.cli_settings import load_settings, open_sessions
from api.settings import Settings
from db.queries.models import get_champion, list_models
from db.tables import ModelVersion

app = typer.Typer(no_args_is_help=True, help="Model versions, and which one is the champion.")


@app.command("list")
def show() -> None:
    """List model versions, newest first; the champion is the one to serve.

    For example:

        docloop models list
    """
    champion, models = asyncio.run(_read(load_settings()))
    table = Table("", "version", "base", "state", "made", "folder", box=None)
    table.columns[1].no_wrap = True
    for model in models:
        mark = "[green]champion[/]" if model.id == champion else ""
        made = f"{model.created_at:%Y-%m-%d %H:%M}"
        table.add_row(mark, model.id, model.base, model.state, made, model.path)
    Console().print(table)


async def _read(settings: Settings) -> tuple[str | None, Sequence[ModelVersion]]:
    async with open_sessions(settings) as sessions, sessions() as session:
        champion = await get_champion(session)
        return champion.model_version_id, await list_models(session)
