from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.evaluations import (
    EvaluationAnswer,
    NewEvaluation,
    add_evaluations,
    answer,
    list_evaluations,
    pending,
)
from db.queries.predictions import erase_prediction
from db.tables import Prediction, TrainingRun
from tests.factories_db import make_answered, make_document, make_prediction, make_run


def question(run: TrainingRun, prediction: Prediction, version: str = "v-1") -> NewEvaluation:
    return NewEvaluation(
        run_id=run.id,
        model_version=version,
        set_name="holdout",
        tenant_id=prediction.tenant_id,
        document_id=prediction.document_id,
        document_type="receipt",
        reference={"total": "9.00", "date": None},
        prediction_id=prediction.id,
        asked_fields=("total", "date"),
        options={"reasoning": False, "format": "json", "ocr": True},
    )


async def test_asked_once_and_answered_once(session: AsyncSession, tenant_id: UUID) -> None:
    run = await make_run(session)
    rows = [
        question(run, await make_answered(session, tenant_id), version)
        for version in ("b", "a", "b")
    ]
    await add_evaluations(session, rows)
    await add_evaluations(session, rows)
    await add_evaluations(session, [])
    waiting = await pending(session, run.id)
    assert [row.model_version for row in waiting] == ["a", "b", "b"]
    first = waiting[0]
    assert list(first.reference) == ["total", "date"]
    given = EvaluationAnswer(
        record={"total": "9.00", "date": None},
        fields={"total": {"value": "9.00"}},
        schema_valid=True,
        duration_seconds=1.25,
    )
    assert await answer(session, first.id, given)
    assert not await answer(session, first.id, EvaluationAnswer(error="late"))
    assert [row.model_version for row in await pending(session, run.id)] == ["b", "b"]
    (found,) = await list_evaluations(session, run.id, model_version="a")
    assert (found.record, found.error) == ({"total": "9.00", "date": None}, None)
    assert (found.schema_valid, found.duration_seconds) == (True, 1.25)
    assert found.answered_at is not None


async def test_an_error_is_an_answer(session: AsyncSession, tenant_id: UUID) -> None:
    run = await make_run(session)
    await add_evaluations(session, [question(run, await make_answered(session, tenant_id))])
    (row,) = await pending(session, run.id)
    assert await answer(session, row.id, EvaluationAnswer(error="unparseable-record"))
    assert await pending(session, run.id) == []
    (found,) = await list_evaluations(session, run.id)
    assert (found.error, found.record) == ("unparseable-record", None)


async def test_sets_and_runs_are_apart(session: AsyncSession, tenant_id: UUID) -> None:
    run, other = await make_run(session), await make_run(session)
    asked = question(run, await make_answered(session, tenant_id))
    golden = replace(asked, set_name="passports")
    await add_evaluations(session, [asked, golden, replace(asked, run_id=other.id)])
    assert len(await list_evaluations(session, run.id)) == 2
    (found,) = await list_evaluations(session, run.id, set_name="passports")
    assert found.set_name == "passports"
    assert len(await pending(session, other.id)) == 1
    assert await pending(session, uuid4()) == []


async def test_an_erasure_takes_what_was_asked_and_answered(
    session: AsyncSession, tenant_id: UUID
) -> None:
    """The document stays for another prediction; what came from the erased one goes all the same"""
    run = await make_run(session)
    document = await make_document(session, tenant_id)
    erased = await make_answered(session, tenant_id, document=document)
    kept = await make_prediction(session, tenant_id, document=document)
    golden = replace(question(run, kept), set_name="golden", prediction_id=None)
    await add_evaluations(session, [question(run, erased), golden])
    (row, _) = await pending(session, run.id)
    await erase_prediction(session, tenant_id, erased.id, actor="a")
    assert [found.set_name for found in await list_evaluations(session, run.id)] == ["golden"]
    assert not await answer(session, row.id, EvaluationAnswer(record={"total": "1"}))
    await erase_prediction(session, tenant_id, kept.id, actor="a")
    assert await list_evaluations(session, run.id) == []


async def test_nobody_is_asked_of_anothers_document(
    session: AsyncSession, tenant_id: UUID, stranger_id: UUID
) -> None:
    run = await make_run(session)
    theirs = question(run, await make_answered(session, stranger_id))
    with pytest.raises(IntegrityError):
        await add_evaluations(session, [replace(theirs, tenant_id=tenant_id)])
