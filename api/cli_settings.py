"""The settings for a command, and the database behind them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import typer
from pydantic import ValidationError
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.settings import Settings, variable_names

_CONFIGURATION_ERROR = 2


def load_settings() -> Settings:
    """The settings in force; ends the command with each fault named where there is one."""
    try:
        return Settings()
    except ValidationError as error:
        console = Console(stderr=True)
        for fault in error.errors(include_input=False, include_context=False, include_url=False):
            name = str(fault["loc"][0]) if fault["loc"] else ""
            field = Settings.model_fields.get(name)
            variable = variable_names(name, field)[0] if field is not None else name
            console.print(
                f"[red]{variable}[/]: {fault['msg'].removeprefix('Value error, ')}", highlight=False
            )
        raise typer.Exit(_CONFIGURATION_ERROR) from None


@asynccontextmanager
async def open_sessions(settings: Settings) -> AsyncIterator[async_sessionmaker[AsyncSession]]:
    """Sessions on the service's database, migrated.

    A running service is joined; an embedded database that nobody runs is started for this command.
    """
    from db.opening import open_database

    async with open_database(settings) as database:
        yield database.sessions
