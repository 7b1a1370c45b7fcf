"""Screening in the database: what is held, what is let through, what is held late."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.corrections import NewCorrection, add_correction
from db.queries.keys import create_key
from db.queries.learning import list_learnable
from db.queries.quarantine import decide, list_held
from db.tables import (
    Correction,
    HeldCorrection,
    QuarantineState,
    Scope,
    ScreenedCorrection,
    Verdict,
)
from extraction.lines import Line
from tests.factories_learning import make_learnable, receipt_lines, store
from trainer.profile import Profile, load_profile
from trainer.quarantine import ScreenReport, screen_new

RECORD = {"subtotal": "8.40", "tax_total": "0.60", "total": "9.00"}


@pytest.fixture
def profile() -> Profile:
    small = load_profile("small")
    few = small.quarantine.model_copy(update={"flood_count": 10, "disagreement_count": 5})
    return small.model_copy(update={"quarantine": few})


@pytest.fixture
async def key(session: AsyncSession, tenant_id: UUID) -> UUID:
    return (await create_key(session, tenant_id, [Scope.FEEDBACK])).row.id


@pytest.fixture
async def other_key(session: AsyncSession, tenant_id: UUID) -> UUID:
    return (await create_key(session, tenant_id, [Scope.REVIEW])).row.id


async def give(
    session: AsyncSession,
    tenant_id: UUID,
    key: UUID,
    said: dict[str, str] | None,
    *,
    lines: Sequence[Line] | None = None,
    record: dict[str, str | None] | None = None,
    reviewer: str = "ann",
) -> Correction:
    given = make_learnable(lines or receipt_lines(), record or RECORD, said, reviewer=reviewer)
    return await store(session, tenant_id, given, key=key)


async def free(session: AsyncSession) -> set[UUID]:
    return {item.correction.id for item in await list_learnable(session)}


async def held(session: AsyncSession) -> dict[UUID, set[str]]:
    rows = await list_held(session, None, None, limit=1000)
    return {row.correction.id: {part["rule"] for part in row.held.reasons} for row in rows}


async def test_a_wrong_total_waits_and_a_right_one_is_learnt_from(
    session: AsyncSession, tenant_id: UUID, key: UUID, profile: Profile
) -> None:
    wrong = await give(session, tenant_id, key, {"total": "99.00"})
    right = await give(session, tenant_id, key, {"total": "9.00"}, record={"total": "20.00"})
    confirmed = await give(session, tenant_id, key, None)
    assert await free(session) == set()
    report = await screen_new(session, profile)
    assert report == ScreenReport(3, 1, 0, {"contradicts-checks": 1, "contradicts-page": 1})
    assert await free(session) == {right.id, confirmed.id}
    assert await held(session) == {wrong.id: {"contradicts-checks", "contradicts-page"}}
    row = await session.get(HeldCorrection, wrong.id)
    assert row is not None
    assert (row.state, row.tenant_id) == (QuarantineState.WAITING, tenant_id)
    assert "99" not in str(row.reasons)


async def test_screening_again_changes_nothing(
    session: AsyncSession, tenant_id: UUID, key: UUID, profile: Profile
) -> None:
    await give(session, tenant_id, key, {"total": "99.00"})
    await screen_new(session, profile)
    before = await held(session)
    assert await screen_new(session, profile) == ScreenReport()
    assert await held(session) == before
    count = select(func.count()).select_from(ScreenedCorrection)
    assert await session.scalar(count) == 1


async def test_nothing_is_kept_of_a_screening_that_is_rolled_back(
    session: AsyncSession, tenant_id: UUID, key: UUID, profile: Profile
) -> None:
    await give(session, tenant_id, key, {"total": "99.00"})
    async with session.begin_nested() as inner:
        await screen_new(session, profile)
        await inner.rollback()
    assert await held(session) == {}
    assert await session.scalar(select(func.count()).select_from(ScreenedCorrection)) == 0


async def give_alike(
    session: AsyncSession, tenant_id: UUID, key: UUID, numbers: range
) -> list[Correction]:
    """Each wrong total could be a misreading; all are changed by the same difference."""
    return [
        await give(
            session,
            tenant_id,
            key,
            {"total": f"{20 + number}.58"},
            lines=receipt_lines(f"{20 + number}.50"),
            record={"total": f"{20 + number}.50"},
            reviewer="eve",
        )
        for number in numbers
    ]


async def test_a_flood_that_is_recognised_late_holds_what_had_passed(
    session: AsyncSession, tenant_id: UUID, key: UUID, other_key: UUID, profile: Profile
) -> None:
    first = await give_alike(session, tenant_id, key, range(6))
    honest = await give(session, tenant_id, other_key, {"total": "9.00"}, record={"total": None})
    report = await screen_new(session, profile)
    assert (report.screened_count, report.held_count) == (7, 0)
    assert await free(session) == {honest.id, *(item.id for item in first)}

    rest = await give_alike(session, tenant_id, key, range(6, 12))
    report = await screen_new(session, profile)
    assert (report.held_count, report.held_later_count) == (6, 6)
    assert report.rules == {"flood": 12}
    assert await free(session) == {honest.id}

    # It goes on, a few at a time.
    more = await give_alike(session, tenant_id, key, range(12, 14))
    report = await screen_new(session, profile)
    assert (report.held_count, report.held_later_count) == (2, 0)
    assert set(await held(session)) == {item.id for item in (*first, *rest, *more)}


async def test_what_a_second_person_accepted_stays_accepted(
    session: AsyncSession, tenant_id: UUID, key: UUID, other_key: UUID, profile: Profile
) -> None:
    first = await give_alike(session, tenant_id, key, range(12))
    await screen_new(session, profile)
    await decide(
        session, tenant_id, first[0].id, accept=True, actor="key:second", api_key_id=other_key
    )
    await decide(
        session, tenant_id, first[1].id, accept=False, actor="key:second", api_key_id=other_key
    )
    await give_alike(session, tenant_id, key, range(12, 14))
    report = await screen_new(session, profile)
    assert (report.held_count, report.held_later_count) == (2, 0)
    assert await free(session) == {first[0].id}


async def test_a_reviewer_whom_others_overrule_is_held_late_too(
    session: AsyncSession, tenant_id: UUID, key: UUID, other_key: UUID, profile: Profile
) -> None:
    # Nothing is said against these alone: the value that was paid is printed as well.
    record: dict[str, str | None] = {"total": None}
    kept = await give(session, tenant_id, key, {"total": "20.00"}, record=record, reviewer="eve")
    given = [
        await give(session, tenant_id, key, {"total": "8.00"}, record=record, reviewer="eve")
        for _ in range(6)
    ]
    await screen_new(session, profile)
    overruled = []
    for correction in given:
        word = NewCorrection(
            correction.prediction_id, Verdict.CORRECTED, {"total": "9.00"}, "bob", None, other_key
        )
        overruled.append(await add_correction(session, tenant_id, word))
    report = await screen_new(session, profile)
    assert report.held_later_count == 1
    assert (await held(session))[kept.id] == {"disagrees"}
    assert await free(session) == {item.id for item in overruled}


async def test_a_correction_of_an_unknown_type_is_screened_and_teaches_nothing(
    session: AsyncSession, tenant_id: UUID, key: UUID, profile: Profile
) -> None:
    lost = make_learnable(receipt_lines(), RECORD, document_type="unknown")
    await store(session, tenant_id, lost, key=key)
    assert (await screen_new(session, profile)).screened_count == 1
    assert await held(session) == {}


@pytest.mark.parametrize("count", [1, 10, 40])
async def test_planted_totals_never_become_examples(
    session: AsyncSession, tenant_id: UUID, key: UUID, other_key: UUID, count: int, profile: Profile
) -> None:
    honest = [
        await give(session, tenant_id, other_key, {"total": "9.00"}, record={"total": "20.00"})
        for _ in range(20)
    ]
    planted = [
        await give(session, tenant_id, key, {"total": f"{9 + number}00.00"}, reviewer="eve")
        for number in range(1, count + 1)
    ]
    await screen_new(session, profile)
    assert set(await held(session)) == {item.id for item in planted}
    assert await free(session) == {item.id for item in honest}
