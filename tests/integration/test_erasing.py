"""An erased document leaves the reports and folders of the runs that saw it."""

import json
from pathlib import Path
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.queries.keys import ensure_tenant
from db.queries.predictions import erase_prediction
from db.queries.runs import RunExampleRow, add_run_examples, finish_run
from db.tables import ExamplePart, RunState
from tests.factories_db import make_answered, make_document, make_run, make_screened
from trainer.erasing import ForgetErased
from trainer.report.summary import FieldChange, Outcome, PageChange, RunSummary
from trainer.report.write import write_report

SECRET, KEPT = "Ana Secret-Surname", "Corner Store Kept"
PICTURE = "/9j/aPictureOfTheErasedPage"


def page(document_id: UUID, value: str) -> PageChange:
    field = FieldChange("name", "old", value, value, 0.0, 1.0)
    return PageChange(str(document_id), "receipt", 0.0, 1.0, (field,), PICTURE)


def report(folder: Path, run_id: UUID, pages: tuple[PageChange, ...]) -> None:
    summary = RunSummary(
        run_id=str(run_id),
        profile="small",
        outcome=Outcome.PROMOTED,
        champion="one",
        candidate="two",
        started_at="2026-11-22T12:00:00+00:00",
        reasons=(),
        fixed=pages,
    )
    write_report(folder, summary)


def contents(folder: Path) -> str:
    return "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


async def test_an_erased_document_leaves_the_run_that_saw_it(
    sessions: async_sessionmaker[AsyncSession], tmp_path: Path
) -> None:
    async with sessions.begin() as session:
        owner = (await ensure_tenant(session, "first")).id
        run_id = (await make_run(session)).id
        rows, documents, predictions = [], [], []
        # The second prediction keeps the first one's document in the database.
        for document in [await make_document(session, owner)] * 2 + [
            await make_document(session, owner)
        ]:
            prediction = await make_answered(session, owner, document=document)
            correction = await make_screened(session, owner, prediction)
            rows.append(
                RunExampleRow(
                    correction_id=correction.id,
                    prediction_id=prediction.id,
                    document_id=document.id,
                    content_sha256=document.content_sha256,
                    part=ExamplePart.HOLDOUT,
                    fields=("name",),
                )
            )
            documents.append(document.id)
            predictions.append(prediction.id)
        await add_run_examples(session, run_id, [rows[0], rows[2]])
    folder = tmp_path / str(run_id)
    report(folder, run_id, (page(documents[0], SECRET), page(documents[2], KEPT)))
    (folder / "examples.jsonl").write_text(SECRET)
    (folder / "pages").mkdir()
    (folder / "pages" / "one.jpg").write_text(PICTURE)
    items = [{"document_id": str(documents[i]), "reference": SECRET} for i in (0, 2)]
    (folder / "material.json").write_text(json.dumps({"items": items, "manifest": {}}))

    duty = ForgetErased(tmp_path)
    assert await duty(sessions) == 0
    assert SECRET in contents(folder)
    async with sessions.begin() as session:
        await erase_prediction(session, owner, predictions[0], actor="test")
    assert await duty(sessions) == 1
    html = (folder / "report.html").read_text()
    assert SECRET not in html
    assert KEPT in html
    assert "erased since" in html
    assert SECRET not in (folder / "summary.json").read_text()
    kept = json.loads((folder / "material.json").read_text())["items"]
    assert [item["document_id"] for item in kept] == [str(documents[2])]
    # A run that goes on needs its examples; when it is over, whatever its end, they go.
    assert (folder / "examples.jsonl").exists()
    async with sessions.begin() as session:
        await finish_run(session, run_id, RunState.FAILED)
    assert await duty(sessions) == 1
    assert SECRET not in contents(folder)
    assert not (folder / "pages").exists()
    assert await duty(sessions) == 0
    async with sessions.begin() as session:
        await erase_prediction(session, owner, predictions[2], actor="test")
    assert await duty(sessions) == 1
    assert KEPT not in contents(folder)
    assert PICTURE not in contents(folder)
