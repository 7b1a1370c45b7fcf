from pathlib import Path

import procrastinate.schema
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.migrate import check, current, downgrade, head, upgrade

LEFT_OVER = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'
UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
"""


def test_up_check_down_and_up_again(empty_url: str) -> None:
    assert current(empty_url) is None
    upgrade(empty_url)
    assert current(empty_url) == head() == "0005"
    assert check(empty_url) is None
    downgrade(empty_url)
    assert current(empty_url) is None
    with psycopg.connect(empty_url) as connection:
        left = {row[0] for row in connection.execute(LEFT_OVER)}
    assert left == {"alembic_version", "_alembic_version"}
    upgrade(empty_url)
    assert check(empty_url) is None


def test_upgrade_twice_changes_nothing(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO tenants (id, name) VALUES (gen_random_uuid(), 'kept')")
    upgrade(database_url)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT name FROM tenants").fetchall() == [("kept",)]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE predictions DROP COLUMN warnings",
        "DROP INDEX uq_corrections_first",
        "CREATE TABLE stray (id int)",
        "ALTER TABLE documents ALTER COLUMN size_bytes TYPE int",
    ],
)
def test_check_names_a_difference(database_url: str, change: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(change.encode())
    assert check(database_url) is not None


def test_queue_schema_is_the_installed_procrastinates() -> None:
    """When this fails, procrastinate was upgraded: add a migration with its newer SQL files."""
    copy = Path(__file__).parents[2] / "migrations" / "sql" / "procrastinate_3_10_0.sql"
    assert copy.read_text() == procrastinate.schema.SchemaManager.get_schema()


async def test_every_constraint_follows_the_naming_convention(session: AsyncSession) -> None:
    query = text(
        "SELECT conname FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid"
        " WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f', 'c')"
        " AND relname NOT LIKE 'procrastinate%' AND relname <> 'alembic_version'"
        " AND conname !~ ('^(pk|uq|fk|ck)_' || relname)"
    )
    assert (await session.execute(query)).scalars().all() == []


async def test_every_time_has_a_zone(session: AsyncSession) -> None:
    query = text(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name NOT LIKE 'procrastinate%'"
        " AND data_type = 'timestamp without time zone'"
    )
    assert (await session.execute(query)).all() == []


async def test_procrastinate_runs_a_job_on_the_migrated_schema(database_url: str) -> None:
    seen = []
    connector = procrastinate.PsycopgConnector(conninfo=database_url)
    app = procrastinate.App(connector=connector)

    @app.task(name="remember")  # type: ignore[untyped-decorator]
    async def remember(prediction_id: str) -> None:
        seen.append(prediction_id)

    async with app.open_async():
        await remember.defer_async(prediction_id="one")
        await app.run_worker_async(wait=False, install_signal_handlers=False)
    assert seen == ["one"]


def test_learning_begins_with_the_champion_that_is_served(empty_url: str) -> None:
    upgrade(empty_url, "0002")
    with psycopg.connect(empty_url) as connection:
        connection.execute(
            "INSERT INTO model_versions (id, name, base, manifest, path, state)"
            " VALUES ('m-1', 'm', 'b', '{}', 'p', 'accepted')"
        )
        connection.execute("UPDATE champion SET model_version_id = 'm-1', generation = 4")
    upgrade(empty_url)
    query = "SELECT generation, model_version_id, previous_id, reason FROM promotions"
    with psycopg.connect(empty_url) as connection:
        assert connection.execute(query).fetchall() == [(4, "m-1", None, "first")]
    downgrade(empty_url, "0002")
    with psycopg.connect(empty_url) as connection:
        kept = connection.execute("SELECT model_version_id, generation FROM champion").fetchall()
    assert kept == [("m-1", 4)]
    upgrade(empty_url)
    assert check(empty_url) is None
