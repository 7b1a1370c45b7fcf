"""Another tenant's key, on every route of the app that takes an identity: as if nothing was there.

The routes come from the app, so that a new one without a line here fails.
"""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from db.queries.corrections import get_correction
from db.queries.quarantine import hold
from db.tables import Correction, Document, Prediction, Scope
from tests.factories_api import Serving, body, document, form
from tests.probes import count_rows, problem_in

NOTE = {"type": "object", "properties": {"number": {"type": "string"}}}
# Nobody's in particular: no key, or the same for all.
OPEN = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/problems/{slug}"),
    ("GET", "/models"),
    ("GET", "/models/promotions"),
    ("GET", "/models/{version}"),
    # Versions belong to no tenant; a key with the scope `admin` changes what all are served.
    ("POST", "/models/{version}/promote"),
    ("POST", "/models/rollback"),
    ("PUT", "/models/canary"),
    ("PUT", "/models/shadow"),
}


@pytest.fixture
async def stranger(up: Serving) -> httpx.AsyncClient:
    """Another tenant, whose key may do everything."""
    return up.as_key(await up.make_key("stranger", *Scope))


class Victim:
    """What a tenant has: two predictions, a correction, a type, all under known names."""

    def __init__(self, up: Serving) -> None:
        self.up = up

    async def make(self) -> None:
        keyed = {"idempotency-key": "first"}
        self.prediction = (
            await self.up.client.post("/extract", **form(document_type="receipt"), headers=keyed)
        ).json()["id"]
        said = {"prediction_id": self.prediction, "verdict": "corrected", "reviewer": "ann"}
        given = await self.up.client.post("/feedback", json={**said, "record": {"total": "1.00"}})
        assert given.status_code == 201
        self.correction = given.json()["id"]
        async with self.up.sessions.begin() as session:
            correction = await get_correction(
                session, await self.up.tenant_id(), UUID(self.correction)
            )
            await hold(session, correction, [{"rule": "contradicts-page", "detail": "total"}])
        assert (await self.up.client.put("/document-types/note", json=NOTE)).status_code == 201

    async def everything(self) -> list[Any]:
        """All that its owner can read."""
        paths = (
            f"/predictions/{self.prediction}",
            f"/feedback/{self.prediction}",
            "/predictions",
            "/feedback",
            "/quarantine",
            "/document-types",
            f"/predictions/{self.prediction}/pages/0",
        )
        return [(await self.up.client.get(path)).content for path in paths]


@pytest.fixture
async def victim(up: Serving) -> Victim:
    found = Victim(up)
    await found.make()
    return found


async def test_every_route_hides_what_is_anothers(
    up: Serving, stranger: httpx.AsyncClient, victim: Victim
) -> None:
    before = await victim.everything()
    mine = victim.prediction
    said = {"prediction_id": mine, "verdict": "correct"}
    hidden: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
        ("GET", "/predictions/{prediction_id}"): (f"/predictions/{mine}", {}),
        ("DELETE", "/predictions/{prediction_id}"): (f"/predictions/{mine}", {}),
        ("GET", "/predictions/{prediction_id}/lineage"): (f"/predictions/{mine}/lineage", {}),
        ("GET", "/predictions/{prediction_id}/pages/{index}"): (f"/predictions/{mine}/pages/0", {}),
        ("GET", "/feedback/{prediction_id}"): (f"/feedback/{mine}", {}),
        ("POST", "/feedback"): ("/feedback", {"json": said}),
        ("POST", "/quarantine/{correction_id}"): (
            f"/quarantine/{victim.correction}",
            {"json": {"decision": "accept"}},
        ),
        ("GET", "/document-types/{name}"): ("/document-types/note", {}),
        ("DELETE", "/document-types/{name}"): ("/document-types/note", {}),
    }
    # These answer, and show or change the stranger's own alone.
    apart = {
        ("GET", "/predictions"),
        ("GET", "/feedback"),
        ("GET", "/quarantine"),
        ("GET", "/document-types"),
        ("PUT", "/document-types/{name}"),
        ("POST", "/extract"),
    }
    routes = {
        (method.upper(), path)
        for path, operations in up.app.openapi()["paths"].items()
        for method in operations
    }
    assert routes == hidden.keys() | apart | OPEN

    for (method, _), (path, arguments) in hidden.items():
        refused = await stranger.request(method, path, **arguments)
        # The same as for what has never been.
        slug = "not-found" if "document-types" not in path else "unknown-document-type"
        problem = problem_in(refused, 404, slug)
        nobody = str(uuid4())
        other: dict[str, Any] = {}
        if arguments:
            sent = arguments["json"].items()
            other = {"json": {name: nobody if v == mine else v for name, v in sent}}
        elsewhere = path.replace(mine, nobody).replace(victim.correction, nobody)
        absent = await stranger.request(method, elsewhere.replace("note", "never"), **other)
        assert problem.keys() == absent.json().keys()
        for conditional in ({"if-none-match": "*"}, {"range": "bytes=0-1"}):
            again = await stranger.request(method, path, headers=conditional, **arguments)
            assert again.status_code == 404
    lists = {"/predictions": "predictions", "/feedback": "corrections", "/quarantine": "held"}
    for path, name in lists.items():
        assert (await stranger.get(path)).json()[name] == []
    types = (await stranger.get("/document-types")).json()["document_types"]
    assert {entry["name"] for entry in types} == {"receipt", "passport", "document", "graph"}
    assert (await stranger.get("/document-types/note?version=1")).status_code == 404

    assert await victim.everything() == before
    assert await count_rows(up, Prediction) == await count_rows(up, Correction) == 1


