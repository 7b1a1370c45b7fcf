"""The second person, through the whole app."""

from typing import Any
from uuid import uuid4

from db.queries.audit import list_events
from db.queries.learning import list_learnable
from db.tables import Scope
from tests.factories_api import Serving, document, form
from tests.probes import problem_in
from trainer.profile import load_profile
from trainer.quarantine import screen_new

SMALL = load_profile("small")


async def give_wrong(up: Serving, mark: str = "one") -> dict[str, Any]:
    """A correction that its page contradicts, screened."""
    answer = await up.extract(**form(document(mark), document_type="receipt"))
    told = {
        "prediction_id": answer["id"],
        "verdict": "corrected",
        "record": {"total": "777.00"},
        "reviewer": "eve",
    }
    response = await up.client.post("/feedback", json=told)
    assert response.status_code == 201, response.text
    async with up.sessions.begin() as session:
        await screen_new(session, SMALL)
    found: dict[str, Any] = response.json()
    return found


async def learnable(up: Serving) -> set[str]:
    async with up.sessions.begin() as session:
        return {str(item.correction.id) for item in await list_learnable(session)}


async def test_a_second_person_accepts(up: Serving) -> None:
    given = await give_wrong(up)
    second = up.as_key(await up.make_key("default", Scope.REVIEW))
    (held,) = (await second.get("/quarantine")).json()["held"]
    assert (held["id"], held["prediction_id"]) == (given["id"], given["prediction_id"])
    assert (held["reviewer"], held["state"]) == ("eve", "waiting")
    assert held["record"] == {"total": "777.00"}
    rules = {reason["rule"] for reason in held["reasons"]}
    assert "contradicts-page" in rules
    assert "777" not in str(held["reasons"])
    assert await learnable(up) == set()

    told = {"decision": "accept", "comment": "The stamp says so."}
    response = await second.post(f"/quarantine/{given['id']}", json=told)
    assert response.status_code == 200, response.text
    decided = response.json()
    assert (decided["state"], decided["comment"]) == ("accepted", "The stamp says so.")
    assert decided["decided_by"].startswith("key:")
    assert {reason["rule"] for reason in decided["reasons"]} == rules
    assert await learnable(up) == {given["id"]}
    assert (await second.get("/quarantine")).json()["held"] == []
    accepted = (await second.get("/quarantine", params={"state": "accepted"})).json()["held"]
    assert [row["id"] for row in accepted] == [given["id"]]

    response = await second.post(f"/quarantine/{given['id']}", json={"decision": "reject"})
    assert (response.json()["state"], response.json()["comment"]) == ("rejected", None)
    assert await learnable(up) == set()
    async with up.sessions.begin() as session:
        events = await list_events(session, await up.tenant_id(), subject=given["id"])
    assert [event.action for event in events] == ["quarantine.reject", "quarantine.accept"]
    assert all("stamp" not in str(event.details) for event in events)


async def test_nobody_decides_on_his_own(up: Serving) -> None:
    given = await give_wrong(up)
    for decision in ("accept", "reject"):
        response = await up.client.post(f"/quarantine/{given['id']}", json={"decision": decision})
        problem = problem_in(response, 409, "same-person")
        assert "second person" in problem["detail"]
        assert "docloop keys create" in problem["detail"]
    (held,) = (await up.client.get("/quarantine")).json()["held"]
    assert held["state"] == "waiting"
    assert await learnable(up) == set()


async def test_it_needs_the_scope_and_the_tenant(up: Serving) -> None:
    given = await give_wrong(up)
    body = {"decision": "accept"}
    weak = up.as_key(await up.make_key("default", Scope.FEEDBACK, Scope.EXTRACT))
    assert (await weak.get("/quarantine")).status_code == 403
    assert (await weak.post(f"/quarantine/{given['id']}", json=body)).status_code == 403
    stranger = up.as_key(await up.make_key("other", Scope.REVIEW))
    assert (await stranger.get("/quarantine")).json()["held"] == []
    assert (await stranger.post(f"/quarantine/{given['id']}", json=body)).status_code == 404
    assert await learnable(up) == set()


async def test_bodies_and_ids_at_fault(up: Serving) -> None:
    given = await give_wrong(up)
    second = up.as_key(await up.make_key("default", Scope.REVIEW))
    url = f"/quarantine/{given['id']}"
    bodies: list[Any] = [
        {},
        [],
        {"decision": "perhaps"},
        {"decision": "accept", "comment": "x" * 4001},
        {"decision": "accept", "comment": "a\0b"},
        {"decision": "accept", "reviewer": "eve"},
    ]
    for body in bodies:
        assert (await second.post(url, json=body)).status_code == 422, body
    accept = {"decision": "accept"}
    assert (await second.post(f"/quarantine/{uuid4()}", json=accept)).status_code == 404
    assert (await second.post("/quarantine/x", json=accept)).status_code == 422
    assert (await second.get("/quarantine", params={"state": "x"})).status_code == 422
    (held,) = (await second.get("/quarantine")).json()["held"]
    assert held["state"] == "waiting"


async def test_the_list_in_pages(up: Serving) -> None:
    made = [(await give_wrong(up, str(number)))["id"] for number in range(3)]
    first = (await up.client.get("/quarantine", params={"limit": 2})).json()
    cursor = first["next_cursor"]
    rest = (await up.client.get("/quarantine", params={"limit": 2, "cursor": cursor})).json()
    assert [row["id"] for row in first["held"] + rest["held"]] == made[::-1]
    assert rest["next_cursor"] is None


async def test_an_erased_prediction_leaves_nothing_here(up: Serving) -> None:
    given = await give_wrong(up)
    gone = await up.client.delete(f"/predictions/{given['prediction_id']}")
    assert gone.status_code == 204
    assert (await up.client.get("/quarantine")).json()["held"] == []
