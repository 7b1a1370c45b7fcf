from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from db.errors import NotFound
from db.queries.predictions import erase_prediction
from db.queries.runs import (
    RunExampleRow,
    add_run_examples,
    finish_run,
    get_run,
    last_finished,
    latest_decision,
    lineage,
    list_run_examples,
    list_runs,
    runs_that_saw,
    set_stage,
    start_run,
    store_decision,
    unfinished_run,
)
from db.tables import ExamplePart, RunState
from tests.factories_db import (
    make_answered,
    make_prediction,
    make_run,
    make_screened,
    make_version,
    make_versions,
)


def row(part: str = "train", document_id: UUID | None = None) -> RunExampleRow:
    return RunExampleRow(uuid4(), document_id or uuid4(), b"h" * 32, part, ("total",), uuid4())


async def test_a_run_from_beginning_to_end(session: AsyncSession) -> None:
    await make_versions(session, ["champion", "candidate"])
    run = await start_run(session, {"seed": 7}, champion_id="champion")
    run = await set_stage(session, run.id, "sft", 0.5)
    assert (run.stage, run.stage_progress) == ("sft", 0.5)
    assert run.heartbeat_at is not None
    first = run.heartbeat_at
    run = await set_stage(session, run.id, "grpo", 0.0)
    assert run.heartbeat_at is not None
    assert run.heartbeat_at > first
    await finish_run(
        session,
        run.id,
        RunState.DONE,
        metrics={"overall": 97.1},
        manifest={"sha256": "0"},
        candidate_id="candidate",
    )
    (found,) = await list_runs(session)
    assert (found.state, found.metrics, found.config) == (
        RunState.DONE,
        {"overall": 97.1},
        {"seed": 7},
    )
    assert (found.champion_id, found.candidate_id) == ("champion", "candidate")
    assert found.finished_at is not None


async def test_only_the_newest_run_can_go_on(session: AsyncSession) -> None:
    assert await unfinished_run(session) is None
    old = await make_run(session)
    found = await unfinished_run(session)
    assert found is not None
    assert found.id == old.id
    new = await make_run(session)
    await finish_run(session, new.id, RunState.FAILED)
    assert await unfinished_run(session) is None


async def test_an_interrupted_run_goes_on(session: AsyncSession) -> None:
    run = await make_run(session)
    await finish_run(session, run.id, RunState.INTERRUPTED, manifest={"kept": True})
    found = await unfinished_run(session)
    assert found is not None
    assert found.id == run.id
    run = await set_stage(session, run.id, "sft", 0.1)
    assert (run.state, run.finished_at) == (RunState.RUNNING, None)
    run = await finish_run(session, run.id, RunState.DONE)
    assert run.manifest == {"kept": True}


async def test_a_finished_run_is_not_revived(session: AsyncSession) -> None:
    run = await make_run(session)
    await finish_run(session, run.id, RunState.DONE)
    assert (await set_stage(session, run.id, "report", 1.0)).state is RunState.DONE


async def test_the_last_success_and_the_last_failure(session: AsyncSession) -> None:
    assert await last_finished(session) is None
    first, second, third = [await make_run(session) for _ in range(3)]
    await finish_run(session, second.id, RunState.DONE)
    await finish_run(session, first.id, RunState.DONE)
    await finish_run(session, third.id, RunState.FAILED)
    good, bad = await last_finished(session), await last_finished(session, RunState.FAILED)
    assert good is not None
    assert bad is not None
    assert (good.id, bad.id) == (first.id, third.id)


async def test_a_run_that_is_none(session: AsyncSession) -> None:
    with pytest.raises(NotFound, match="training run"):
        await get_run(session, uuid4())
    with pytest.raises(NotFound):
        await set_stage(session, uuid4(), "sft", 0.0)
    with pytest.raises(NotFound):
        await finish_run(session, uuid4(), RunState.DONE)
    with pytest.raises(NotFound, match="prediction"):
        await lineage(session, uuid4())


async def test_examples_of_a_run_are_written_once(session: AsyncSession) -> None:
    run = await make_run(session)
    rows = [row("holdout"), row("train"), row("golden")]
    await add_run_examples(session, run.id, rows)
    await add_run_examples(session, run.id, [*rows, row("replay")])
    await add_run_examples(session, run.id, [])
    found = await list_run_examples(session, run.id)
    assert [example.part for example in found] == sorted(
        [ExamplePart.GOLDEN, ExamplePart.HOLDOUT, ExamplePart.REPLAY, ExamplePart.TRAIN]
    )
    assert found[-1].fields == ["total"]
    with pytest.raises(ValueError, match="trian"):
        await add_run_examples(session, run.id, [row("trian")])


async def test_from_an_erased_document_to_the_runs_that_saw_it(
    session: AsyncSession, tenant_id: UUID
) -> None:
    prediction = await make_answered(session, tenant_id)
    correction = await make_screened(session, tenant_id, prediction)
    run, other = await make_run(session), await make_run(session)
    document_id = prediction.document_id
    example = RunExampleRow(
        correction.id, document_id, b"h" * 32, "train", ("total",), prediction.id
    )
    await add_run_examples(session, run.id, [example])
    await add_run_examples(session, other.id, [row()])
    erased = await erase_prediction(session, tenant_id, prediction.id, actor="a")
    assert erased.blob_keys
    assert await runs_that_saw(session, document_id) == [run.id]
    (kept,) = await list_run_examples(session, run.id)
    assert (kept.correction_id, kept.prediction_id) == (correction.id, prediction.id)


async def test_from_a_prediction_to_the_corrections_behind_it(
    session: AsyncSession, tenant_id: UUID
) -> None:
    first, second = await make_run(session), await make_run(session)
    await make_version(session, "shipped")
    await make_version(session, "v-1", parent="shipped", run=first)
    await make_version(session, "v-2", parent="v-1", run=second)
    learnt, replayed, held_out = row("train"), row("replay"), row("holdout")
    await add_run_examples(session, first.id, [replayed])
    await add_run_examples(session, second.id, [learnt, replayed, held_out])
    prediction = await make_answered(session, tenant_id, model_version="v-2")
    found = await lineage(session, prediction.id)
    behind = tuple(sorted([learnt.correction_id, replayed.correction_id]))
    assert (found.model_version, found.run_id, found.correction_ids) == ("v-2", second.id, behind)
    assert [(step.model_version, step.run_id) for step in found.steps] == [
        ("v-2", second.id),
        ("v-1", first.id),
        ("shipped", None),
    ]
    assert found.steps[1].correction_ids == (replayed.correction_id,)


async def test_nothing_is_behind_a_version_that_nobody_registered(
    session: AsyncSession, tenant_id: UUID
) -> None:
    foreign = await lineage(session, (await make_answered(session, tenant_id)).id)
    assert (foreign.model_version, foreign.run_id, foreign.steps) == ("v-1", None, ())
    unfinished = await lineage(session, (await make_prediction(session, tenant_id)).id)
    assert (unfinished.model_version, unfinished.correction_ids) == (None, ())


async def test_the_gates_last_word(session: AsyncSession) -> None:
    run = await make_run(session)
    for passed in (False, True):
        await store_decision(
            session,
            run_id=run.id,
            champion_id="a",
            candidate_id="b",
            passed=passed,
            reasons=["the gain is above the margin" if passed else "too few documents"],
            inputs={"gain": 0.1},
        )
    found = await latest_decision(session, "b")
    assert found is not None
    assert (found.passed, found.inputs) == (True, {"gain": 0.1})
    assert await latest_decision(session, "a") is None
