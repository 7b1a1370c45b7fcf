"""What is older than its rule allows is erased, and nothing else."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.retention import keep_retention
from api.settings import Settings
from db.blobs import FolderBlobStore
from db.queries.keys import ensure_tenant
from db.retention import erase_expired, list_expired
from db.retention_rules import Rule, days_kept, parse_rules
from db.tables import AuditEvent, Prediction
from tests.factories_api import document, form, serving
from tests.factories_db import make_answered, make_prediction

RULES = parse_rules("passport=30, acme/receipt=10, acme/*=100, *=365")


def test_rules() -> None:
    assert RULES[0] == Rule("*", "passport", 30)
    kept = {
        ("acme", "receipt"): 10,
        ("acme", "passport"): 100,
        ("other", "passport"): 30,
        ("other", "receipt"): 365,
    }
    assert {key: days_kept(RULES, *key) for key in kept} == kept
    assert days_kept(parse_rules("passport=30"), "acme", "receipt") is None
    assert parse_rules("") == ()


@pytest.mark.parametrize("text", ["passport", "passport=0", "=3", "a/b/c=3", "x=1,x=2", "x=-1"])
def test_what_is_no_rule(text: str) -> None:
    with pytest.raises(ValueError, match="rule"):
        parse_rules(text)
    with pytest.raises(ValueError, match="rule"):
        Settings(_env_file=None, retention=text)


async def test_only_what_is_older_is_erased(
    sessions: async_sessionmaker[AsyncSession], tmp_path: Path
) -> None:
    async with sessions.begin() as session:
        acme_id = (await ensure_tenant(session, "acme")).id
        other_id = (await ensure_tenant(session, "other")).id
        for owner in (acme_id, other_id):
            for kind in ("receipt", "passport"):
                await make_answered(session, owner, document_type=kind)
        unfinished = await make_prediction(session, acme_id)
    blobs = FolderBlobStore(tmp_path / "blobs")

    async def left(days: int) -> set[tuple[str, str]]:
        now = datetime.now(UTC) + timedelta(days=days)
        await erase_expired(sessions, blobs, RULES, now)
        names = {acme_id: "acme", other_id: "other"}
        async with sessions() as session:
            rows = (await session.execute(select(Prediction))).scalars().all()
        return {
            (names[row.tenant_id], row.document_type) for row in rows if row.id != unfinished.id
        }

    everything = {(o, k) for o in ("acme", "other") for k in ("receipt", "passport")}
    assert await left(9) == everything
    assert await left(11) == everything - {("acme", "receipt")}
    assert await left(31) == {("acme", "passport"), ("other", "receipt")}
    assert await left(101) == {("other", "receipt")}
    assert await left(366) == set()
    async with sessions() as session:
        assert await list_expired(session, RULES, datetime.now(UTC) + timedelta(days=9999)) == []
        actors = (await session.execute(select(AuditEvent.actor))).scalars().all()
    assert actors == ["retention"] * 4


def files(folder: Path) -> list[Path]:
    return [path for path in (folder / "blobs").rglob("*") if path.is_file()]


async def test_the_service_erases_files_too(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, retention="receipt=1") as up:
        await up.extract(**form(document("old"), document_type="receipt"))
        async with up.sessions.begin() as session:
            row = (await session.execute(select(Prediction))).scalar_one()
            row.created_at -= timedelta(days=2)
        task = asyncio.create_task(keep_retention(up.services, 60))
        async with asyncio.timeout(10):
            while files(tmp_path):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.02)
        task.cancel()
        assert (await up.client.get("/predictions")).json()["predictions"] == []
