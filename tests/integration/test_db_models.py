import asyncio

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.errors import NotFound, PromotionConflict
from db.queries.models import (
    CHAMPION_CHANNEL,
    NewModel,
    finish_run,
    get_champion,
    list_models,
    list_runs,
    promote,
    register_model,
    set_model_state,
    start_run,
)
from db.tables import ModelState, RunState


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


async def test_a_training_run_and_its_model(session: AsyncSession) -> None:
    run = await start_run(session, {"seed": 7})
    await finish_run(session, run.id, RunState.DONE, metrics={"overall": 97.1})
    (found,) = await list_runs(session)
    assert (found.state, found.metrics, found.config) == (
        RunState.DONE,
        {"overall": 97.1},
        {"seed": 7},
    )
    assert found.finished_at is not None
