"""Alembic migrations; run them with `db.migrate`."""
