"""A tenant's own document types, through the whole app."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.factories_api import Serving, form, make_extractor, serving
from tests.fakes import FakeEngine

TICKET: dict[str, Any] = {
    "type": "object",
    "description": "A ticket for a ride.",
    "properties": {
        "seat": {"type": "string", "x-kind": "code"},
        "price": {"type": "string", "x-kind": "money"},
        "departure": {"type": "string", "format": "date"},
    },
}


@pytest.fixture
async def up(database_url: str, tmp_path: Path) -> AsyncIterator[Serving]:
    engine = FakeEngine(json.dumps({"seat": "12A", "price": "RM 7.00", "departure": "25/12/2018"}))
    async with serving(
        database_url, tmp_path, engine=engine, extractor=make_extractor(engine)
    ) as up:
        yield up


async def test_a_type_is_usable_at_once(up: Serving) -> None:
    response = await up.client.put("/document-types/ticket", json=TICKET)
    assert response.status_code == 201, response.text
    put = response.json()
    assert (put["name"], put["version"], put["built_in"]) == ("ticket", 1, False)
    assert put["fields"] == ["seat", "price", "departure"]
    assert put["json_schema"] == TICKET

    answer = await up.extract(**form(document_type="ticket"))
    assert answer["record"] == {"seat": "12A", "price": "7.00", "departure": "2018-12-25"}
    assert (answer["document_type"], answer["document_type_version"]) == ("ticket", 1)
    queued = await up.client.post("/extract?wait=false", **form(document_type="ticket"))
    done = await up.until_done(queued.json()["id"])
    assert done["record"] == answer["record"]
    feedback = await up.client.post(
        "/feedback",
        json={"prediction_id": answer["id"], "verdict": "corrected", "record": {"price": "8"}},
    )
    assert feedback.json()["record"] == {"price": "8"}


async def test_versions(up: Serving) -> None:
    await up.client.put("/document-types/ticket", json=TICKET)
    same = await up.client.put("/document-types/ticket", json=TICKET)
    assert (same.status_code, same.json()["version"]) == (200, 1)
    answer = await up.extract(**form(document_type="ticket", fields="seat,price,departure"))
    changed = {**TICKET, "properties": {"gate": {"type": "string"}}}
    newer = await up.client.put("/document-types/ticket", json=changed)
    assert (newer.status_code, newer.json()["version"]) == (201, 2)
    old = await up.client.get("/document-types/ticket", params={"version": 1})
    assert old.json()["fields"] == ["seat", "price", "departure"]
    assert (await up.client.get("/document-types/ticket")).json()["version"] == 2
    missing = await up.client.get("/document-types/ticket", params={"version": 3})
    assert missing.status_code == 404
    # What was read with the old version is corrected by the old version.
    body = {"prediction_id": answer["id"], "verdict": "corrected", "record": {"seat": "12B"}}
    assert (await up.client.post("/feedback", json=body)).status_code == 201


async def test_put_by_many_at_once_is_one_version(up: Serving) -> None:
    responses = await asyncio.gather(
        *(up.client.put("/document-types/ticket", json=TICKET) for _ in range(10))
    )
    assert {response.json()["version"] for response in responses} == {1}
    assert sorted(response.status_code for response in responses) == [200] * 9 + [201]


async def test_a_retired_type_takes_no_documents(up: Serving) -> None:
    await up.client.put("/document-types/ticket", json=TICKET)
    answer = await up.extract(**form(document_type="ticket"))
    retired = await up.client.delete("/document-types/ticket")
    assert retired.status_code == 200
    assert retired.json()["retired_at"] is not None
    refused = await up.client.post("/extract", **form(document_type="ticket"))
    assert refused.status_code == 422
    for method in ("GET", "DELETE"):
        response = await up.client.request(method, "/document-types/ticket")
        assert response.status_code == 404
    assert (await up.client.get("/document-types/ticket?version=1")).status_code == 200
    body = {"prediction_id": answer["id"], "verdict": "corrected", "record": {"seat": "1"}}
    assert (await up.client.post("/feedback", json=body)).status_code == 201
    back = await up.client.put("/document-types/ticket", json=TICKET)
    assert (back.status_code, back.json()["version"], back.json()["retired_at"]) == (200, 1, None)
    await up.extract(**form(document_type="ticket"))


async def test_the_list(up: Serving) -> None:
    await up.client.put("/document-types/ticket", json=TICKET)
    types = (await up.client.get("/document-types")).json()["document_types"]
    assert [kind["name"] for kind in types] == [
        "receipt",
        "passport",
        "document",
        "graph",
        "ticket",
    ]
    receipt = (await up.client.get("/document-types/receipt")).json()
    assert receipt["built_in"]
    assert "total" in receipt["record_schema"]["properties"]


@pytest.mark.parametrize("name", ["receipt", "passport", "auto", "unknown"])
async def test_reserved_names(up: Serving, name: str) -> None:
    assert (await up.client.put(f"/document-types/{name}", json=TICKET)).status_code == 422
    assert (await up.client.delete(f"/document-types/{name}")).status_code in {404, 422}


@pytest.mark.parametrize("name", ["A", "1a", "a-b", "a%00b", "a" * 65])
async def test_names_that_are_none(up: Serving, name: str) -> None:
    assert (await up.client.put(f"/document-types/{name}", json=TICKET)).status_code in {404, 422}


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"type": "object"}, ""),
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}}, "pattern"),
        ({"type": "object", "properties": {"A": {"type": "string"}}}, "A"),
    ],
)
async def test_a_schema_outside_of_the_subset(up: Serving, content: Any, path: str) -> None:
    response = await up.client.put("/document-types/ticket", json=content)
    assert response.status_code == 422
    assert response.json()["type"] == "/problems/invalid-document-type"
    assert path in response.json()["path"]


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"null",
        b"{",
        b"[" * 100_000,
        b'{"type": "object", "properties":' * 100_000,
        b'{"type": "object", "description": "\\u0000", "properties": {"a": {"type": "string"}}}',
        b'{"type": "object", "description": "\\ud800", "properties": {"a": {"type": "string"}}}',
        b'{"type": "object", "properties": {"a": {"type": "string", "maxLength": NaN}}}',
        b'{"type": "object", "properties": {"a": {"type": "string", "maxLength": 1e999}}}',
    ],
)
async def test_what_is_no_schema(up: Serving, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = await up.client.put("/document-types/ticket", content=content, headers=headers)
    assert 400 <= response.status_code < 500 or response.status_code == 201, response.text


async def test_another_tenants_type_is_not_there(up: Serving) -> None:
    await up.client.put("/document-types/ticket", json=TICKET)
    stranger = up.as_key(await up.make_key("stranger"))
    assert (await stranger.get("/document-types/ticket")).status_code == 404
    assert (await stranger.delete("/document-types/ticket")).status_code == 404
    refused = await stranger.post("/extract", **form(document_type="ticket"))
    assert refused.status_code == 422
    assert "ticket" not in str(refused.json()["known"])
    theirs = await stranger.put("/document-types/ticket", json={**TICKET, "description": "Other."})
    assert theirs.json()["version"] == 1
    assert (await up.client.get("/document-types/ticket")).json()["description"] == (
        "A ticket for a ride."
    )
