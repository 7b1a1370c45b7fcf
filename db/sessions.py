"""From a database's address to sessions. Nothing lives at module level; the app's lifespan owns it.

engine = make_engine(url)
sessions = make_sessions(engine)
async with sessions() as session, session.begin():
    ...
"""

import json
import time
from typing import Any

import psycopg
from sqlalchemy import URL, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import ConnectionPoolEntry

from db.types import dump_json

DRIVER = "postgresql+psycopg"
_USED_AT = "used_at"
RESTED_SECONDS = 0.2  # less than a server needs to come back
DATA_EXCEPTION = "22"  # class of SQLSTATE whose primary message quotes the value at fault


def driver_url(url: str | URL) -> URL:
    """`url` with psycopg 3 as its driver, whatever it named.

    Raises:
        ValueError: another database than PostgreSQL.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise ValueError(f"a PostgreSQL address is needed, not {parsed.get_backend_name()}")
    return parsed.set(drivername=DRIVER)


def make_engine(
    url: str | URL,
    *,
    pool_size: int = 10,
    max_overflow: int = 10,
    pool_timeout_seconds: float = 10.0,
    connect_timeout_seconds: int = 5,
) -> AsyncEngine:
    """An engine whose pool heals when the database was restarted, and whose errors hold no values.

    Args:
        url: `postgresql://...`; the driver is set here.
        pool_size: connections that stay open.
        max_overflow: further ones under load.
        pool_timeout_seconds: how long a caller waits for a connection.
        connect_timeout_seconds: how long a connection may take to open.
    """
    engine = create_async_engine(
        driver_url(url),
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=pool_timeout_seconds,
        pool_use_lifo=True,  # the connection that was used last, which need not be asked
        pool_recycle=1800,
        hide_parameters=True,
        json_serializer=dump_json,
        json_deserializer=json.loads,
        connect_args={
            "connect_timeout": connect_timeout_seconds,
            "application_name": "docloop",
            "options": "-c timezone=UTC",
        },
    )
    event.listen(engine.sync_engine, "handle_error", _redact)
    _ping_rested(engine)
    return engine


def _ping_rested(engine: AsyncEngine) -> None:
    """Ask a connection that has rested for a sign of life before it is used.

    One that was used a moment ago is not asked, which saves every busy transaction a journey. If
    the server went away in that moment, the transaction fails, and all connections are opened anew.
    """
    dialect = engine.sync_engine.dialect

    def checkin(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info[_USED_AT] = time.monotonic()

    def checkout(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        used_at = record.info.get(_USED_AT)
        if used_at is None or time.monotonic() - used_at < RESTED_SECONDS:
            return
        try:
            dialect.do_ping(connection)
        except psycopg.Error:
            raise DisconnectionError from None

    event.listen(engine.sync_engine, "checkin", checkin)
    event.listen(engine.sync_engine, "checkout", checkout)


def make_sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions whose objects stay readable after the commit."""
    return async_sessionmaker(engine, expire_on_commit=False)


def _redact(context: ExceptionContext) -> None:
    """Take values out of a server's error; its detail quotes them ("Failing row contains ...")."""
    original = context.original_exception
    if not isinstance(original, psycopg.Error) or original.sqlstate is None:
        return
    kept = [type(original).__name__, original.sqlstate, original.diag.constraint_name]
    if not original.sqlstate.startswith(DATA_EXCEPTION):
        kept.append(original.diag.message_primary)
    message = ": ".join(part for part in kept if part)
    original.args = (message,)
    if context.sqlalchemy_exception is not None:
        context.sqlalchemy_exception.args = (message,)
