import asyncio
import logging
import tempfile
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from db.embedded import EmbeddedPostgres, start_postgres
from db.queries.predictions import Answer, finish_prediction
from db.sessions import RESTED_SECONDS, driver_url, make_engine, make_sessions
from tests.factories_db import make_prediction

PLANTED = "P200858064"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:secret@host:5433/docloop?sslmode=require",
        "postgres://user:secret@host:5433/docloop?sslmode=require",
        "postgresql+asyncpg://user:secret@host:5433/docloop?sslmode=require",
    ],
)
def test_the_driver_is_ours_and_the_rest_stays(url: str) -> None:
    made = driver_url(url)
    assert made.drivername == "postgresql+psycopg"
    assert (made.host, made.port, made.database) == ("host", 5433, "docloop")
    assert made.query == {"sslmode": "require"}
    assert made.password == "secret"


def test_another_database_is_refused() -> None:
    with pytest.raises(ValueError, match="PostgreSQL address"):
        driver_url("sqlite:///x")


async def test_a_restarted_database_heals() -> None:
    root = tempfile.TemporaryDirectory(prefix="docloop-test-")
    folder = Path(root.name) / "pg"
    server = start_postgres(folder)
    engine = make_engine(server.url)
    sessions = make_sessions(engine)
    try:
        for _ in range(3):
            async with sessions() as session:
                assert await session.scalar(text("SELECT 1")) == 1
            server.stop()
            server = start_postgres(folder)
            # A connection that was used a moment ago is not pinged; no server is back that fast
            # for real, this one can be.
            await asyncio.sleep(2 * RESTED_SECONDS)
    finally:
        await engine.dispose()
        server.stop()
        root.cleanup()


@pytest.mark.parametrize(
    "failing",
    [
        # "Failing row contains (...)" stands in the detail of a broken check.
        ("UPDATE predictions SET state = 'no', prompt_hash = :value", IntegrityError),
        ("SELECT CAST(:value AS integer)", DBAPIError),
        ("SELECT CAST(CAST(:value AS text) AS jsonb)", DBAPIError),
        ("INSERT INTO tenants (id, name) SELECT id, :value FROM tenants", IntegrityError),
    ],
)
async def test_no_error_and_no_server_log_holds_a_value(
    session: AsyncSession,
    tenant_id: UUID,
    postgres: EmbeddedPostgres,
    caplog: pytest.LogCaptureFixture,
    failing: tuple[str, type[DBAPIError]],
) -> None:
    caplog.set_level(logging.DEBUG)
    statement, kind = failing
    prediction = await make_prediction(session, tenant_id)
    answer = Answer(record={"document_number": PLANTED}, reasoning=PLANTED)
    await finish_prediction(session, tenant_id, prediction.id, answer)
    with pytest.raises(kind) as caught:
        await session.execute(text(statement), {"value": PLANTED})
    told = f"{caught.value!s} {caught.value!r} {caught.value.orig!s} {caught.value.args}"
    assert PLANTED not in told
    assert caught.value.orig is not None
    assert PLANTED not in caplog.text
    assert PLANTED not in (postgres.folder / "postgres.log").read_text()
