"""POST /extract through the whole app, on a real PostgreSQL."""

import asyncio
import base64
from pathlib import Path

import pytest
from sqlalchemy import text

from db.queries.live import LiveCounts, live_counts
from db.sessions import make_engine, make_sessions
from db.tables import Document, Prediction, Scope
from extraction.engine import EngineStatus
from tests import factories_documents
from tests.factories_api import (
    RECEIPT,
    GivenType,
    Serving,
    body,
    document,
    form,
    make_extractor,
    pages_of,
    receipt_engine,
    serving,
)
from tests.fakes import FakeEngine

PROBLEM = "application/problem+json"


async def test_a_receipt(up: Serving) -> None:
    response = await up.client.post("/extract", **form(document_type="receipt"))
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["state"] == "done"
    assert (answer["document_type"], answer["document_type_version"]) == ("receipt", 1)
    assert answer["document_type_confidence"] == 1.0
    assert answer["record"]["total"] == "9.00"
    assert answer["record"]["transaction_date"] == "2018-12-25"
    total = answer["fields"]["total"]
    assert (total["value"], total["raw"], total["source"]) == ("9.00", "RM9.00", "model")
    assert 0 <= total["confidence"] <= 1
    assert total["evidence"]["page"] == 0
    assert len(total["evidence"]["box"]) == 4
    assert {check["name"] for check in answer["checks"]} >= {"total_identity"}
    assert answer["model_version"] == "fake-1"
    assert answer["usage"]["prompt_tokens"] == 7
    assert {"decode", "queue", "engine"} <= set(answer["timings_seconds"])
    assert answer["corrections"] == 0
    assert answer["error"] is None
    assert answer["pages"][0]["url"] == f"/predictions/{answer['id']}/pages/0"
    read = await up.client.get(f"/predictions/{answer['id']}")
    assert read.json() == answer


async def test_json_says_the_same_as_multipart(up: Serving) -> None:
    as_form = await up.extract(**form(document_type="receipt", fields="total,merchant_name"))
    as_json = await up.extract(**body(document_type="receipt", fields=["merchant_name", "total"]))
    assert as_form["record"] == as_json["record"]
    assert set(as_form["record"]) == {"merchant_name", "total"}
    repeated = {**form(), "data": {"document_type": "receipt", "fields": ["total", "items"]}}
    assert set((await up.extract(**repeated))["record"]) == {"total", "items"}


async def test_auto_decides(up: Serving) -> None:
    answer = await up.extract()
    assert (answer["document_type"], answer["document_type_confidence"]) == ("receipt", 0.98)


async def test_an_unknown_document_is_an_answer(database_url: str, tmp_path: Path) -> None:
    engine = receipt_engine()
    extractor = make_extractor(engine, decides=GivenType("unknown", 0.7))
    async with serving(database_url, tmp_path, engine=engine, extractor=extractor) as up:
        answer = await up.extract()
        assert (answer["document_type"], answer["record"]) == ("unknown", {})
        refused = await up.client.post(
            "/feedback",
            json={
                "prediction_id": answer["id"],
                "verdict": "corrected",
                "record": {"total": "1"},
            },
        )
        assert refused.status_code == 422


async def test_the_row_is_committed_before_the_answer(up: Serving, database_url: str) -> None:
    engine = make_engine(database_url)
    answer = await up.extract()
    async with make_sessions(engine)() as session:
        row = await session.get(Prediction, answer["id"])
        assert row is not None
        assert (row.state, row.record) == ("done", answer["record"])
    await engine.dispose()


@pytest.mark.parametrize(
    ("content", "status", "slug"),
    [
        (factories_documents.truncated_jpeg, 422, "unreadable-document"),
        (factories_documents.gif, 415, "unsupported-format"),
        (factories_documents.eps, 415, "unsupported-format"),
        (factories_documents.flat_png, 413, "document-too-large"),
        (factories_documents.encrypted_pdf, 422, "encrypted-document"),
    ],
)
async def test_what_is_no_document_is_refused_and_leaves_nothing(
    up: Serving, content: object, status: int, slug: str
) -> None:
    assert callable(content)
    response = await up.client.post("/extract", **form(content()))
    assert response.status_code == status
    assert response.headers["content-type"] == PROBLEM
    assert response.json()["type"] == f"/problems/{slug}"
    assert await up.count() == await up.count(Document) == 0
    assert up.engine.prompts == []


