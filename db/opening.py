"""The database of these settings, migrated and ready: one that runs, or the embedded one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.embedded import start_postgres
from db.migrate import upgrade
from db.sessions import driver_url, make_engine, make_sessions
from db.settings import StorageSettings


@dataclass(frozen=True, slots=True)
class Database:
    """An open database.

    Attributes:
        sessions: make sessions on it.
        address: libpq's, for connections of one's own; it may hold a password.
    """

    sessions: async_sessionmaker[AsyncSession]
    address: str


@asynccontextmanager
async def open_database(settings: StorageSettings) -> AsyncIterator[Database]:
    """The database, at the newest migration, until the block ends.

    A running service is joined; an embedded database that nobody runs is started for this block.

    Raises:
        EmbeddedPostgresFailed: the embedded server does not start.
        sqlalchemy.exc.OperationalError: the database does not answer.
    """
    server = None
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
    else:
        server = await asyncio.to_thread(start_postgres, settings.data_dir / "postgres")
        url = server.url
    try:
        await asyncio.to_thread(upgrade, url)
        engine = make_engine(url)
        address = driver_url(url).set(drivername="postgresql")
        try:
            yield Database(make_sessions(engine), address.render_as_string(hide_password=False))
        finally:
            await engine.dispose()
    finally:
        if server is not None:
            await asyncio.to_thread(server.stop)
