"""From corrections in the database to the set of a run, and back from an example to its rows."""

import json
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.document_types import put_type, retire_type
from db.queries.models import NewModel, register_model
from db.queries.predictions import erase_prediction
from db.queries.runs import (
    add_run_examples,
    finish_run,
    list_run_examples,
    runs_that_saw,
    start_run,
)
from db.tables import ExamplePart, RunState
from extraction.prompt import PromptStyle
from extraction.traits import ModelTraits
from tests.factories_learning import make_learnable, receipt_lines, store
from tests.factories_lines import page_of
from trainer.dataset import RunDataset, learnt_by, read_dataset
from trainer.profile import Profile, load_profile
from trainer.quarantine import screen_new

TRAITS = ModelTraits(version="one", style=PromptStyle.COMPACT, sees_images=False)
SMALL = load_profile("small")
PROFILE: Profile = SMALL.model_copy(
    update={"data": SMALL.data.model_copy(update={"replay_ratio": 0.0})}
)


async def read(session: AsyncSession, champion_id: str | None = None) -> RunDataset:
    await screen_new(session, PROFILE)
    return await read_dataset(session, PROFILE, traits=TRAITS, champion_id=champion_id)


async def test_corrections_of_all_tenants_become_examples(
    session: AsyncSession, tenant_id: UUID, stranger_id: UUID
) -> None:
    given = make_learnable(receipt_lines(), {"total": "20.00"}, {"total": "9.00"})
    mine = await store(session, tenant_id, given)
    theirs = await store(session, stranger_id, make_learnable(receipt_lines(), {"total": "9.00"}))
    held_out = await store(
        session, tenant_id, make_learnable(receipt_lines(), {"total": "9.00"}, holdout=True)
    )
    built = await read(session)
    examples = {item.ids.correction_id: item for item in built.train if item.ids}
    assert set(examples) == {mine.id, theirs.id}
    # The lines came back as they were stored, and the amount as it is printed.
    assert examples[mine.id].lines == tuple(receipt_lines())
    assert examples[mine.id].example.completion == '{"total":"9.00"}'
    assert "receipt: total" in examples[mine.id].example.messages[-1][1]
    (item,) = built.holdout
    assert (item.correction_id, item.reference["total"]) == (held_out.id, "9.00")
    json.dumps(built.manifest.as_json())


async def test_a_callers_own_type_in_the_version_that_was_asked(
    session: AsyncSession, tenant_id: UUID
) -> None:
    def schema(*names: str) -> dict[str, object]:
        return {"type": "object", "properties": {name: {"type": "string"} for name in names}}

    await put_type(session, tenant_id, "note", schema("number", "title"))
    await put_type(session, tenant_id, "note", schema("other"))
    await retire_type(session, tenant_id, "note")
    given = make_learnable(
        page_of("Note 7", "Hello"),
        {"number": None, "title": None},
        {"title": "Hello"},
        document_type="note",
        version=1,
    )
    await store(session, tenant_id, given)
    (made,) = (await read(session)).train
    assert made.example.messages[-1][1] == "Note 7\nHello\n\nnote: title"
    assert made.asked.document_type.version == 1


async def test_from_a_version_to_its_corrections_and_from_a_document_to_its_runs(
    session: AsyncSession, tenant_id: UUID
) -> None:
    first = await store(session, tenant_id, make_learnable(receipt_lines(), {"total": "9.00"}))
    held_out = await store(
        session, tenant_id, make_learnable(receipt_lines(), {"total": "9.00"}, holdout=True)
    )
    built = await read(session)
    run = await start_run(session, PROFILE.model_dump(), champion_id=None)
    await add_run_examples(session, run.id, built.manifest.rows())
    await finish_run(session, run.id, RunState.DONE, manifest=built.manifest.as_json())
    await register_model(session, NewModel("one", "one", "base", "/one", training_run_id=run.id))
    await register_model(session, NewModel("two", "two", "base", "/two", parent_id="one"))
    assert await learnt_by(session, "two") == {first.id}
    assert await learnt_by(session, None) == frozenset()

    # What the champion has learnt is not learnt anew; the holdout stays the holdout.
    second = await store(session, tenant_id, make_learnable(receipt_lines(), {"total": "9.00"}))
    again = await read(session, "two")
    assert [item.ids.correction_id for item in again.train if item.ids] == [second.id]
    assert [item.correction_id for item in again.holdout] == [held_out.id]

    (made,) = built.train
    assert made.ids is not None
    await erase_prediction(session, tenant_id, made.ids.prediction_id, actor="test")
    assert await runs_that_saw(session, made.ids.document_id) == [run.id]
    parts = {row.correction_id: row.part for row in await list_run_examples(session, run.id)}
    assert parts == {first.id: ExamplePart.TRAIN, held_out.id: ExamplePart.HOLDOUT}


async def test_a_held_correction_is_no_example(session: AsyncSession, tenant_id: UUID) -> None:
    record = {"total": "9.00", "subtotal": "8.40", "tax_total": "0.60"}
    await store(session, tenant_id, make_learnable(receipt_lines(), record, {"total": "99.00"}))
    assert (await read(session)).train == ()
