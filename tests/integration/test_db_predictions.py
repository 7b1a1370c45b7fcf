import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.errors import IdempotencyConflict, NotFound
from db.queries.audit import list_events
from db.queries.blobs import sweep_blobs
from db.queries.documents import add_document
from db.queries.keys import ensure_tenant
from db.queries.predictions import (
    Answer,
    Filter,
    NewPrediction,
    begin_prediction,
    count_unfinished,
    erase_prediction,
    finish_prediction,
    get_prediction,
    list_predictions,
    list_unfinished,
    set_running,
)
from db.tables import Correction, Document, DoomedBlob, Page, Prediction, State
from tests.factories_db import make_correction, make_document, make_prediction, new_document


async def test_fifty_at_once_with_one_key_make_one_row(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    async with sessions.begin() as session:
        tenant_id = (await ensure_tenant(session, "first")).id

    async def request() -> tuple[bool, UUID]:
        async with sessions.begin() as session:
            document = await add_document(session, tenant_id, new_document("the same bytes"))
            new = NewPrediction(
                document.id, "receipt", idempotency_key="once", body_sha256=b"same body"
            )
            begun = await begin_prediction(session, tenant_id, new)
            await asyncio.sleep(0)
            return begun.is_new, begun.prediction.id

    answers = await asyncio.gather(*(request() for _ in range(50)))
    assert sum(is_new for is_new, _ in answers) == 1
    assert len({prediction_id for _, prediction_id in answers}) == 1
    async with sessions() as session:
        for table, expected in ((Prediction, 1), (Document, 1), (Page, 1)):
            assert await session.scalar(select(func.count()).select_from(table)) == expected


async def test_same_key_with_another_body_is_refused(
    session: AsyncSession, tenant_id: UUID
) -> None:
    document = await make_document(session, tenant_id)
    first = NewPrediction(document.id, "receipt", idempotency_key="k", body_sha256=b"one")
    other = NewPrediction(document.id, "receipt", idempotency_key="k", body_sha256=b"two")
    begun = await begin_prediction(session, tenant_id, first)
    with pytest.raises(IdempotencyConflict) as caught:
        await begin_prediction(session, tenant_id, other)
    assert caught.value.prediction_id == begun.prediction.id


async def test_two_tenants_may_use_the_same_key(
    session: AsyncSession, tenant_id: UUID, stranger_id: UUID
) -> None:
    for owner in (tenant_id, stranger_id):
        document = await make_document(session, owner, "shared content")
        new = NewPrediction(document.id, "receipt", idempotency_key="k", body_sha256=b"one")
        assert (await begin_prediction(session, owner, new)).is_new


async def test_without_a_key_each_request_is_its_own(
    session: AsyncSession, tenant_id: UUID
) -> None:
    document = await make_document(session, tenant_id)
    new = NewPrediction(document.id, "receipt")
    ids = {(await begin_prediction(session, tenant_id, new)).prediction.id for _ in range(3)}
    assert len(ids) == 3


async def test_the_answer_is_kept_as_given_and_once(session: AsyncSession, tenant_id: UUID) -> None:
    prediction = await make_prediction(session, tenant_id)
    answer = Answer(
        record={"total": Decimal("9.00"), "merchant_name": "Caf\u00e9 \0 \ud800"},
        fields={"total": {"value": "9.00", "confidence": 0.6}, "date": {"confidence": 0.9}},
        reasoning="with a \0 inside",
        model_version="docloop-1",
        timings={"engine_seconds": 1.5},
        prompt_tokens=400,
        schema_valid=True,
    )
    done = await finish_prediction(session, tenant_id, prediction.id, answer)
    assert done.state is State.DONE
    assert done.record == {"total": "9.00", "merchant_name": "Caf\u00e9 \ufffd \ufffd"}
    assert done.reasoning == "with a \ufffd inside"
    assert done.lowest_confidence == 0.6
    assert done.finished_at is not None
    assert done.finished_at.tzinfo is not None

    again = await finish_prediction(session, tenant_id, prediction.id, Answer(error={"type": "x"}))
    assert again.state is State.DONE
    assert again.error is None
    assert not await set_running(session, tenant_id, prediction.id)


async def test_a_failure_is_an_answer_too(session: AsyncSession, tenant_id: UUID) -> None:
    prediction = await make_prediction(session, tenant_id)
    failure = Answer(error={"type": "engine-unavailable"}, finish_reason="length")
    done = await finish_prediction(session, tenant_id, prediction.id, failure)
    assert (done.state, done.record) == (State.FAILED, None)


async def test_what_is_unfinished_is_found_again(session: AsyncSession, tenant_id: UUID) -> None:
    prediction = await make_prediction(session, tenant_id)
    finished = await make_prediction(session, tenant_id)
    await finish_prediction(session, tenant_id, finished.id, Answer(record={}))
    later = datetime.now(UTC) + timedelta(minutes=1)
    assert [row.id for row in await list_unfinished(session, later)] == [prediction.id]
    assert await count_unfinished(session) == {State.RUNNING: 1}
    assert await set_running(session, tenant_id, prediction.id)


async def test_pages_of_the_list_hold_each_prediction_once(
    session: AsyncSession, tenant_id: UUID
) -> None:
    made = [(await make_prediction(session, tenant_id)).id for _ in range(7)]
    seen: list[UUID] = []
    before = None
    while page := await list_predictions(session, tenant_id, before=before, limit=3):
        seen += [row.id for row in page]
        before = seen[-1]
    assert seen == made[::-1]


async def test_filters(session: AsyncSession, tenant_id: UUID) -> None:
    sure = await make_prediction(session, tenant_id, document_type="passport")
    unsure = await make_prediction(session, tenant_id)
    await finish_prediction(
        session,
        tenant_id,
        sure.id,
        Answer(record={}, fields={"a": {"confidence": 0.99}}, model_version="m1"),
    )
    await finish_prediction(
        session,
        tenant_id,
        unsure.id,
        Answer(record={}, fields={"a": {"confidence": 0.2}}, model_version="m2"),
    )
    running = await make_prediction(session, tenant_id)
    await make_correction(session, tenant_id, unsure.id)
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    everything = {sure.id, unsure.id, running.id}
    for chosen, expected in [
        (Filter(), everything),
        (Filter(document_type="passport"), {sure.id}),
        (Filter(state=State.RUNNING), {running.id}),
        (Filter(model_version="m2"), {unsure.id}),
        (Filter(confidence_below=0.5), {unsure.id}),
        (Filter(has_correction=True), {unsure.id}),
        (Filter(has_correction=False), {sure.id, running.id}),
        (Filter(created_from=now - hour, created_until=now + hour), everything),
        (Filter(created_from=now + hour), set()),
        (Filter(created_until=now - hour), set()),
        (Filter(document_type="receipt", has_correction=True, confidence_below=0.5), {unsure.id}),
    ]:
        found = await list_predictions(session, tenant_id, chosen)
        assert {row.id for row in found} == expected, chosen


async def test_erasing_leaves_an_audit_event_and_nothing_else(
    session: AsyncSession, tenant_id: UUID
) -> None:
    new = new_document(page_count=2)
    document = await add_document(session, tenant_id, new)
    prediction = await make_prediction(session, tenant_id, document=document)
    await make_correction(session, tenant_id, prediction.id, "9.00")
    await make_correction(session, tenant_id, prediction.id, "9.50")

    erased = await erase_prediction(session, tenant_id, prediction.id, actor="key:dl_test")

    assert erased.blob_keys == {new.blob_key, *(page.blob_key for page in new.pages)}
    for table in (Prediction, Correction, Document, Page):
        assert await session.scalar(select(func.count()).select_from(table)) == 0
    (event,) = await list_events(session, tenant_id, subject=str(prediction.id))
    assert (event.action, event.actor) == ("prediction.erase", "key:dl_test")
    assert event.details == {"correction_count": 2, "blob_count": 3}
    with pytest.raises(NotFound):
        await get_prediction(session, tenant_id, prediction.id)


async def test_erasing_keeps_what_others_use(
    session: AsyncSession, tenant_id: UUID, stranger_id: UUID
) -> None:
    document = await make_document(session, tenant_id, "used twice")
    first = await make_prediction(session, tenant_id, document=document)
    second = await make_prediction(session, tenant_id, document=document)
    theirs = await make_document(session, stranger_id, "used twice")
    await make_prediction(session, stranger_id, document=theirs)
    kept = await make_correction(session, tenant_id, second.id)

    assert (await erase_prediction(session, tenant_id, first.id, actor="a")).blob_keys == set()
    assert (await session.scalars(select(Correction.id))).all() == [kept.id]
    # The last of this tenant goes, its document too; the contents are still the stranger's.
    assert (await erase_prediction(session, tenant_id, second.id, actor="a")).blob_keys == set()
    assert (await session.scalars(select(Document.id))).all() == [theirs.id]


async def test_an_erasure_opens_its_own_corrections_only(
    session: AsyncSession, tenant_id: UUID
) -> None:
    erased = await make_prediction(session, tenant_id)
    other = await make_prediction(session, tenant_id)
    await make_correction(session, tenant_id, other.id)
    await erase_prediction(session, tenant_id, erased.id, actor="a")
    with pytest.raises(IntegrityError, match="append-only"):
        await session.execute(text("DELETE FROM predictions"))


class MemoryStore:
    """Holds what it is given; enough of a store to see what a sweep deletes."""

    def __init__(self, keys: set[str]) -> None:
        self.keys = keys

    def key_for(self, content: bytes) -> str:
        raise NotImplementedError

    async def put(self, content: bytes) -> str:
        raise NotImplementedError

    async def get(self, key: str) -> bytes:
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        self.keys.discard(key)

    async def exists(self, key: str) -> bool:
        return key in self.keys


async def test_a_sweep_deletes_what_an_erasure_left_unless_it_came_back(
    session: AsyncSession, tenant_id: UUID
) -> None:
    gone, returned = new_document("gone"), new_document("returned")
    for new in (gone, returned):
        document = await add_document(session, tenant_id, new)
        prediction = await make_prediction(session, tenant_id, document=document)
        await erase_prediction(session, tenant_id, prediction.id, actor="a")
    await add_document(session, tenant_id, returned)
    theirs = {returned.blob_key, returned.pages[0].blob_key}
    store = MemoryStore({gone.blob_key, gone.pages[0].blob_key, *theirs})

    assert await sweep_blobs(session, store) == 2
    assert store.keys == theirs
    assert await session.scalar(select(func.count()).select_from(DoomedBlob)) == 0
    assert await sweep_blobs(session, store) == 0


async def test_the_database_itself_refuses_another_tenants_document(
    session: AsyncSession, tenant_id: UUID, stranger_id: UUID
) -> None:
    theirs = await make_document(session, stranger_id)
    with pytest.raises(IntegrityError, match="fk_predictions_tenant_id_document_id"):
        await begin_prediction(session, tenant_id, NewPrediction(theirs.id, "receipt"))


async def test_begun_while_an_erasure_runs_is_not_lost(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    """A document that is being erased and sent again at once is there afterwards."""
    async with sessions.begin() as session:
        tenant_id = (await ensure_tenant(session, "first")).id
        document = await add_document(session, tenant_id, new_document("contested"))
        first = await make_prediction(session, tenant_id, document=document)

    async def send_again() -> UUID:
        async with sessions.begin() as session:
            document = await add_document(session, tenant_id, new_document("contested"))
            return (await make_prediction(session, tenant_id, document=document)).id

    async with sessions.begin() as session:
        await erase_prediction(session, tenant_id, first.id, actor="a")
        sending = asyncio.create_task(send_again())
        await asyncio.sleep(0.2)
        assert not sending.done()
    prediction_id = await sending
    async with sessions() as session:
        assert (await get_prediction(session, tenant_id, prediction_id)).id == prediction_id


async def test_an_unknown_prediction(session: AsyncSession, tenant_id: UUID) -> None:
    with pytest.raises(NotFound, match="There is no prediction"):
        await get_prediction(session, tenant_id, uuid4())
