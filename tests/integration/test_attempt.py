"""What becomes of an unfinished run, on a real Postgres; the cycle itself is injected."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.opening import Database
from db.queries.runs import unfinished_run
from db.tables import RunState
from tests.factories_training import (
    LEAST,
    FakeCycle,
    begin,
    correct,
    impatient_profile,
    silence,
    state_of,
    under,
)
from trainer.attempt import (
    NothingToResume,
    RunElsewhere,
    RunGivenUp,
    TooFewCorrections,
    Wish,
    attempt_cycle,
)
from trainer.profile import Profile
from trainer.run import CycleFolders
from trainer.schedule import MOST_ATTEMPTS


@pytest.fixture
def profile() -> Profile:
    return impatient_profile()


@pytest.fixture
def folders(tmp_path: Path) -> CycleFolders:
    return under(tmp_path / "here")


@pytest.fixture
def database(sessions: async_sessionmaker[AsyncSession], database_url: str) -> Database:
    return Database(sessions, database_url)


async def test_too_few_corrections_say_how_many_more(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    await correct(database.sessions, LEAST - 1)
    cycle = FakeCycle()
    with pytest.raises(TooFewCorrections, match=r"2 new .* needs 3: 1 more"):
        await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    await correct(database.sessions, 1)
    await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    # They have been learnt from now.
    with pytest.raises(TooFewCorrections, match="0 new"):
        await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    assert len(cycle.began) == 1


async def test_a_run_whose_folder_is_here_goes_on_with_its_own_profile(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    run_id = await begin(database.sessions, folders, seed=99)
    cycle = FakeCycle()
    await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    assert (cycle.began, cycle.seeds) == ([run_id], [99])
    assert await state_of(database.sessions, run_id) is RunState.DONE


async def test_a_run_of_another_machine_is_left_to_it_for_a_while(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    run_id = await begin(database.sessions, None)
    await correct(database.sessions)
    cycle = FakeCycle()
    with pytest.raises(RunElsewhere):
        await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    assert await state_of(database.sessions, run_id) is RunState.RUNNING
    with pytest.raises(NothingToResume):
        await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle, wish=Wish.RESUME)
    await silence(database.sessions, run_id)
    await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    assert await state_of(database.sessions, run_id) is RunState.INTERRUPTED
    assert len(cycle.began) == 1
    assert cycle.began != [run_id]


async def test_new_leaves_the_unfinished_run(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    run_id = await begin(database.sessions, folders)
    await correct(database.sessions)
    cycle = FakeCycle()
    await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle, wish=Wish.NEW)
    assert cycle.began != [run_id]
    assert await state_of(database.sessions, run_id) is RunState.INTERRUPTED


async def test_resume_without_an_unfinished_run(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    await correct(database.sessions)
    with pytest.raises(NothingToResume):
        await attempt_cycle(
            database.sessions, profile, folders, run_cycle=FakeCycle(), wish=Wish.RESUME
        )


async def test_a_cycle_that_is_stopped_goes_on_as_often_as_it_takes(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    await correct(database.sessions)
    cycle = FakeCycle(work=asyncio.Event().wait)  # type: ignore[arg-type]
    for round_ in range(MOST_ATTEMPTS + 2):
        task = asyncio.ensure_future(
            attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
        )
        while len(cycle.began) <= round_:
            await asyncio.sleep(0.01)
            assert not task.done(), task.exception()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await state_of(database.sessions, cycle.began[0]) is RunState.INTERRUPTED
    assert set(cycle.began) == {cycle.began[0]}
    cycle.work = None
    await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    assert await state_of(database.sessions, cycle.began[0]) is RunState.DONE


async def test_a_run_with_faults_fails_in_the_end(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    async def fault() -> None:
        raise OSError("no room left")

    await correct(database.sessions)
    cycle = FakeCycle(work=fault)
    states = []
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(OSError, match="no room left"):
            await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
        states.append(await state_of(database.sessions, cycle.began[0]))
    assert set(cycle.began) == {cycle.began[0]}
    assert states == [RunState.INTERRUPTED] * (MOST_ATTEMPTS - 1) + [RunState.FAILED]


async def test_a_run_that_kills_its_process_is_given_up(
    database: Database, profile: Profile, folders: CycleFolders
) -> None:
    class Killed(BaseException):
        """Nothing of ours runs after it."""

    async def crash() -> None:
        async with database.sessions.begin() as session:  # what a kill leaves is a running run
            run = await unfinished_run(session)
            assert run is not None
        raise Killed

    run_id = await begin(database.sessions, folders)
    (folders.training / str(run_id) / "attempts").write_text(f"{MOST_ATTEMPTS} 0")
    cycle = FakeCycle(work=crash)
    with pytest.raises(RunGivenUp):
        await attempt_cycle(database.sessions, profile, folders, run_cycle=cycle)
    assert await state_of(database.sessions, run_id) is RunState.FAILED
    assert cycle.began == []
