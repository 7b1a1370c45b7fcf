"""Reading and erasing what was answered, through the whole app."""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from db.queries.audit import list_events
from db.tables import Correction, Document, Page, Prediction, Scope
from extraction.engine import EngineStatus
from tests.factories_api import Serving, document, form


def stored_files(folder: Path) -> list[Path]:
    return [path for path in (folder / "blobs").rglob("*") if path.is_file()]


async def test_pages_of_the_list_hold_each_prediction_once(up: Serving) -> None:
    made = [(await up.extract(**form(document(str(n)))))["id"] for n in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await up.client.get("/predictions", params=query)).json()
        seen += [row["id"] for row in page["predictions"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]
    assert cursor is None


async def test_filters(up: Serving) -> None:
    first = await up.extract(**form(document_type="receipt"))
    up.engine.become(EngineStatus.FAILED)
    await up.client.post("/extract", **form(document("two")))
    await up.client.post("/feedback", json={"prediction_id": first["id"], "verdict": "correct"})
    hour_ago, next_year = "2020-01-01T00:00:00Z", "2100-01-01T00:00:00"
    for query, expected in [
        ({}, 2),
        ({"document_type": "receipt"}, 1),
        ({"document_type": "passport"}, 0),
        ({"state": "done"}, 1),
        ({"state": "failed"}, 1),
        ({"model_version": "fake-1"}, 1),
        ({"has_correction": "true"}, 1),
        ({"has_correction": "false"}, 1),
        ({"created_after": hour_ago, "created_before": next_year}, 2),
        ({"created_after": next_year}, 0),
        ({"max_confidence": "1"}, 1),
        ({"max_confidence": "0"}, 0),
    ]:
        response = await up.client.get("/predictions", params=query)
        assert response.status_code == 200, response.text
        assert len(response.json()["predictions"]) == expected, query
    (row,) = (await up.client.get("/predictions", params={"state": "done"})).json()["predictions"]
    assert (row["corrections"], row["url"]) == (1, f"/predictions/{first['id']}")
    assert 0 < row["lowest_confidence"] <= 1


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "nonsense"},
        {"cursor": "AAAA"},
        {"cursor": "\u00e4"},
        {"limit": "0"},
        {"limit": "201"},
        {"state": "lost"},
        {"max_confidence": "nan"},
        {"max_confidence": "2"},
        {"document_type": "a\0b"},
        {"created_after": "yesterday"},
    ],
)
async def test_a_query_at_fault(up: Serving, query: dict[str, str]) -> None:
    response = await up.client.get("/predictions", params=query)
    assert response.status_code == 422
    assert next(iter(query)) in str(response.json()["faults"])


async def test_a_page_image(up: Serving) -> None:
    answer = await up.extract()
    url = answer["pages"][0]["url"]
    response = await up.client.get(url)
    assert response.status_code == 200
    assert response.content.startswith(b"\xff\xd8")
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["cache-control"].startswith("private")
    etag = response.headers["etag"]
    for given in (etag, f'W/{etag}, "other"', "*"):
        again = await up.client.get(url, headers={"if-none-match": given})
        assert (again.status_code, again.content) == (304, b"")
    other = await up.client.get(url, headers={"if-none-match": '"other"'})
    assert other.status_code == 200
    for missing, status in (("1", 404), ("-1", 422), ("99999999999999", 422), ("x", 422)):
        response = await up.client.get(f"/predictions/{answer['id']}/pages/{missing}")
        assert response.status_code == status


async def test_erasing_leaves_an_audit_event_and_no_file(up: Serving, tmp_path: Path) -> None:
    answer = await up.extract()
    await up.client.post(
        "/feedback",
        json={"prediction_id": answer["id"], "verdict": "corrected", "record": {"total": "1"}},
    )
    assert len(stored_files(tmp_path)) == 2
    response = await up.client.delete(f"/predictions/{answer['id']}")
    assert (response.status_code, response.content) == (204, b"")
    assert stored_files(tmp_path) == []
    async with up.sessions.begin() as session:
        for table in (Prediction, Document, Page, Correction):
            assert await session.scalar(select(func.count()).select_from(table)) == 0
    tenant_id = await up.tenant_id()
    async with up.sessions.begin() as session:
        (event,) = await list_events(session, tenant_id, subject=answer["id"])
    assert (event.action, event.actor[:4]) == ("prediction.erase", "key:")
    for method, url in [
        ("GET", f"/predictions/{answer['id']}"),
        ("GET", f"/predictions/{answer['id']}/pages/0"),
        ("GET", f"/feedback/{answer['id']}"),
        ("DELETE", f"/predictions/{answer['id']}"),
    ]:
        assert (await up.client.request(method, url)).status_code == 404


