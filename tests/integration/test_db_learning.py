from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.corrections import NewCorrection, add_correction
from db.queries.documents import set_lines
from db.queries.learning import count_new, list_learnable, list_unscreened
from db.queries.predictions import Answer, finish_prediction
from db.queries.quarantine import decide, hold, mark_screened
from db.tables import Verdict
from tests.factories_db import (
    make_answered,
    make_correction,
    make_prediction,
    make_screened,
)

REASON = {"rule": "flood", "detail": "260 corrections of one key"}


async def learnable_ids(session: AsyncSession) -> list[UUID]:
    return [found.correction.id for found in await list_learnable(session)]


async def test_a_learnable_has_all_that_an_example_needs(
    session: AsyncSession, tenant_id: UUID, stranger_id: UUID
) -> None:
    prediction = await make_answered(session, tenant_id)
    await set_lines(session, tenant_id, prediction.document_id, 0, [{"text": "TOTAL"}])
    correction = await make_screened(session, tenant_id, prediction)
    theirs = await make_screened(session, stranger_id, await make_answered(session, stranger_id))
    found = await list_learnable(session)
    assert [one.correction.id for one in found] == [correction.id, theirs.id]
    first = found[0]
    assert (first.tenant_id, first.prediction.id) == (tenant_id, prediction.id)
    assert first.document_id == prediction.document_id
    assert len(first.content_sha256) == 32
    (page,) = first.pages
    assert page.lines == [{"text": "TOTAL"}]
    assert found[1].pages[0].document_id == found[1].document_id


async def test_what_is_not_learnt_from(session: AsyncSession, tenant_id: UUID) -> None:
    unscreened = await make_answered(session, tenant_id)
    await make_correction(session, tenant_id, unscreened.id)
    unreadable = await make_answered(session, tenant_id)
    await make_screened(session, tenant_id, unreadable, verdict=Verdict.UNREADABLE)
    unfinished = await make_prediction(session, tenant_id)
    await make_screened(session, tenant_id, unfinished)
    failed = await make_prediction(session, tenant_id)
    await finish_prediction(session, tenant_id, failed.id, Answer(error={"type": "x"}))
    await make_screened(session, tenant_id, failed)
    await make_answered(session, tenant_id)  # nobody has spoken
    assert await learnable_ids(session) == []
    confirmed = await make_screened(
        session, tenant_id, await make_answered(session, tenant_id), verdict=Verdict.CORRECT
    )
    assert await learnable_ids(session) == [confirmed.id]


async def test_a_superseded_correction_is_not_learnt_from(
    session: AsyncSession, tenant_id: UUID
) -> None:
    prediction = await make_answered(session, tenant_id)
    await make_screened(session, tenant_id, prediction)
    later = await make_correction(session, tenant_id, prediction.id, "7.00")
    assert await learnable_ids(session) == []
    assert [one.correction.id for one in await list_unscreened(session)] == [later.id]
    await mark_screened(session, [later.id])
    assert await learnable_ids(session) == [later.id]


async def test_held_ones_wait_for_a_second_person(session: AsyncSession, tenant_id: UUID) -> None:
    correction = await make_screened(session, tenant_id, await make_answered(session, tenant_id))
    await hold(session, correction, [REASON])
    assert await learnable_ids(session) == []
    assert await count_new(session) == 0
    await decide(session, tenant_id, correction.id, accept=True, actor="ben")
    assert await learnable_ids(session) == [correction.id]
    await decide(session, tenant_id, correction.id, accept=False, actor="ben")
    assert await learnable_ids(session) == []


async def test_new_is_what_could_be_learnt_from_since(
    session: AsyncSession, tenant_id: UUID
) -> None:
    corrections = [
        await make_screened(session, tenant_id, await make_answered(session, tenant_id))
        for _ in range(3)
    ]
    await hold(session, corrections[2], [REASON])
    move = text("UPDATE corrections_screened SET screened_at = now() - interval '1 hour'")
    await session.execute(move)
    now = (await session.execute(select(func.now()))).scalar_one()
    assert await count_new(session) == 2
    assert await count_new(session, now - timedelta(hours=2)) == 2
    assert await count_new(session, now - timedelta(minutes=1)) == 0
    await decide(session, tenant_id, corrections[2].id, accept=True, actor="ben")
    assert await count_new(session, now - timedelta(minutes=1)) == 1
    found = await list_learnable(session, after=now - timedelta(minutes=1))
    assert [one.correction.id for one in found] == [corrections[2].id]


async def test_what_the_rules_have_not_looked_at(session: AsyncSession, tenant_id: UUID) -> None:
    predictions = [await make_answered(session, tenant_id) for _ in range(3)]
    new = [await make_correction(session, tenant_id, one.id) for one in predictions]
    spoken = NewCorrection((await make_answered(session, tenant_id)).id, Verdict.UNREADABLE)
    await add_correction(session, tenant_id, spoken)
    found = await list_unscreened(session, limit=2)
    assert [one.correction.id for one in found] == [new[0].id, new[1].id]
    await mark_screened(session, [new[0].id, new[1].id])
    await mark_screened(session, [new[0].id])
    await mark_screened(session, [])
    assert [one.correction.id for one in await list_unscreened(session)] == [new[2].id]
