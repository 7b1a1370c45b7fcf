import asyncio

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.errors import NotFound, NothingToRollBackTo, PromotionConflict
from db.queries.models import (
    CHAMPION_CHANNEL,
    NewModel,
    get_champion,
    list_models,
    list_promotions,
    previous_version,
    promote,
    register_model,
    roll_back,
    set_canary,
    set_model_state,
    set_shadow,
)
from db.tables import ModelState
from tests.factories_db import make_run, make_versions


def new_model(model_id: str) -> NewModel:
    return NewModel(model_id, "docloop", "SmolLM2-135M-Instruct", f"models/{model_id}")


async def test_two_promotions_at_once_have_one_winner(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    async with sessions.begin() as session:
        for number in range(8):
            await register_model(session, new_model(f"m{number}"))
        generation = (await get_champion(session)).generation

    async def attempt(model_id: str) -> str:
        async with sessions.begin() as session:
            await promote(session, model_id, generation)
            await asyncio.sleep(0.05)
        return model_id

    attempts = (attempt(f"m{number}") for number in range(8))
    answers = await asyncio.gather(*attempts, return_exceptions=True)
    (winner,) = [answer for answer in answers if isinstance(answer, str)]
    conflicts = [answer for answer in answers if isinstance(answer, PromotionConflict)]
    told = {(conflict.expected, conflict.found) for conflict in conflicts}
    assert (len(conflicts), told) == (7, {(generation, generation + 1)})
    async with sessions() as session:
        champion = await get_champion(session)
    assert (champion.model_version_id, champion.generation) == (winner, generation + 1)


async def test_listeners_hear_of_a_promotion_at_the_commit(
    sessions: async_sessionmaker[AsyncSession], database_url: str
) -> None:
    listener = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    async with listener:
        await listener.execute(f"LISTEN {CHAMPION_CHANNEL}".encode())
        async with sessions.begin() as session:
            await register_model(session, new_model("m"))
            await promote(session, "m", 0)
            early = [notice.payload async for notice in listener.notifies(timeout=0.1)]
        heard = [n.payload async for n in listener.notifies(timeout=5, stop_after=1)]
    assert (early, heard) == ([], ["1"])


async def test_a_rollback_is_a_promotion_back(session: AsyncSession) -> None:
    for name in ("old", "new"):
        await register_model(session, new_model(name))
    await promote(session, "old", 0)
    await promote(session, "new", 1)
    champion = await promote(session, "old", 2)
    assert (champion.model_version_id, champion.generation) == ("old", 3)


async def test_only_a_registered_version_is_promoted(session: AsyncSession) -> None:
    with pytest.raises(NotFound, match="model version nobody"):
        await promote(session, "nobody", 0)


async def test_a_version_keeps_its_first_meaning(session: AsyncSession) -> None:
    await register_model(session, new_model("m"))
    again = NewModel("m", "another", "base", "elsewhere")
    assert (await register_model(session, again)).path == "models/m"
    assert (await set_model_state(session, "m", ModelState.ACCEPTED)).state is ModelState.ACCEPTED
    assert [model.id for model in await list_models(session)] == ["m"]


async def test_every_promotion_is_written_down(session: AsyncSession) -> None:
    await make_versions(session, ["a", "b"])
    run = await make_run(session, "a")
    await promote(session, "a", 0, actor="start")
    await promote(session, "b", 1, reason="gate", actor="trainer", run_id=run.id)
    rows = await list_promotions(session)
    assert [(row.generation, row.model_version_id, row.previous_id) for row in rows] == [
        (2, "b", "a"),
        (1, "a", None),
    ]
    told = [(row.reason, row.actor, row.run_id) for row in rows]
    assert told == [("gate", "trainer", run.id), ("first", "start", None)]
    assert len(await list_promotions(session, limit=1)) == 1


async def test_a_reason_is_one_of_those_known(session: AsyncSession) -> None:
    await make_versions(session, ["a", "b"])
    await promote(session, "a", 0)
    with pytest.raises(ValueError, match="whim"):
        await promote(session, "b", 1, reason="whim")


async def test_a_rollback_goes_back_and_rejects_what_it_left(session: AsyncSession) -> None:
    await make_versions(session, ["a", "b", "c"])
    for generation, version in enumerate("abc"):
        await promote(session, version, generation)
    assert await previous_version(session) == "b"
    champion = await roll_back(session, reason="automatic-rollback", actor="worker")
    assert (champion.model_version_id, champion.generation) == ("b", 4)
    models = {model.id: model.state for model in await list_models(session)}
    assert models["c"] is ModelState.REJECTED
    assert models["b"] is not ModelState.REJECTED
    (last,) = await list_promotions(session, limit=1)
    assert (last.reason, last.previous_id, last.actor) == ("automatic-rollback", "c", "worker")


async def test_a_second_rollback_never_returns_to_what_was_left(session: AsyncSession) -> None:
    await make_versions(session, ["a", "b", "c"])
    for generation, version in enumerate("abc"):
        await promote(session, version, generation)
    assert (await roll_back(session, actor="x")).model_version_id == "b"
    assert (await roll_back(session, actor="x")).model_version_id == "a"
    with pytest.raises(NothingToRollBackTo, match="before a"):
        await roll_back(session, actor="x")
    assert (await get_champion(session)).generation == 5


async def test_without_a_champion_there_is_nothing_to_go_back_to(session: AsyncSession) -> None:
    assert await previous_version(session) is None
    with pytest.raises(NothingToRollBackTo, match="no champion"):
        await roll_back(session, actor="x")


async def test_of_two_rollbacks_on_one_reading_the_second_is_refused(session: AsyncSession) -> None:
    await make_versions(session, ["a", "b", "c"])
    for generation, version in enumerate("abc"):
        await promote(session, version, generation)
    await roll_back(session, actor="x", expected_generation=3)
    with pytest.raises(PromotionConflict):
        await roll_back(session, actor="y", expected_generation=3)
    assert (await get_champion(session)).model_version_id == "b"


async def test_canary_and_shadow_end_when_they_become_the_champion(session: AsyncSession) -> None:
    await make_versions(session, ["a", "b"])
    await promote(session, "a", 0)
    await set_canary(session, "b", 0.25)
    champion = await set_shadow(session, "b")
    assert (champion.canary_version_id, champion.canary_ratio) == ("b", 0.25)
    assert (champion.shadow_version_id, champion.generation) == ("b", 1)
    champion = await promote(session, "b", 1)
    assert (champion.canary_version_id, champion.canary_ratio) == (None, 0.0)
    assert champion.shadow_version_id is None


async def test_another_canary_stays_when_the_champion_changes(session: AsyncSession) -> None:
    await make_versions(session, ["a", "b", "c"])
    await promote(session, "a", 0)
    await set_canary(session, "c", 0.1)
    assert (await promote(session, "b", 1)).canary_version_id == "c"
    ended = await set_canary(session, None, 0.5)
    assert (ended.canary_version_id, ended.canary_ratio) == (None, 0.0)


async def test_a_canary_is_a_registered_version_with_a_share(session: AsyncSession) -> None:
    with pytest.raises(NotFound):
        await set_canary(session, "nobody", 0.5)
    with pytest.raises(NotFound):
        await set_shadow(session, "nobody")
    await make_versions(session, ["a"])
    with pytest.raises(ValueError, match="share"):
        await set_canary(session, "a", 1.5)


async def test_listeners_hear_of_canary_and_shadow(
    sessions: async_sessionmaker[AsyncSession], database_url: str
) -> None:
    async with sessions.begin() as session:
        await make_versions(session, ["a"])
    listener = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    async with listener:
        await listener.execute(f"LISTEN {CHAMPION_CHANNEL}".encode())
        async with sessions.begin() as session:
            await set_canary(session, "a", 0.5)
        async with sessions.begin() as session:
            await set_shadow(session, "a")
        heard = [n.payload async for n in listener.notifies(timeout=5, stop_after=2)]
    assert heard == ["0", "0"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE promotions SET actor = 'nobody'",
        "DELETE FROM promotions",
        "TRUNCATE promotions",
        "WITH opened AS (SELECT set_config('docloop.erasing', 'on', true)) DELETE FROM promotions",
    ],
)
async def test_the_history_of_promotions_is_append_only(
    session: AsyncSession, statement: str
) -> None:
    await make_versions(session, ["a"])
    await promote(session, "a", 0)
    with pytest.raises(IntegrityError, match="promotions is append-only"):
        await session.execute(text(statement))