async def test_anothers_type_cannot_be_asked_for_and_the_same_name_is_apart(
    up: Serving, stranger: httpx.AsyncClient, victim: Victim
) -> None:
    before = await victim.everything()
    refused = await stranger.post("/extract", **form(document_type="note"))
    problem = problem_in(refused, 422, "unknown-document-type")
    assert "note" not in problem.get("known", [])
    other = {"type": "object", "properties": {"other": {"type": "string"}}}
    put = await stranger.put("/document-types/note", json=other)
    assert (put.status_code, put.json()["version"]) == (201, 1)
    assert (await stranger.delete("/document-types/note")).status_code == 200
    assert await victim.everything() == before


async def test_an_idempotency_key_is_its_tenants_own(
    up: Serving, stranger: httpx.AsyncClient, victim: Victim
) -> None:
    keyed = {"idempotency-key": "first"}
    theirs = await stranger.post("/extract", **form(document_type="receipt"), headers=keyed)
    assert theirs.status_code == 200
    assert theirs.json()["id"] != victim.prediction
    # Another document under the victim's key is a conflict for the victim alone.
    other = form(document("other"), document_type="receipt")
    assert (await stranger.post("/extract", **other, headers={"idempotency-key": "x"})).is_success
    assert (await up.client.post("/extract", **other, headers=keyed)).status_code == 409
    both = await asyncio.gather(
        *(
            client.post("/extract", **body(), headers={"idempotency-key": "together"})
            for client in (up.client, stranger) * 5
        )
    )
    assert {response.status_code for response in both} == {200}
    assert len({response.json()["id"] for response in both}) == 2


async def test_equal_files_of_two_tenants_are_two_documents(
    up: Serving, stranger: httpx.AsyncClient, victim: Victim
) -> None:
    """And the erasure of one leaves the other's pages, whose bytes are the same."""
    theirs = (await stranger.post("/extract", **form(document_type="receipt"))).json()
    assert await count_rows(up, Document) == 2
    gone = await up.client.delete(f"/predictions/{victim.prediction}")
    assert gone.status_code == 204
    page = await stranger.get(theirs["pages"][0]["url"])
    assert page.status_code == 200
    assert (await up.client.get(f"/predictions/{victim.prediction}/pages/0")).status_code == 404
    assert (await stranger.get(f"/predictions/{victim.prediction}")).status_code == 404


async def test_cursors_of_another_lead_nowhere(
    up: Serving, stranger: httpx.AsyncClient, victim: Victim
) -> None:
    await up.extract(**form(document("second"), document_type="receipt"))
    cursor = (await up.client.get("/predictions?limit=1")).json()["next_cursor"]
    assert cursor is not None
    seen = (await stranger.get("/predictions", params={"cursor": cursor})).json()
    assert seen == {"predictions": [], "next_cursor": None}


async def test_a_key_of_few_scopes_reaches_nothing_else(up: Serving, victim: Victim) -> None:
    readers = up.as_key(await up.make_key("default", Scope.FEEDBACK))
    for method, path in (
        ("GET", f"/predictions/{victim.prediction}"),
        ("GET", "/predictions"),
        ("DELETE", f"/predictions/{victim.prediction}"),
        ("GET", f"/predictions/{victim.prediction}/pages/0"),
        ("PUT", "/document-types/note"),
        ("DELETE", "/document-types/note"),
    ):
        problem_in(await readers.request(method, path), 403, "forbidden")
    extractor = up.as_key(await up.make_key("default", Scope.EXTRACT))
    problem_in(await extractor.delete(f"/predictions/{victim.prediction}"), 403, "forbidden")
    problem_in(await extractor.get(f"/feedback/{victim.prediction}"), 403, "forbidden")
