"""A champion that does worse than the one before it, from predictions to the pointer."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.queries.audit import list_events
from db.queries.keys import ensure_tenant
from db.queries.models import (
    get_champion,
    get_model,
    list_promotions,
    promote,
    roll_back,
)
from db.tables import ModelState, PromotionReason, Verdict
from tests.factories_db import make_answered, make_screened, make_versions
from trainer.profile import load_profile
from trainer.rollback import watch_new_champion

Sessions = async_sessionmaker[AsyncSession]
PROFILE = load_profile("small")


async def review(session: AsyncSession, tenant_id: UUID, version: str, wrong: int) -> None:
    """25 reviewed predictions of a version."""
    for number in range(25):
        prediction = await make_answered(session, tenant_id, model_version=version)
        verdict = Verdict.CORRECTED if number < wrong else Verdict.CORRECT
        await make_screened(session, tenant_id, prediction, verdict=verdict)


@pytest.fixture
async def tenant(sessions: Sessions) -> UUID:
    async with sessions.begin() as session:
        await make_versions(session, ["old", "new"])
        return (await ensure_tenant(session, "first")).id


async def serve(sessions: Sessions, tenant_id: UUID, *, wrong: int) -> None:
    """The old version, then the new one by the gate, both reviewed."""
    async with sessions.begin() as session:
        await promote(session, "old", 0)
        await review(session, tenant_id, "old", 3)
    async with sessions.begin() as session:
        await promote(session, "new", 1, reason=PromotionReason.GATE, actor="trainer")
    async with sessions.begin() as session:
        await review(session, tenant_id, "new", wrong)


async def test_a_worse_champion_is_taken_back_once(sessions: Sessions, tenant: UUID) -> None:
    await serve(sessions, tenant, wrong=20)
    looks = await asyncio.gather(*(watch_new_champion(sessions, PROFILE) for _ in range(4)))
    (decision,) = [look for look in looks if look is not None and look.roll_back]
    assert "went from 12.0% to 80.0% (of 25)" in decision.reasons[0]
    async with sessions() as session:
        champion = await get_champion(session)
        assert (champion.model_version_id, champion.generation) == ("old", 3)
        assert (await get_model(session, "new")).state is ModelState.REJECTED
        latest = (await list_promotions(session, 1))[0]
        assert (latest.reason, latest.actor) == (PromotionReason.AUTOMATIC_ROLLBACK, "trainer")
        (event,) = await list_events(session, None, subject="old")
    assert (event.action, event.actor) == ("model.rollback", "trainer")
    assert event.details["reasons"] == list(decision.reasons)
    assert event.details["counts"]["after"]["corrected"] == 20
    # Back again: the old version is no new champion, whatever it does.
    assert await watch_new_champion(sessions, PROFILE) is None


async def test_a_champion_that_does_as_well_stays(sessions: Sessions, tenant: UUID) -> None:
    await serve(sessions, tenant, wrong=4)
    decision = await watch_new_champion(sessions, PROFILE)
    assert decision is not None
    assert not decision.roll_back
    async with sessions() as session:
        assert (await get_champion(session)).model_version_id == "new"


async def test_only_the_first_answers_since_the_promotion_count(
    sessions: Sessions, tenant: UUID
) -> None:
    async with sessions.begin() as session:
        await review(session, tenant, "new", 25)  # as a canary, before it was champion
    await serve(sessions, tenant, wrong=2)
    async with sessions.begin() as session:
        await review(session, tenant, "new", 25)
    watched = PROFILE.rollback.model_copy(update={"predictions": 25})
    decision = await watch_new_champion(sessions, PROFILE.model_copy(update={"rollback": watched}))
    assert decision is not None
    assert "went from 12.0% to 8.0% (of 25)" in decision.reasons[0]


async def test_there_may_be_nothing_to_watch(sessions: Sessions, tenant: UUID) -> None:
    assert await watch_new_champion(sessions, PROFILE) is None, "no champion"
    async with sessions.begin() as session:
        await promote(session, "old", 0)
        await review(session, tenant, "old", 25)
    assert await watch_new_champion(sessions, PROFILE) is None, "none before it"
    async with sessions.begin() as session:
        await promote(session, "new", 1)
    async with sessions.begin() as session:
        await roll_back(session, actor="key:someone")
        await review(session, tenant, "old", 25)
    assert await watch_new_champion(sessions, PROFILE) is None, "a person took it back"
