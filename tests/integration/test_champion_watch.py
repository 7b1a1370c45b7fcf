"""What is served follows the champion pointer, whatever happens on the way."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from api.champion_hint import FILE, Hint, read_hint, write_hint
from api.engine.server import SmokeFailed
from api.engine.swapping import SwappingEngine
from api.model_source import find_traits, make_engine
from api.readiness import Part
from api.settings import Settings
from db.queries.audit import list_events
from db.queries.models import NewModel, get_champion, promote, register_model
from db.queries.shadow import list_shadow_answers
from extraction.errors import EngineUnavailable
from tests.factories_api import document, form
from tests.factories_models import write_card, write_version
from tests.factories_swap import FIRST, Swapping, swapping, until


@pytest.fixture
async def app(database_url: str, tmp_path: Path) -> AsyncIterator[Swapping]:
    async with swapping(database_url, tmp_path) as app:
        yield app


async def events(app: Swapping) -> list[tuple[str, str]]:
    async with app.up.sessions() as session:
        return [(event.action, event.subject) for event in await list_events(session, None)][::-1]


async def point_at(app: Swapping, version: str) -> None:
    """Promote as another machine would that can read what this one cannot."""
    async with app.up.sessions.begin() as session:
        await promote(session, version, (await get_champion(session)).generation)


async def test_a_promotion_is_followed_at_once(app: Swapping) -> None:
    assert await app.answered_by() == FIRST
    await app.register("v-2")
    moved = await app.promote("v-2")
    await app.serves("v-2")
    assert (moved["champion"], moved["generation"]) == ("v-2", 2)
    assert await app.answered_by() == "v-2"
    assert app.up.services.extractor.versions.used.name == "v-2"
    assert app.metric("docloop_swaps_total", way="reload", result="done") == 1
    assert app.metric("docloop_swap_pause_seconds_count", way="reload") == 1
    assert app.metric("docloop_champion_generation") == 2
    assert await events(app) == [("model.promote", "v-2"), ("model.swap", "v-2")]
    await until(lambda: app.up.services.extractor.versions.names == {"v-2"})
    answer = (await app.up.client.get("/models")).json()
    assert [(m["id"], m["champion"], m["served"]) for m in answer["models"]] == [
        ("v-2", True, True),
        (FIRST, False, False),
    ]
    assert answer["problem"] is None
    # Back again: a rollback takes the same way, and needs no hint for the configured model.
    assert read_hint(app.folder / "data") == Hint(
        "v-2", (app.folder / "data" / "versions" / "v-2").resolve()
    )
    assert (await app.up.client.post("/models/rollback")).json()["champion"] == FIRST
    await app.serves(FIRST)
    assert await app.answered_by() == FIRST
    await until(lambda: not (app.folder / "data" / FILE).exists())


async def test_no_request_is_lost_or_mixed_by_a_swap(app: Swapping) -> None:
    for number in (2, 3, 4):
        await app.register(f"v-{number}")
    app.server.pause_seconds = 0.05
    seen: list[str] = []

    async def ask(number: int) -> None:
        for turn in range(6):
            content = form(document(f"{number}-{turn}"), document_type="receipt")
            found = await app.up.extract(**content)
            assert found["record"]["receipt_number"] == found["model_version"]
            seen.append(found["model_version"])

    async def swap() -> None:
        for number in (2, 3, 4):
            await app.promote(f"v-{number}")
            await app.serves(f"v-{number}")

    await asyncio.gather(swap(), *(ask(number) for number in range(6)))
    assert len(seen) == 36
    assert set(seen) <= {FIRST, "v-2", "v-3", "v-4"}
    assert await app.answered_by() == "v-4"


async def test_two_quick_promotions_end_at_the_last(app: Swapping) -> None:
    for number in (2, 3):
        await app.register(f"v-{number}")
    app.server.pause_seconds = 0.3
    await app.promote("v-2")
    await until(lambda: bool(app.server.reloads) or app.engine.state().model == "v-2")
    await app.promote("v-3")
    await app.serves("v-3")
    assert await app.answered_by() == "v-3"
    assert app.up.services.routing.generation == 3


async def test_a_change_without_a_notice_is_found_by_polling(
    database_url: str, tmp_path: Path
) -> None:
    async with swapping(database_url, tmp_path, champion_poll_seconds=0.1) as app:
        await app.register("v-2")
        async with app.up.sessions.begin() as session:
            query = "UPDATE champion SET model_version_id = 'v-2', generation = generation + 1"
            await session.execute(text(query))
        await app.serves("v-2")


async def test_the_watch_outlives_its_connection(app: Swapping) -> None:
    await app.register("v-2")
    async with app.up.sessions.begin() as session:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :n"
        ended = (await session.execute(text(query), {"n": "docloop champion"})).scalars().all()
    assert ended == [True]
    await app.promote("v-2")
    await app.serves("v-2")


def truncate(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


def exchange(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"evil")


def add_pickle(folder: Path) -> None:
    (folder / "extra.json").write_bytes(b"\x80\x04]")
    write_card(folder, "v-2")


def name_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "x.Y"}}))
    write_card(folder, "v-2")


def rename(folder: Path) -> None:
    write_card(folder, "v-other")


def remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


@pytest.mark.parametrize("spoil", [truncate, exchange, add_pickle, name_code, rename, remove])
async def test_a_folder_that_must_not_be_served_is_refused(app: Swapping, spoil: Any) -> None:
    spoil(await app.register("v-2"))
    # By the route, before the pointer moves.
    refused = await app.up.client.post("/models/v-2/promote")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/bad-model-folder")
    assert (await app.up.client.get("/models")).json()["generation"] == 1
    # And by the process, where another machine has moved it.
    await point_at(app, "v-2")
    await until(lambda: bool(app.up.services.routing.problem))
    assert "v-2 is not served" in app.up.services.routing.problem
    assert "v-2 is not served" in (await app.up.client.get("/models")).json()["problem"]
    ready = await app.up.client.get("/readyz")
    assert (ready.status_code, ready.json()["model_version"]) == (200, FIRST)
    assert "v-2 is not served" in ready.json()["problem"]
    assert "v-2" in app.up.services.readiness.state(Part.MODEL).reason
    assert await app.answered_by() == FIRST
    assert app.server.reloads == []
    assert app.metric("docloop_champion_served") == 0
    assert app.metric("docloop_swaps_total", way="none", result="refused") == 1
    assert ("model.refused", "v-2") in await events(app)
    # A new word of the database ends the problem.
    assert (await app.up.client.post("/models/rollback")).status_code == 200
    await until(lambda: not app.up.services.routing.problem)
    assert (await app.up.client.get("/readyz")).json()["problem"] is None
    assert app.metric("docloop_champion_served") == 1


async def test_weights_that_fail_their_test_are_tried_once(app: Swapping) -> None:
    await app.register("v-2")
    app.server.faults["v-2"] = SmokeFailed("a test answer is empty")
    await app.promote("v-2")
    await until(lambda: app.metric("docloop_champion_served") == 0)
    await asyncio.sleep(0.6)
    assert app.server.reloads == ["v-2"]
    assert await app.answered_by() == FIRST
    # Promoting it again makes every process try anew.
    app.server.faults.clear()
    await app.promote("v-2")
    await app.serves("v-2")


async def test_a_passing_fault_is_tried_again(database_url: str, tmp_path: Path) -> None:
    async with swapping(database_url, tmp_path, champion_poll_seconds=0.1) as app:
        await app.register("v-2")
        app.server.faults["v-2"] = EngineUnavailable("it is starting")
        await app.promote("v-2")
        await until(lambda: len(app.server.reloads) >= 2)
        app.server.faults.clear()
        await app.serves("v-2")
        assert app.up.services.routing.problem == ""
        told = await events(app)
        assert told.count(("model.failed", "v-2")) == 1
        assert told[-1] == ("model.swap", "v-2")


async def test_a_start_waits_for_the_champion(database_url: str, tmp_path: Path) -> None:
    """Without a hint the process begins with the configured model, and is not ready with it."""
    async with swapping(database_url, tmp_path) as app:
        await app.register("v-2")
        await app.promote("v-2")
        await app.serves("v-2")
    (tmp_path / "data" / FILE).unlink()
    async with swapping(database_url, tmp_path) as app:
        await app.serves("v-2")
        assert await app.answered_by() == "v-2"


async def test_a_model_put_into_the_champions_folder_takes_its_place(
    database_url: str, tmp_path: Path
) -> None:
    async with swapping(database_url, tmp_path) as app:
        async with app.up.sessions.begin() as session:
            older = NewModel("fake-0", "fake-0", "tiny", str(tmp_path / "model"))
            await register_model(session, older)
            # Another model was made here when `fake-0` was already registered in this folder.
            await promote(session, "fake-0", 1)
        await until(lambda: "fake-0 is not served" in app.up.services.routing.problem)
    async with swapping(database_url, tmp_path) as app:
        await app.serves(FIRST)
        assert app.up.services.routing.generation == 3
        assert (await events(app))[-1] == ("model.replace", FIRST)


async def test_the_canary_answers_its_share_and_the_champion_stands_in(app: Swapping) -> None:
    await app.register("v-2")
    put = await app.up.client.put("/models/canary", json={"version": "v-2", "ratio": 1.0})
    assert put.json()["canary"] == "v-2"
    await until(lambda: app.up.services.routing.canary is not None)
    assert await app.answered_by() == "v-2"
    assert app.metric("docloop_canary_answers_total", answered_by="canary") == 1
    app.server.faults["v-2"] = EngineUnavailable("it died")
    assert await app.answered_by() == FIRST
    assert app.metric("docloop_canary_answers_total", answered_by="champion") == 1
    app.server.faults.clear()
    # Half of the predictions, by their ids.
    await app.up.client.put("/models/canary", json={"version": "v-2", "ratio": 0.5})
    await until(
        lambda: (
            app.up.services.routing.canary is not None
            and app.up.services.routing.canary.ratio == 0.5
        )
    )
    assert {await app.answered_by() for _ in range(24)} == {FIRST, "v-2"}
    # Promoted, it is the champion and no canary any more, without being loaded twice.
    await app.promote("v-2")
    await app.serves("v-2")
    await until(lambda: app.up.services.routing.canary is None)
    assert len(app.server.twins) == 1
    assert await app.answered_by() == "v-2"


async def test_a_canary_that_ends_is_unloaded(app: Swapping) -> None:
    await app.register("v-2")
    await app.up.client.put("/models/canary", json={"version": "v-2", "ratio": 0.5})
    await until(lambda: app.engine.versions() == (FIRST, "v-2"))
    await app.up.client.put("/models/canary", json={"version": None})
    await until(lambda: app.engine.versions() == (FIRST,))
    await until(lambda: app.up.services.extractor.versions.names == {FIRST})
    assert app.up.services.routing.canary is None
    assert await app.answered_by() == FIRST


async def test_the_shadow_answers_for_the_record_only(app: Swapping) -> None:
    await app.register("v-2")
    await app.up.client.put("/models/shadow", json={"version": "v-2"})
    await until(lambda: app.up.services.routing.shadow == "v-2")
    found = await app.up.extract(**form(document_type="receipt"))
    assert found["model_version"] == found["record"]["receipt_number"] == FIRST
    stored = "docloop_shadow_answers_total"
    await until(lambda: app.metric(stored, result="stored") == 1)
    tenant = await app.up.tenant_id()
    async with app.up.sessions() as session:
        (row,) = await list_shadow_answers(session, tenant, found["id"])
    assert (row.model_version, row.schema_valid, row.error) == ("v-2", True, None)
    assert row.record is not None
    assert row.record["receipt_number"] == "v-2"
    # Nothing of it is ever returned, and it goes with the prediction.
    read = await app.up.client.get(f"/predictions/{found['id']}")
    assert "v-2" not in read.text
    assert (await app.up.client.delete(f"/predictions/{found['id']}")).status_code == 204
    async with app.up.sessions() as session:
        assert await list_shadow_answers(session, tenant, found["id"]) == []


async def test_a_slow_shadow_delays_nobody_and_is_dropped_under_load(
    database_url: str, tmp_path: Path
) -> None:
    async with swapping(database_url, tmp_path, shadow_queue_size=2) as app:
        await app.register("v-2")
        await app.up.client.put("/models/shadow", json={"version": "v-2"})
        await until(lambda: app.up.services.routing.shadow == "v-2")
        (twin,) = app.server.twins
        twin.hold.clear()
        for number in range(6):
            content = form(document(str(number)), document_type="receipt")
            async with asyncio.timeout(5):
                assert (await app.up.extract(**content))["model_version"] == FIRST
        dropped = app.metric("docloop_shadow_answers_total", result="dropped")
        assert dropped is not None
        assert 3 <= dropped <= 4  # two wait, at most one is asked
        twin.hold.set()
        await until(
            lambda: app.metric("docloop_shadow_answers_total", result="stored") == 6 - dropped
        )


def start_settings(folder: Path) -> Settings:
    return Settings(
        _env_file=None,
        data_dir=folder / "data",
        model_dir=folder / "model",
        database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"),
    )


async def test_a_restart_begins_with_what_was_served_last(tmp_path: Path) -> None:
    settings = start_settings(tmp_path)
    write_version(tmp_path / "model", FIRST)
    kept = write_version(tmp_path / "data" / "versions" / "v-2", "v-2")

    async def begins() -> tuple[str, Path]:
        traits = find_traits(settings)
        assert traits is not None
        engine = make_engine(settings, traits)
        assert isinstance(engine, SwappingEngine)
        await engine.stop()
        return traits.version, engine.champion.folder

    configured = (FIRST, (tmp_path / "model").resolve())
    assert await begins() == configured
    write_hint(settings.data_dir, Hint("v-2", kept))
    assert await begins() == ("v-2", kept)
    for broken in ("{", "[]", '{"version": 3}', '{"version": "v-9", "folder": "/nowhere"}', ""):
        (settings.data_dir / FILE).write_text(broken)
        assert await begins() == configured
    write_hint(settings.data_dir, Hint("v-2", kept))
    exchange(kept)
    assert await begins() == configured
    write_hint(settings.data_dir, None)
    write_hint(settings.data_dir, None)
    assert await begins() == configured