@pytest.mark.parametrize(
    ("arguments", "status", "place"),
    [
        ({"data": {"document_type": "receipt"}, "files": {"other": b"x"}}, 422, "file"),
        ({"json": {}}, 422, "content_base64"),
        ({"json": {"content_base64": "not base64!"}}, 422, "content_base64"),
        ({"json": {"content_base64": "AAAA", "url": "http://a"}}, 422, "url"),
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, 415, "Content-Type"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 422, "body"),
        (
            {"content": b"[" * 100_000, "headers": {"content-type": "application/json"}},
            422,
            "body",
        ),
        ({"content": b"\xff", "headers": {"content-type": "application/json"}}, 422, "body"),
        (
            {"content": b'{"a": NaN}', "headers": {"content-type": "application/json"}},
            422,
            "body",
        ),
        (
            {"content": b"--x", "headers": {"content-type": "multipart/form-data"}},
            422,
            "body",
        ),
        (form(url="http://a"), 422, "url"),
        (form(reasoning="perhaps"), 422, "reasoning"),
        (form(format="xml"), 422, "format"),
        (form(document_type="a\0b"), 422, "document_type"),
        ({**form(), "headers": {"idempotency-key": "a b"}}, 422, "Idempotency-Key"),
        ({**form(), "headers": {"idempotency-key": "x" * 201}}, 422, "Idempotency-Key"),
    ],
)
async def test_a_request_at_fault_names_the_place(
    up: Serving, arguments: dict[str, object], status: int, place: str
) -> None:
    response = await up.client.post("/extract", **arguments)  # type: ignore[arg-type]
    assert response.status_code == status, response.text
    faults = response.json()["faults"]
    assert any(name.startswith(place) for name in faults), faults
    assert await up.count() == 0


@pytest.mark.parametrize(
    ("fields", "slug"),
    [
        ({"document_type": "ticket"}, "unknown-document-type"),
        ({"document_type": "receipt", "fields": "surname"}, "unknown-field"),
    ],
)
async def test_unknown_names(up: Serving, fields: dict[str, str], slug: str) -> None:
    response = await up.client.post("/extract", **form(**fields))
    assert (response.status_code, response.json()["type"]) == (422, f"/problems/{slug}")
    assert await up.count() == 0


async def test_too_large(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, max_upload_bytes=2000) as up:
        for content in (b"x" * 2001, b"x" * 200_000):
            response = await up.client.post("/extract", **form(content))
            assert response.status_code == 413
        encoded = base64.b64encode(b"x" * 2001).decode()
        response = await up.client.post("/extract", json={"content_base64": encoded})
        assert response.status_code == 413


async def test_only_with_a_key_and_its_scope(up: Serving) -> None:
    anonymous = await up.client.post("/extract", **form(), headers={"authorization": ""})
    assert anonymous.status_code == 401
    key = await up.make_key("default", Scope.FEEDBACK)
    assert (await up.as_key(key).post("/extract", **form())).status_code == 403


async def test_fifty_at_once_with_one_key_are_computed_once(up: Serving) -> None:
    up.engine.hold.clear()
    requests = [
        asyncio.create_task(
            up.client.post("/extract", **form(), headers={"idempotency-key": "once"})
        )
        for _ in range(50)
    ]
    await up.until_asked()
    up.engine.hold.set()
    responses = await asyncio.gather(*requests)
    assert {response.status_code for response in responses} == {200}
    assert len({response.text for response in responses}) == 1
    assert len(up.engine.prompts) == 1
    assert await up.count() == 1


async def test_the_same_key_again_is_the_same_answer(up: Serving) -> None:
    headers = {"idempotency-key": "again"}
    first = await up.client.post("/extract", **form(), headers=headers)
    # Another boundary, another encoding of the body: the same request.
    second = await up.client.post("/extract", **body(), headers=headers)
    later = await up.client.post("/extract?wait=false", **form(), headers=headers)
    assert first.json() == second.json() == later.json()
    assert (first.status_code, second.status_code, later.status_code) == (200, 200, 200)
    assert len(up.engine.prompts) == 1


async def test_the_same_key_with_another_body_is_a_conflict(up: Serving) -> None:
    headers = {"idempotency-key": "taken"}
    first = await up.client.post("/extract", **form(), headers=headers)
    for other in (form(document("two")), form(document_type="receipt"), form(fields="total")):
        response = await up.client.post("/extract", **other, headers=headers)
        assert response.status_code == 409
        assert response.json()["type"] == "/problems/idempotency-conflict"
        assert response.json()["prediction_id"] == first.json()["id"]
    assert await up.count() == 1


