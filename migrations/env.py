"""Runs the migrations on the database that `db.migrate` names, in one transaction."""

from alembic import context
from alembic.runtime.environment import NameFilterParentNames, NameFilterType
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from db.tables import Base

LOCK = 0x646F636C6F6F70  # "docloop"; one migration at a time on a database


def is_ours(name: str | None, kind: NameFilterType, _parents: NameFilterParentNames) -> bool:
    """Whether autogenerate and check look at this object: procrastinate keeps its own tables."""
    return not (kind == "table" and (name or "").startswith("procrastinate_"))


def run() -> None:
    """Run the migrations that were asked for."""
    engine = create_engine(context.config.attributes["url"], poolclass=NullPool)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            include_name=is_ours,
            compare_type=True,
            compare_server_default=False,
        )
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
            context.run_migrations()
    engine.dispose()


run()
