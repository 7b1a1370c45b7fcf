import asyncio
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.queries.audit import record_event
from db.queries.corrections import (
    correction_history,
    get_correction,
    latest_correction,
    latest_corrections,
    list_corrections,
)
from db.queries.keys import ensure_tenant
from db.tables import Verdict
from tests.factories_db import make_correction, make_prediction


async def test_the_last_correction_is_in_force_and_the_others_stay(
    session: AsyncSession, tenant_id: UUID
) -> None:
    prediction = await make_prediction(session, tenant_id)
    untouched = await make_prediction(session, tenant_id)
    made = [await make_correction(session, tenant_id, prediction.id, f"{n}.00") for n in range(3)]
    latest = await latest_correction(session, tenant_id, prediction.id)
    assert latest is not None
    assert latest.record == {"total": "2.00"}
    history = await correction_history(session, tenant_id, prediction.id)
    assert [row.id for row in history] == [row.id for row in made]
    assert [row.supersedes for row in history] == [None, made[0].id, made[1].id]
    assert await latest_correction(session, tenant_id, untouched.id) is None
    both = await latest_corrections(session, tenant_id, [prediction.id, untouched.id])
    assert {key: row.id for key, row in both.items()} == {prediction.id: made[2].id}
    assert [row.id for row in await list_corrections(session, tenant_id)] == [made[2].id]
    assert await list_corrections(session, tenant_id, verdict=Verdict.UNREADABLE) == []
    assert (await get_correction(session, tenant_id, made[0].id)).record == {"total": "0.00"}


async def test_twenty_at_once_make_one_line(sessions: async_sessionmaker[AsyncSession]) -> None:
    async with sessions.begin() as session:
        tenant_id = (await ensure_tenant(session, "first")).id
        prediction = await make_prediction(session, tenant_id)

    async def correct(number: int) -> None:
        async with sessions.begin() as session:
            await make_correction(session, tenant_id, prediction.id, f"{number}.00")

    await asyncio.gather(*(correct(number) for number in range(20)))
    async with sessions() as session:
        history = await correction_history(session, tenant_id, prediction.id)
        latest = await latest_correction(session, tenant_id, prediction.id)
    assert len(history) == 20
    assert latest is not None
    assert latest.id == history[-1].id


@pytest.mark.parametrize("table", ["corrections", "audit_events"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {table} SET created_at = now()",
        "DELETE FROM {table}",
        "TRUNCATE {table} CASCADE",
        "WITH opened AS (SELECT set_config('docloop.erasing', 'on', true)) DELETE FROM {table}",
    ],
)
async def test_append_only(
    session: AsyncSession, tenant_id: UUID, table: str, statement: str
) -> None:
    prediction = await make_prediction(session, tenant_id)
    await make_correction(session, tenant_id, prediction.id)
    await record_event(session, tenant_id, actor="a", action="b", subject="c")
    with pytest.raises(IntegrityError, match=f"{table} is append-only"):
        await session.execute(text(statement.format(table=table)))


async def test_deleting_a_prediction_without_an_erasure_is_refused(
    session: AsyncSession, tenant_id: UUID
) -> None:
    prediction = await make_prediction(session, tenant_id)
    await make_correction(session, tenant_id, prediction.id)
    with pytest.raises(IntegrityError, match="append-only"):
        await session.execute(text("DELETE FROM predictions"))
