from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.live import LiveCounts, live_counts
from db.tables import Verdict
from tests.factories_db import make_answered, make_prediction, make_screened


async def test_counts_of_a_version(
    session: AsyncSession, tenant_id: UUID, stranger_id: UUID
) -> None:
    right = await make_answered(session, tenant_id, model_version="new")
    await make_screened(session, tenant_id, right, verdict=Verdict.CORRECT)
    wrong = await make_answered(
        session, stranger_id, model_version="new", document_type="passport", schema_valid=False
    )
    await make_screened(session, stranger_id, wrong)
    unreadable = await make_answered(session, tenant_id, model_version="new")
    await make_screened(session, tenant_id, unreadable, verdict=Verdict.UNREADABLE)
    await make_screened(session, tenant_id, await make_answered(session, tenant_id))
    await make_prediction(session, tenant_id)
    counts = await live_counts(session, "new")
    assert counts == LiveCounts(
        predictions=3,
        schema_valid=2,
        reviewed=2,
        corrected=1,
        by_document_type={"passport": LiveCounts(1, 0, 1, 1), "receipt": LiveCounts(2, 2, 1, 0)},
    )
    assert await live_counts(session, "nobody") == LiveCounts(0, 0, 0, 0)


async def test_the_correction_in_force_counts(session: AsyncSession, tenant_id: UUID) -> None:
    prediction = await make_answered(session, tenant_id)
    await make_screened(session, tenant_id, prediction)
    await make_screened(session, tenant_id, prediction, verdict=Verdict.CORRECT)
    counts = await live_counts(session, "v-1")
    assert (counts.predictions, counts.reviewed, counts.corrected) == (1, 1, 0)


async def test_only_the_first_and_only_since(session: AsyncSession, tenant_id: UUID) -> None:
    made = [await make_answered(session, tenant_id) for _ in range(4)]
    await make_screened(session, tenant_id, made[0])
    await make_screened(session, tenant_id, made[3])
    assert (await live_counts(session, "v-1", first=3)).corrected == 1
    move = text("UPDATE predictions SET created_at = now() - interval '1 day' WHERE id = :id")
    await session.execute(move, {"id": made[0].id})
    since = made[1].created_at - timedelta(hours=1)
    counts = await live_counts(session, "v-1", since=since)
    assert (counts.predictions, counts.corrected) == (3, 1)
    counts = await live_counts(session, "v-1", first=1, since=since)
    assert (counts.predictions, counts.corrected) == (1, 0)