async def test_an_engine_that_is_away_fails_the_row_and_the_key_may_try_again(
    up: Serving,
) -> None:
    up.engine.become(EngineStatus.FAILED, "it was killed")
    headers = {"idempotency-key": "later"}
    refused = await up.client.post("/extract", **form(), headers=headers)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["type"] == "/problems/engine-unavailable"
    prediction_id = refused.json()["prediction_id"]
    failed = (await up.client.get(f"/predictions/{prediction_id}")).json()
    assert (failed["state"], failed["error"]["status"]) == ("failed", 503)

    up.engine.become(EngineStatus.READY)
    answered = await up.client.post("/extract", **form(), headers=headers)
    assert (answered.status_code, answered.json()["id"]) == (200, prediction_id)
    assert answered.json()["error"] is None
    assert await up.count() == 1


async def test_an_answer_that_is_no_record_fails_the_row(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, engine=FakeEngine("no json")) as up:
        response = await up.client.post("/extract", **form())
        assert response.status_code == 422
        assert response.json()["type"] == "/problems/unparseable-record"
        failed = await up.client.get(f"/predictions/{response.json()['prediction_id']}")
        assert failed.json()["state"] == "failed"
        # It counts against the version that wrote it, as an answer to the type that was decided.
        assert (failed.json()["model_version"], failed.json()["document_type"]) == (
            up.engine.model,
            "receipt",
        )
        async with up.sessions() as session:
            counts = await live_counts(session, up.engine.model)
        assert counts.by_document_type == {"receipt": LiveCounts(1, 0, 0, 0)}


async def test_a_failed_prediction_that_is_tried_again_forgets_who_failed(
    database_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, tmp_path, engine=FakeEngine("no json")) as up:
        headers = {"idempotency-key": "again"}
        refused = await up.client.post("/extract", **form(), headers=headers)
        prediction_id = refused.json()["prediction_id"]
        up.engine.become(EngineStatus.FAILED, "it was killed")
        assert (await up.client.post("/extract", **form(), headers=headers)).status_code == 503
        failed = (await up.client.get(f"/predictions/{prediction_id}")).json()
        assert (failed["state"], failed["document_type"]) == ("failed", "auto")
        assert (failed["model_version"], failed["schema_valid"]) == (None, None)


async def test_our_own_fault_fails_the_row(up: Serving) -> None:
    def break_down(_prompt: object) -> str:
        raise ZeroDivisionError

    up.engine.answer = break_down
    response = await up.client.post("/extract", **form())
    assert response.status_code == 500
    assert "Zero" not in response.text
    failed = await up.client.get(f"/predictions/{response.json()['prediction_id']}")
    assert failed.json()["state"] == "failed"


async def test_pages_as_documents(up: Serving) -> None:
    pdf = factories_documents.pdf_of_images(pages_of("one", "two", "three"))
    files = {"file": ("a.pdf", pdf, "application/pdf")}
    headers = {"idempotency-key": "three"}
    response = await up.client.post(
        "/extract", files=files, data={"split": "pages"}, headers=headers
    )
    assert response.status_code == 200, response.text
    predictions = response.json()["predictions"]
    assert [len(prediction["pages"]) for prediction in predictions] == [1, 1, 1]
    assert len({prediction["id"] for prediction in predictions}) == 3
    assert {prediction["record"]["total"] for prediction in predictions} == {"9.00"}
    again = await up.client.post("/extract", files=files, data={"split": "pages"}, headers=headers)
    assert again.json() == response.json()
    assert await up.count() == 3
    queued = await up.client.post("/extract?wait=false", files=files, data={"split": "pages"})
    assert queued.status_code == 202
    for prediction in queued.json()["predictions"]:
        assert (await up.until_done(prediction["id"]))["state"] == "done"


async def test_one_document_of_many_pages(up: Serving) -> None:
    pdf = factories_documents.pdf_of_images(pages_of("one", "two"))
    answer = await up.extract(files={"file": ("a.pdf", pdf, "application/pdf")})
    assert [page["index"] for page in answer["pages"]] == [0, 1]


async def test_lines_are_kept_with_their_pages(up: Serving) -> None:
    answer = await up.extract()
    async with up.sessions.begin() as session:
        lines = await session.scalar(text("SELECT lines FROM pages"))
    assert lines[0]["text"] == RECEIPT["merchant_name"]
    assert answer["fields"]["merchant_name"]["value"] == RECEIPT["merchant_name"]
