"""A real PostgreSQL for the whole run, a migrated template, and two ways to be alone in it.

`session` is for most tests: a transaction that is rolled back. `sessions` is for tests that commit,
use many connections or restart things: a database of its own, copied from the template.
"""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from db.embedded import EmbeddedPostgres, start_postgres
from db.migrate import upgrade
from db.queries.keys import ensure_tenant
from db.sessions import make_engine, make_sessions

if TYPE_CHECKING:
    from tests.factories_api import Serving

TEMPLATE = "docloop_template"
SHARED = "docloop_shared"


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    with tempfile.TemporaryDirectory(prefix="docloop-test-") as folder:
        # Nothing here outlives the run, so it need not survive a power cut.
        unsafe = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        server = start_postgres(Path(folder) / "postgres", unsafe)
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    create_database(postgres, TEMPLATE)
    upgrade(postgres.url_of(TEMPLATE))
    return TEMPLATE


@pytest.fixture(scope="session")
def shared_url(postgres: EmbeddedPostgres, template: str) -> str:
    create_database(postgres, SHARED, template)
    return postgres.url_of(SHARED)


@pytest.fixture
async def session(shared_url: str) -> AsyncIterator[AsyncSession]:
    """A session whose work is rolled back at the end, its own commits included."""
    engine = make_engine(shared_url)
    try:
        async with engine.connect() as connection:
            outer = await connection.begin()
            async with AsyncSession(
                connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
            ) as session:
                yield session
            await outer.rollback()
    finally:
        await engine.dispose()


@pytest.fixture
def empty_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The address of a database without tables."""
    yield from _temporary_database(postgres, None)


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """The address of a migrated database for this test alone."""
    yield from _temporary_database(postgres, template)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on `database_url`."""
    engine = make_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions on `database_url`, whose commits are real."""
    return make_sessions(engine)


@pytest.fixture
async def up(database_url: str, tmp_path: Path) -> "AsyncIterator[Serving]":
    """The whole app with its usual settings; a module that wants others has its own."""
    from tests.factories_api import serving

    async with serving(database_url, tmp_path) as up:
        yield up


@pytest.fixture
async def tenant_id(session: AsyncSession) -> UUID:
    return (await ensure_tenant(session, "first")).id


@pytest.fixture
async def stranger_id(session: AsyncSession) -> UUID:
    """Another tenant."""
    return (await ensure_tenant(session, "second")).id


def create_database(postgres: EmbeddedPostgres, name: str, template: str | None = None) -> None:
    source = sql.Identifier(template or "template1")
    # FILE_COPY leaves the write-ahead log alone: a third of the time of the default.
    query = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        connection.execute(query.format(sql.Identifier(name), source))


def _temporary_database(postgres: EmbeddedPostgres, template: str | None) -> Iterator[str]:
    name = f"docloop_{uuid4().hex[:12]}"
    create_database(postgres, name, template)
    yield postgres.url_of(name)
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
        connection.execute(drop.format(sql.Identifier(name)))
