"""The queue's tables, types and functions: procrastinate's own schema, as of 3.10.0.

The SQL is a copy, so that this migration does the same for ever. When procrastinate is upgraded, a
test says so; then add a migration that applies the newer files of its `sql/migrations`.
"""

from contextlib import closing
from importlib import resources

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DROP_ALL = """
DO $$
DECLARE
    thing record;
BEGIN
    FOR thing IN SELECT oid::regclass AS name FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
        AND relname LIKE 'procrastinate\\_%'
    LOOP
        EXECUTE format('DROP TABLE %s CASCADE', thing.name);
    END LOOP;
    FOR thing IN SELECT oid::regprocedure AS name FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND prokind = 'f'
        AND proname LIKE 'procrastinate\\_%'
    LOOP
        EXECUTE format('DROP FUNCTION %s CASCADE', thing.name);
    END LOOP;
    FOR thing IN SELECT oid::regtype AS name FROM pg_type
        WHERE typnamespace = current_schema()::regnamespace AND typtype IN ('e', 'c')
        AND typname LIKE 'procrastinate\\_%'
    LOOP
        EXECUTE format('DROP TYPE %s CASCADE', thing.name);
    END LOOP;
END
$$
"""


def upgrade() -> None:
    script = resources.files("migrations") / "sql" / "procrastinate_3_10_0.sql"
    run(script.read_text(encoding="utf-8"))


def downgrade() -> None:
    run(DROP_ALL)


def run(script: str) -> None:
    """Send the text as it is: its `%`, `:=` and `;` are no placeholders and no end."""
    connection = op.get_bind().connection.dbapi_connection
    if connection is None:
        raise sa.exc.InvalidRequestError("a migration needs a connection; offline mode has none")
    with closing(connection.cursor()) as cursor:
        cursor.execute(script)
