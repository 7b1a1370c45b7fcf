from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound, SamePerson
from db.queries.audit import list_events
from db.queries.corrections import NewCorrection, add_correction
from db.queries.keys import create_key
from db.queries.predictions import erase_prediction
from db.queries.quarantine import count_held, decide, hold, list_held
from db.tables import HeldCorrection, QuarantineState, Scope, ScreenedCorrection, Verdict
from tests.factories_db import make_answered, make_correction, make_screened

REASONS = [{"rule": "checks", "detail": "total contradicts the sum of the items"}]


async def test_held_corrections_with_their_reasons(session: AsyncSession, tenant_id: UUID) -> None:
    held = []
    for _ in range(3):
        correction = await make_screened(
            session, tenant_id, await make_answered(session, tenant_id)
        )
        await hold(session, correction, REASONS)
        held.append(correction.id)
    found = await list_held(session, tenant_id, limit=2)
    assert [one.correction.id for one in found] == [held[2], held[1]]
    assert found[0].held.reasons == REASONS
    assert found[0].held.state is QuarantineState.WAITING
    rest = await list_held(session, tenant_id, before=held[1])
    assert [one.correction.id for one in rest] == [held[0]]
    assert await count_held(session) == 3


async def test_tenants_see_their_own_and_the_operator_all(
    session: AsyncSession, tenant_id: UUID, stranger_id: UUID
) -> None:
    for owner in (tenant_id, stranger_id, stranger_id):
        correction = await make_screened(session, owner, await make_answered(session, owner))
        await hold(session, correction, REASONS)
    assert len(await list_held(session, tenant_id)) == await count_held(session, tenant_id) == 1
    assert len(await list_held(session, None)) == await count_held(session) == 3
    with pytest.raises(NotFound):
        await decide(session, tenant_id, correction.id, accept=True, actor="ben")


async def test_a_second_person_decides_and_the_audit_says_so(
    session: AsyncSession, tenant_id: UUID
) -> None:
    correction = await make_screened(session, tenant_id, await make_answered(session, tenant_id))
    await hold(session, correction, REASONS)
    held = await decide(session, tenant_id, correction.id, accept=False, actor="ben")
    assert (held.state, held.decided_by) == (QuarantineState.REJECTED, "ben")
    assert held.decided_at is not None
    await hold(session, correction, REASONS)  # screened again: the decision stands
    assert await count_held(session) == 0
    assert await count_held(session, state=QuarantineState.REJECTED) == 1
    assert await list_held(session, tenant_id) == []
    assert len(await list_held(session, tenant_id, QuarantineState.REJECTED)) == 1
    assert len(await list_held(session, tenant_id, None)) == 1
    (event,) = await list_events(session, tenant_id, subject=str(correction.id))
    assert (event.action, event.actor) == ("quarantine.reject", "ben")
    assert event.details == {"rules": ["checks"]}


async def test_nobody_decides_on_their_own_correction(
    session: AsyncSession, tenant_id: UUID
) -> None:
    own = (await create_key(session, tenant_id, {Scope.REVIEW})).row.id
    other = (await create_key(session, tenant_id, {Scope.REVIEW})).row.id
    prediction = await make_answered(session, tenant_id)
    new = NewCorrection(
        prediction.id, Verdict.CORRECTED, {"total": "1.00"}, reviewer="ana", api_key_id=own
    )
    correction = await add_correction(session, tenant_id, new)
    await hold(session, correction, REASONS)
    for actor, key in (("ana", other), ("ben", own), ("ana", None)):
        with pytest.raises(SamePerson):
            await decide(
                session, tenant_id, correction.id, accept=True, actor=actor, api_key_id=key
            )
    assert await count_held(session) == 1
    await decide(session, tenant_id, correction.id, accept=True, actor="ben", api_key_id=other)
    assert await count_held(session) == 0


async def test_only_a_held_correction_is_decided_on(session: AsyncSession, tenant_id: UUID) -> None:
    correction = await make_screened(session, tenant_id, await make_answered(session, tenant_id))
    for correction_id in (correction.id, uuid4()):
        with pytest.raises(NotFound, match="held correction"):
            await decide(session, tenant_id, correction_id, accept=True, actor="ben")


async def test_what_was_superseded_waits_no_more(session: AsyncSession, tenant_id: UUID) -> None:
    prediction = await make_answered(session, tenant_id)
    correction = await make_screened(session, tenant_id, prediction)
    await hold(session, correction, REASONS)
    await make_correction(session, tenant_id, prediction.id)
    assert await list_held(session, tenant_id) == []
    assert await count_held(session) == 0


async def test_an_erasure_takes_what_was_said_of_the_corrections(
    session: AsyncSession, tenant_id: UUID
) -> None:
    prediction = await make_answered(session, tenant_id)
    correction = await make_screened(session, tenant_id, prediction)
    await hold(session, correction, REASONS)
    await erase_prediction(session, tenant_id, prediction.id, actor="a")
    for table in (HeldCorrection, ScreenedCorrection):
        left = select(func.count()).select_from(table)
        assert (await session.execute(left)).scalar_one() == 0
