"""What a review needs: an order that teaches, leases, conflicts, regions, schemas under check."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.keys import create_key
from db.queries.leases import leases_of, release_lease, take_lease
from db.queries.page_sessions import begin_session
from db.queries.predictions import Answer, finish_prediction
from db.queries.review import (
    Cause,
    Shelf,
    Wanted,
    count_queue,
    list_queue,
    next_in_queue,
    pace,
)
from db.queries.shadow import NewShadowAnswer, add_shadow_answer
from db.tables import PageSession, Prediction, ReviewLease, Scope, Verdict
from extraction.lines import LineReader
from tests.factories_api import KEY, Serving, form, make_extractor, receipt_engine, serving
from tests.factories_db import make_prediction, make_screened
from tests.factories_documents import draw_text, encode
from tests.integration.test_pages import signed_in
from tests.probes import problem_in

FAIL = {"name": "items_sum", "verdict": "fail", "detail": "They do not sum.", "fields": ["total"]}


async def answered(
    session: AsyncSession, tenant_id: UUID, confidence: float, **facts: Any
) -> Prediction:
    begun = await make_prediction(session, tenant_id)
    fields = {"total": {"value": "1.00", "confidence": confidence}}
    answer = Answer(
        record={"total": "1.00"}, fields=fields, model_version="v-1", schema_valid=True, **facts
    )
    return await finish_prediction(session, tenant_id, begun.id, answer)


async def test_what_teaches_most_comes_first(
    session: AsyncSession, tenant_id: UUID, stranger_id: UUID
) -> None:
    sure = await answered(session, tenant_id, 0.99)
    failed = await answered(session, tenant_id, 0.99, checks=[FAIL])
    unsure = await answered(session, tenant_id, 0.2)
    contested = await answered(session, tenant_id, 0.99)
    other = NewShadowAnswer(contested.id, "v-2", {"total": "2.00"}, schema_valid=True)
    await add_shadow_answer(session, tenant_id, other)
    same = NewShadowAnswer(sure.id, "v-2", {"total": "1.00"}, schema_valid=True)
    await add_shadow_answer(session, tenant_id, same)
    done = await answered(session, tenant_id, 0.1)
    await make_screened(session, tenant_id, done, verdict=Verdict.CORRECT)
    await make_prediction(session, tenant_id)  # still running
    await answered(session, stranger_id, 0.1)

    async def ids(wanted: Wanted) -> list[UUID]:
        found = await list_queue(session, tenant_id, wanted)
        assert len(found) == await count_queue(session, tenant_id, wanted)
        return [row.prediction.id for row in found]

    assert await ids(Wanted()) == [unsure.id, contested.id, failed.id, sure.id]
    assert await ids(Wanted(cause=Cause.CHECKS)) == [failed.id]
    assert await ids(Wanted(cause=Cause.DISAGREEMENT)) == [contested.id]
    assert await ids(Wanted(cause=Cause.DOUBTFUL)) == [unsure.id]
    assert await ids(Wanted(Shelf.REVIEWED)) == [done.id]
    assert len(await ids(Wanted(Shelf.UNFINISHED))) == 1
    assert await ids(Wanted(document_type="passport")) == []
    assert await ids(Wanted(model_version="v-2")) == []
    rows = await list_queue(session, tenant_id, Wanted(Shelf.REVIEWED))
    assert (rows[0].verdict, rows[0].reviewer) == (Verdict.CORRECT, "ana")
    found = await pace(session, tenant_id)
    assert (found.waiting, found.last_hour, found.last_day) == (4, 1, 1)


async def page_session(session: AsyncSession, tenant_id: UUID, name: str) -> PageSession:
    key = await create_key(session, tenant_id, [Scope.EXTRACT])
    return (await begin_session(session, key.row, name)).row


async def test_the_next_document_is_one_that_nobody_else_looks_at(
    session: AsyncSession, tenant_id: UUID
) -> None:
    ann = await page_session(session, tenant_id, "Ann")
    ben = await page_session(session, tenant_id, "Ben")
    first, second, third = [await answered(session, tenant_id, each) for each in (0.1, 0.2, 0.3)]

    async def after(holder: PageSession, prediction: Prediction | None) -> UUID | None:
        left = None if prediction is None else prediction.id
        return await next_in_queue(session, tenant_id, Wanted(), session_id=holder.id, after=left)

    assert (await take_lease(session, ann, first.id)).reviewer == "Ann"
    assert await after(ann, None) == first.id
    assert await after(ben, None) == second.id
    assert await after(ann, first) == second.id
    assert await after(ann, third) == first.id
    await make_screened(session, tenant_id, first)
    assert await after(ann, first) == second.id
    await take_lease(session, ben, second.id)
    assert await after(ann, first) == third.id
    await take_lease(session, ben, third.id)
    assert await after(ann, None) is None


async def test_a_lease_is_kept_taken_over_given_back_and_forgotten(
    session: AsyncSession, tenant_id: UUID
) -> None:
    ann = await page_session(session, tenant_id, "Ann")
    ben = await page_session(session, tenant_id, "Ben")
    prediction = await answered(session, tenant_id, 0.5)
    began = (await take_lease(session, ann, prediction.id)).taken_at
    again = await take_lease(session, ann, prediction.id)
    assert again.taken_at == began
    assert (await take_lease(session, ben, prediction.id)).reviewer == "Ann"
    await release_lease(session, ben, prediction.id)
    assert (await leases_of(session, [prediction.id]))[prediction.id].reviewer == "Ann"
    taken = await take_lease(session, ben, prediction.id, by_force=True)
    assert taken.reviewer == "Ben"
    assert taken.taken_at > began
    past = ReviewLease.expires_at - timedelta(hours=1)
    await session.execute(update(ReviewLease).values(expires_at=past))
    assert await leases_of(session, [prediction.id]) == {}
    assert (await take_lease(session, ann, prediction.id)).reviewer == "Ann"
    await release_lease(session, ann, prediction.id)
    assert await leases_of(session, [prediction.id]) == {}


async def test_two_people_do_not_overwrite_each_other(up: Serving) -> None:
    found = await up.extract(**form(document_type="receipt"))
    ann = await signed_in(up)
    ben = await signed_in(up, await up.make_key("default"), "Ben")
    path = f"/review/{found['id']}/lease"
    assert (await ann.post(path, json={})).json()["mine"]
    seen = (await ben.post(path, json={})).json()
    assert (seen["mine"], seen["reviewer"], seen["corrections"]) == (False, "Ann", 0)
    said = {"prediction_id": found["id"], "verdict": "corrected", "expected_corrections": 0}
    both = await asyncio.gather(
        ann.post("/feedback", json={**said, "record": {"total": "1.00"}}),
        ben.post("/feedback", json={**said, "record": {"total": "2.00"}}),
    )
    assert sorted(answer.status_code for answer in both) == [201, 409]
    lost = next(answer for answer in both if answer.status_code == 409)
    problem = problem_in(lost, 409, "correction-conflict")
    assert (problem["expected"], problem["found"]) == (0, 1)
    won = next(answer for answer in both if answer.status_code == 201)
    sent = {"total": won.json()["record"]["total"]}
    winner = ann if won.json()["reviewer"] == "Ann" else ben
    # The same again, as after a connection that broke before the answer, is as once.
    again = await winner.post("/feedback", json={**said, "record": sent})
    assert (again.status_code, again.json()["id"]) == (200, won.json()["id"])
    later = {**said, "record": {"total": "3.00"}, "expected_corrections": 1}
    assert (await ben.post("/feedback", json=later)).status_code == 201


async def test_a_region_is_read_again_and_its_boxes_lie_on_the_page(
    database_url: str, tmp_path: Path
) -> None:
    engine = receipt_engine()
    extractor = make_extractor(engine, LineReader(threads=1))
    page = draw_text(("FIRST LINE HERE", "AMOUNT 98.75", "LAST LINE HERE"), size=(800, 400))
    async with serving(database_url, tmp_path, engine=engine, extractor=extractor) as up:
        found = await up.extract(**form(encode(page, "PNG"), document_type="receipt"))
        client = await signed_in(up)
        path = f"/review/{found['id']}/region"
        # The second line: 112 to 148 of 400 pixels.
        box = [0.03, 0.26, 0.6, 0.39]
        answer = (await client.post(path, json={"page": 0, "box": box})).json()
        assert answer["text"].replace(" ", "") == "AMOUNT98.75"
        left, top, right, bottom = answer["lines"][0]["box"]
        assert box[0] - 0.01 <= left < right <= box[2] + 0.01
        assert box[1] - 0.02 <= top < bottom <= box[3] + 0.02
        assert (left, right) == (pytest.approx(0.05, abs=0.02), pytest.approx(0.4, abs=0.08))
        empty = await client.post(path, json={"page": 0, "box": [0.8, 0.8, 0.99, 0.99]})
        assert empty.json() == {"text": "", "lines": []}
        for fault in ([0.5, 0.5, 0.5, 0.9], [0.9, 0.1, 0.1, 0.9], [0, 0, 1, 2], [0, 0, 1]):
            problem_in(
                await client.post(path, json={"page": 0, "box": fault}), 422, "invalid-request"
            )
        problem_in(await client.post(path, json={"page": 7, "box": box}), 404, "not-found")


async def test_a_schema_is_checked_while_it_is_written(up: Serving) -> None:
    client = await signed_in(up)
    found = await up.extract(**form(document_type="receipt"))
    draft = {"type": "object", "properties": {"total": {"type": "string", "x-kind": "money"}}}
    sent = {"name": "note", "draft": draft, "sample": {"total": "RM 9.00"}}
    answer = (await client.post("/types/check", json=sent)).json()
    assert answer["fits"]
    assert [field["path"] for field in answer["fields"]] == ["total"]
    assert answer["sample"] == {"record": {"total": "9.00"}, "faults": {}}
    sent["sample"] = {"total": "nine", "other": "x"}
    faults = (await client.post("/types/check", json=sent)).json()["sample"]["faults"]
    assert set(faults) == {"total", "other"}
    draft["properties"]["total"] = {"type": "string", "pattern": "x"}
    answer = (await client.post("/types/check", json=sent)).json()
    assert not answer["fits"]
    assert answer["path"] == "/properties/total/pattern"
    draft["properties"]["total"] = {"type": "string"}
    tried = {"name": "note", "draft": draft, "prediction_id": found["id"]}
    read = await client.post("/types/try", json=tried)
    assert read.status_code == 200, read.text
    assert set(read.json()["record"]) == {"total"}
    assert (await up.client.get("/document-types/note")).status_code == 404


async def test_a_report_is_for_admins_and_cannot_reach_us(up: Serving, tmp_path: Path) -> None:
    from db.queries.runs import start_run

    async with up.sessions.begin() as session:
        run = await start_run(session, {}, champion_id=None)
    client = await signed_in(up)
    assert (await client.get(f"/runs/{run.id}/report")).status_code == 404
    report = tmp_path / "training" / str(run.id) / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("<h1>A run</h1>")
    answer = await client.get(f"/runs/{run.id}/report")
    assert "A run" in answer.text
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert (await client.get(f"/runs/{uuid4()}/report")).status_code == 404
    assert KEY not in answer.text
