"""From a database's address to sessions. Nothing lives at module level; the app's lifespan owns it.

engine = make_engine(url)
sessions = make_sessions(engine)
async with sessions() as session, session.begin():
    ...
"""

import json

import psycopg
from sqlalchemy import URL, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from db.types import dump_json

DRIVER = "postgresql+psycopg"
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
        pool_pre_ping=True,
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
    return engine


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