async def test_erasing_keeps_what_another_prediction_uses(up: Serving, tmp_path: Path) -> None:
    first, second = await up.extract(), await up.extract()
    await up.client.delete(f"/predictions/{first['id']}")
    assert (await up.client.get(second["pages"][0]["url"])).status_code == 200
    await up.client.delete(f"/predictions/{second['id']}")
    assert stored_files(tmp_path) == []


async def test_erased_while_it_is_computed(up: Serving, tmp_path: Path) -> None:
    up.engine.hold.clear()
    request = asyncio.create_task(up.client.post("/extract", **form()))
    await up.until_asked()
    # The model may be asked while the row is still being written.
    async with asyncio.timeout(20):
        while not (rows := (await up.client.get("/predictions")).json()["predictions"]):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert (await up.client.delete(rows[0]["url"])).status_code == 204
    up.engine.hold.set()
    assert (await request).status_code == 404
    assert stored_files(tmp_path) == []


async def test_another_tenant_sees_and_changes_nothing(up: Serving) -> None:
    answer = await up.extract(headers={"idempotency-key": "mine"}, **form())
    await up.client.post("/feedback", json={"prediction_id": answer["id"], "verdict": "correct"})
    stranger = up.as_key(await up.make_key("stranger"))
    feedback = {"prediction_id": answer["id"], "verdict": "unreadable"}
    for method, url, arguments in [
        ("GET", f"/predictions/{answer['id']}", {}),
        ("GET", f"/predictions/{answer['id']}/pages/0", {}),
        ("DELETE", f"/predictions/{answer['id']}", {}),
        ("GET", f"/feedback/{answer['id']}", {}),
        ("POST", "/feedback", {"json": feedback}),
    ]:
        response = await stranger.request(method, url, **arguments)
        assert response.status_code == 404, (method, url)
        # Not even whether it exists is told.
        other = url.replace(answer["id"], str(uuid4()))
        unknown = await stranger.request(
            method,
            other,
            **({"json": feedback | {"prediction_id": str(uuid4())}} if arguments else {}),
        )
        assert unknown.status_code == 404
    assert (await stranger.get("/predictions")).json()["predictions"] == []
    assert (await stranger.get("/feedback")).json()["corrections"] == []
    theirs = await stranger.post("/extract", **form(), headers={"idempotency-key": "mine"})
    assert theirs.status_code == 200
    assert theirs.json()["id"] != answer["id"]
    assert (await up.client.get(f"/predictions/{answer['id']}")).json()["corrections"] == 1


@pytest.mark.parametrize(
    ("scope", "method", "url"),
    [
        (Scope.FEEDBACK, "GET", "/predictions"),
        (Scope.FEEDBACK, "GET", f"/predictions/{uuid4()}"),
        (Scope.FEEDBACK, "GET", f"/predictions/{uuid4()}/pages/0"),
        (Scope.EXTRACT, "DELETE", f"/predictions/{uuid4()}"),
        (Scope.EXTRACT, "GET", "/feedback"),
        (Scope.EXTRACT, "GET", f"/feedback/{uuid4()}"),
        (Scope.EXTRACT, "POST", "/feedback"),
        (Scope.FEEDBACK, "GET", "/document-types"),
        (Scope.FEEDBACK, "GET", "/document-types/receipt"),
        (Scope.EXTRACT, "PUT", "/document-types/ticket"),
        (Scope.EXTRACT, "DELETE", "/document-types/ticket"),
    ],
)
async def test_each_route_asks_for_its_scope(
    up: Serving, scope: Scope, method: str, url: str
) -> None:
    client = up.as_key(await up.make_key("default", scope))
    assert (await client.request(method, url)).status_code == 403
    anonymous = up.as_key("dl_no-such-key-at-all")
    assert (await anonymous.request(method, url)).status_code == 401
