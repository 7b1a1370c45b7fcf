"""Versions over HTTP and on the command line: who may change what is served, and what is told."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from api.cli import app as command_line
from db.queries.audit import list_events
from db.queries.models import NewModel, register_model
from db.queries.runs import RunExampleRow, add_run_examples, start_run, store_decision
from db.tables import ExamplePart, Scope
from tests.factories_api import form
from tests.factories_models import write_version
from tests.factories_swap import FIRST, Swapping, swapping
from tests.probes import problem_in


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncIterator[Swapping]:
    async with swapping(database_url, tmp_path) as app:
        yield app


async def test_a_change_needs_the_scope_admin(app: Swapping) -> None:
    await app.register("v-2")
    others = app.up.as_key(await app.up.make_key("default", *set(Scope) - {Scope.ADMIN}))
    for method, path in (
        ("POST", "/models/v-2/promote"),
        ("POST", "/models/rollback"),
        ("PUT", "/models/canary"),
        ("PUT", "/models/shadow"),
    ):
        problem_in(await others.request(method, path, json={"version": "v-2"}), 403, "forbidden")
        nobody = app.up.as_key("dl_no-key-at-all-0123456789")
        problem_in(await nobody.request(method, path), 401, "unauthenticated")
    for path in ("/models", "/models/promotions", "/models/v-2"):
        assert (await others.get(path)).status_code == 200
    assert (await others.get("/models")).json()["generation"] == 1


async def test_conflicts_and_faults_are_problems(app: Swapping) -> None:
    await app.register("v-2")
    post, put = app.up.client.post, app.up.client.put
    problem_in(await post("/models/never/promote"), 404, "not-found")
    problem_in(await app.up.client.get("/models/never"), 404, "not-found")
    problem_in(await post("/models/rollback"), 409, "nothing-to-roll-back-to")
    stale = await post("/models/v-2/promote", json={"expected_generation": 0})
    problem = problem_in(stale, 409, "promotion-conflict")
    assert (problem["expected"], problem["found"]) == (0, 1)
    await app.promote("v-2", expected_generation=1)
    again = await post("/models/rollback", json={"expected_generation": 1})
    assert problem_in(again, 409, "promotion-conflict")["found"] == 2
    for body in ({"version": "v-2", "ratio": 0.5}, {"version": "v-2", "ratio": 1}):
        problem_in(await put("/models/canary", json=body), 409, "already-served")
    problem_in(await put("/models/shadow", json={"version": "v-2"}), 409, "already-served")
    problem_in(await put("/models/shadow", json={"version": "never"}), 404, "not-found")
    for faulty in ({"version": "v-2", "ratio": 2}, {"ratio": 0.5}, {"version": 3}, [], {"x": 1}):
        problem_in(await put("/models/canary", json=faulty), 422, "invalid-request")
    for faulty in ({"expected_generation": "1"}, {"expected_generation": -1}, {"x": 1}):
        problem_in(await post("/models/v-2/promote", json=faulty), 422, "invalid-request")
    assert (await app.up.client.get("/models")).json()["generation"] == 2


async def test_a_rollback_rejects_what_it_leaves_and_never_goes_forward(app: Swapping) -> None:
    await app.register("v-2")
    await app.register("v-3")
    for version in ("v-2", "v-3"):
        await app.promote(version)
    back = (await app.up.client.post("/models/rollback")).json()
    assert (back["champion"], back["generation"]) == ("v-2", 4)
    states = {m["id"]: m["state"] for m in (await app.up.client.get("/models")).json()["models"]}
    assert states == {FIRST: "accepted", "v-2": "accepted", "v-3": "rejected"}
    assert (await app.up.client.post("/models/rollback")).json()["champion"] == FIRST
    problem_in(await app.up.client.post("/models/rollback"), 409, "nothing-to-roll-back-to")
    told = (await app.up.client.get("/models/promotions?limit=4")).json()["promotions"]
    assert [(p["generation"], p["model_version"], p["reason"]) for p in told] == [
        (5, FIRST, "rollback"),
        (4, "v-2", "rollback"),
        (3, "v-3", "manual"),
        (2, "v-2", "manual"),
    ]
    assert told[0]["actor"].startswith("key:dl_")
    await app.serves(FIRST)


async def test_a_version_in_full_and_what_is_behind_a_prediction(app: Swapping) -> None:
    before = await app.up.extract(**form(document_type="receipt"))
    said = {"prediction_id": before["id"], "verdict": "corrected", "record": {"total": "1.00"}}
    mine = (await app.up.client.post("/feedback", json=said)).json()["id"]
    another = uuid4()
    made = write_version(app.folder / "data" / "versions" / "v-2", "v-2")
    async with app.up.sessions.begin() as session:
        run = await start_run(session, {"seed": 1}, champion_id=FIRST)
        rows = [
            RunExampleRow(UUID(mine), uuid4(), b"1" * 32, ExamplePart.TRAIN, ("total",)),
            RunExampleRow(another, uuid4(), b"2" * 32, ExamplePart.TRAIN, ("total",)),
        ]
        await add_run_examples(session, run.id, rows)
        new = NewModel("v-2", "v", "tiny", str(made), {"rank": 8}, parent_id=FIRST)
        await register_model(session, replace(new, training_run_id=run.id))
        await store_decision(
            session,
            run_id=run.id,
            champion_id=FIRST,
            candidate_id="v-2",
            passed=True,
            reasons=["better by 12 points"],
            inputs={"margin": 0.5},
        )
    await app.promote("v-2")
    await app.serves("v-2")
    detail = (await app.up.client.get("/models/v-2")).json()
    assert detail["manifest"] == {"rank": 8}
    assert detail["lineage"] == [
        {"model_version": "v-2", "run_id": str(run.id)},
        {"model_version": FIRST, "run_id": None},
    ]
    assert detail["decision"]["reasons"] == ["better by 12 points"]
    assert [(p["generation"], p["run_id"]) for p in detail["promotions"]] == [(2, str(run.id))]
    assert detail["model"]["champion"] is detail["model"]["served"] is True

    after = await app.up.extract(**form(document_type="receipt"))
    behind = (await app.up.client.get(f"/predictions/{after['id']}/lineage")).json()
    assert (behind["model_version"], behind["run_id"]) == ("v-2", str(run.id))
    assert behind["steps"][0]["correction_ids"] == [mine]  # of ours; another's is only counted
    assert [step["correction_count"] for step in behind["steps"]] == [2, 0]
    first = (await app.up.client.get(f"/predictions/{before['id']}/lineage")).json()
    assert (first["model_version"], first["run_id"]) == (FIRST, None)
    stranger = app.up.as_key(await app.up.make_key("stranger"))
    problem_in(await stranger.get(f"/predictions/{after['id']}/lineage"), 404, "not-found")


async def test_the_command_line_changes_a_running_service(
    app: Swapping, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DOCLOOP_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("DOCLOOP_MODEL_DIR", str(tmp_path / "model"))

    async def docloop(*arguments: str, fails: bool = False) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, command_line, arguments)
        assert (result.exit_code != 0) is fails, result.output
        return result.output

    folder = write_version(tmp_path / "elsewhere" / "tuned-2", "tuned-2", parent=FIRST)
    assert "candidate" in await docloop("models", "register", str(folder))
    assert "tuned-2" in await docloop("models", "list")
    assert "generation 2" in await docloop("models", "promote", "tuned-2")
    await app.serves("tuned-2")
    assert await app.answered_by() == "tuned-2"
    shown = await docloop("models", "show", "tuned-2")
    assert f"parent {FIRST}" in shown
    assert "generation 2" in shown
    conflict = await docloop("models", "promote", FIRST, "--generation", "1", fails=True)
    assert "generation 2, not 1" in conflict
    await docloop("models", "canary", FIRST, "--ratio", "0.25")
    assert "canary 25%" in await docloop("models", "list")
    await docloop("models", "shadow", FIRST)
    assert f"shadow {FIRST}" in await docloop("models", "canary")
    assert FIRST in await docloop("models", "rollback")
    await app.serves(FIRST)
    assert "no champion before" in await docloop("models", "rollback", fails=True)
    (folder / "model.safetensors").write_bytes(b"")
    assert "SHA-256" in await docloop("models", "register", str(folder), fails=True)
    async with app.up.sessions() as session:
        told = {event.action for event in await list_events(session, None)}
    assert told >= {"model.register", "model.promote", "model.canary", "model.rollback"}
