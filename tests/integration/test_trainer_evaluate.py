"""Questions to versions, a command that answers them, and the scores that come of it.

The command is a script here that answers rows as `docloop evaluate` does; what it answers is told
by the version's name. Everything around it is real: the rows, the process, its death and retry.
"""

import asyncio
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from db.queries.document_types import put_type, retire_type
from db.queries.evaluations import list_evaluations
from db.queries.keys import ensure_tenant
from db.queries.runs import start_run
from db.tables import Evaluation
from tests.factories_db import make_document
from trainer.evaluate import EvaluationFailed, EvaluationItem, evaluate, type_label

Sessions = async_sessionmaker[AsyncSession]


def script(folder: Path, body: str) -> Path:
    """A program with the pending rows at hand; `body` answers them."""
    head = """
        import os, sys, time
        from pathlib import Path
        import psycopg
        from psycopg.types.json import Json

        url, folder, run = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
        connection = psycopg.connect(url, autocommit=True)
        starts = len(list(folder.glob("start-*")))
        (folder / f"start-{starts}").write_text(str(os.getpid()))
        rows = connection.execute(
            "SELECT id, model_version FROM evaluations"
            " WHERE run_id = %s AND answered_at IS NULL ORDER BY id", [run]
        ).fetchall()

        def answer(row, record, valid=True, error=None):
            connection.execute(
                "UPDATE evaluations SET record = %s, schema_valid = %s, duration_seconds = 1.5,"
                " error = %s, answered_at = now() WHERE id = %s",
                [None if record is None else Json(record), valid, error, row[0]],
            )

        print("answering", len(rows), flush=True)
    """
    path = folder / "answer.py"
    path.write_text(textwrap.dedent(head) + textwrap.dedent(body))
    return path


class Evaluating:
    """A run with documents, and a command to answer about them."""

    def __init__(
        self, sessions: Sessions, url: str, folder: Path, run_id: UUID, items: list[EvaluationItem]
    ) -> None:
        self.sessions, self.url, self.folder = sessions, url, folder
        self.run_id, self.items = run_id, items
        self.heard: list[tuple[int, int]] = []

    async def __call__(
        self, body: str, versions: tuple[str, ...] = ("old", "new"), **how: Any
    ) -> Any:
        command = (
            *(sys.executable, str(script(self.folder, body))),
            *(self.url, str(self.folder)),
        )
        return await evaluate(
            self.sessions,
            self.run_id,
            versions,
            self.items,
            log_file=self.folder / "evaluate.log",
            report=lambda answered, asked: self.heard.append((answered, asked)),
            command=command,
            poll_seconds=0.05,
            **how,
        )

    @property
    def starts(self) -> list[int]:
        """Process ids of the command's starts."""
        return [int(path.read_text()) for path in sorted(self.folder.glob("start-*"))]


def item(tenant_id: UUID, document_id: UUID, set_name: str, **values: Any) -> EvaluationItem:
    reference: Mapping[str, Any] = {
        "total": "9.00",
        "merchant_name": "ALPHA",
        "discount_total": None,
    }
    return EvaluationItem(
        **{
            "set_name": set_name,
            "tenant_id": tenant_id,
            "document_id": document_id,
            "document_type": "receipt",
            "reference": reference,
            **values,
        }
    )


@pytest.fixture
async def evaluating(sessions: Sessions, database_url: str, tmp_path: Path) -> Evaluating:
    async with sessions.begin() as session:
        tenant_id = (await ensure_tenant(session, "first")).id
        run = await start_run(session, {"seed": 7}, champion_id=None)
        documents = [await make_document(session, tenant_id) for _ in range(3)]
    items = [
        item(tenant_id, documents[0].id, "holdout"),
        item(tenant_id, documents[1].id, "holdout"),
        item(tenant_id, documents[2].id, "till"),
    ]
    return Evaluating(sessions, database_url, tmp_path, run.id, items)


BY_VERSION = """
    RIGHT = {"total": "9.00", "merchant_name": "alpha", "discount_total": None}
    WRONG = RIGHT | {"total": "8.00", "discount_total": "0.50"}
    for row in rows:
        answer(row, RIGHT if row[1] == "new" else WRONG)
"""


async def test_answers_are_scored_by_version_and_set(evaluating: Evaluating) -> None:
    found = await evaluating(BY_VERSION)
    assert set(found) == {(v, s) for v in ("old", "new") for s in ("holdout", "till")}
    new, old = found["new", "holdout"], found["old", "holdout"]
    assert (new.mean, new.schema_valid_ratio, new.mean_duration_seconds) == (1.0, 1.0, 1.5)
    # One right and one wrong field, and one that is confirmed to be absent was invented.
    assert old.mean == pytest.approx(1 / 3)
    assert old.field_means() == {
        "receipt.merchant_name": 1.0,
        "receipt.discount_total": 0.0,
        "receipt.total": 0.0,
    }
    assert new.field_means()["receipt.discount_total"] == 1.0, "rightly left out"
    assert list(old.type_means()) == ["receipt"]
    assert [entry.key for entry in old.documents] == [entry.key for entry in new.documents]
    assert evaluating.heard[-1] == (6, 6)
    assert len(evaluating.starts) == 1
    assert b"answering 6" in (evaluating.folder / "evaluate.log").read_bytes()


async def test_errors_and_invalid_answers_score_zero(evaluating: Evaluating) -> None:
    body = """
        for number, row in enumerate(rows):
            if number == 0:
                answer(row, None, valid=None, error="prompt-too-long: the page has too many lines")
            elif number == 1:
                answer(row, None, valid=False, error="unparseable-record: no JSON object")
            else:
                answer(row, {"total": 9}, valid=False)
    """
    evaluating.items = [replace(entry, set_name="holdout") for entry in evaluating.items]
    found = (await evaluating(body, ("old",)))["old", "holdout"]
    assert sorted(entry.score for entry in found.documents) == [0.0, 0.0, 0.5]
    for failed in [entry for entry in found.documents if entry.failed]:
        assert failed.fields == {"total": 0.0, "merchant_name": 0.0, "discount_total": 0.0}
    # What the model wrote is its answer; a document that it was not asked is none.
    assert (found.error_count, found.unserved_count, found.schema_valid_ratio) == (2, 1, 0.0)


async def test_a_command_that_dies_is_started_once_more_and_goes_on(evaluating: Evaluating) -> None:
    body = """
        for number, row in enumerate(rows):
            if number == 4 and starts == 0:
                os.kill(os.getpid(), 9)
            answer(row, {"total": "9.00"})
    """
    found = await evaluating(body)
    assert len(evaluating.starts) == 2
    assert b"answering 6" in (log := (evaluating.folder / "evaluate.log").read_bytes())
    assert b"answering 2" in log
    assert sum(len(scores.documents) for scores in found.values()) == 6


async def test_unanswered_questions_are_never_scored(evaluating: Evaluating) -> None:
    body = """
        answer(rows[0], {"total": "9.00"})
        sys.exit(3 * starts)
    """
    with pytest.raises(EvaluationFailed, match=r"ended with status 3 and left 4 of 6") as caught:
        await evaluating(body)
    assert len(evaluating.starts) == 2
    assert (caught.value.left, caught.value.asked, caught.value.status) == (4, 6, 3)


async def test_what_is_answered_is_not_asked_again(evaluating: Evaluating) -> None:
    first = await evaluating(BY_VERSION)
    again = await evaluating("sys.exit('nobody should start this')")
    assert again == first
    assert len(evaluating.starts) == 1
    # A third version asks for itself alone.
    third = await evaluating(BY_VERSION, ("third",))
    assert set(third) == {("third", "holdout"), ("third", "till")}
    assert b"answering 3" in (evaluating.folder / "evaluate.log").read_bytes()


async def test_a_command_that_hangs_is_ended(evaluating: Evaluating) -> None:
    body = """
        answer(rows[0], {"total": "9.00"})
        time.sleep(600)
    """
    with pytest.raises(EvaluationFailed, match="gave no sign of life"):
        await evaluating(body, stall_seconds=3.0)
    assert not any(psutil.pid_exists(pid) for pid in evaluating.starts)


async def test_cancelling_ends_the_command(evaluating: Evaluating) -> None:
    waiting = asyncio.create_task(evaluating("time.sleep(600)"))
    for _ in range(400):
        await asyncio.sleep(0.05)
        if evaluating.starts:
            break
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    (pid,) = evaluating.starts
    assert not psutil.pid_exists(pid)


async def test_a_document_erased_meanwhile_is_missing_on_both_sides(evaluating: Evaluating) -> None:
    body = """
        document = connection.execute("SELECT document_id FROM evaluations LIMIT 1").fetchone()
        connection.execute("DELETE FROM documents WHERE id = %s", document)
        for row in rows:
            answer(row, {"total": "9.00"})
    """
    found = await evaluating(body)
    old, new = found["old", "holdout"], found["new", "holdout"]
    assert [entry.key for entry in old.documents] == [entry.key for entry in new.documents]
    assert len(old.documents) == 1


async def test_tenants_own_types_are_theirs(evaluating: Evaluating, sessions: Sessions) -> None:
    schema = {"type": "object", "properties": {"number": {"type": "string"}}}
    async with sessions.begin() as session:
        tenant_id = evaluating.items[0].tenant_id
        stored = (await put_type(session, tenant_id, "ticket", schema)).stored
        await put_type(session, tenant_id, "gone", schema)
        await retire_type(session, tenant_id, "gone")
    document_id = evaluating.items[0].document_id
    ticket = {"reference": {"number": "A 7"}, "asked_fields": ("number",)}
    evaluating.items = [
        item(
            *(tenant_id, document_id, "holdout"),
            document_type="ticket",
            document_type_version=stored.version,
            **ticket,
        ),
        item(tenant_id, document_id, "holdout", document_type="gone", **ticket),
    ]
    found = await evaluating("for row in rows: answer(row, {'number': 'A 7'})", ("old",))
    label = type_label("ticket", tenant_id)
    assert label == f"ticket@{tenant_id.hex[-8:]}"
    assert found["old", "holdout"].field_means() == {f"{label}.number": 1.0}
    assert type_label("receipt", uuid4()) == "receipt"


async def test_scores_are_made_from_the_rows_each_time(
    evaluating: Evaluating, sessions: Sessions
) -> None:
    await evaluating(BY_VERSION)
    async with sessions.begin() as session:
        await session.execute(update(Evaluation).values(reference={"total": "8.00"}))
        rows = await list_evaluations(session, evaluating.run_id, model_version="old")
    assert len(rows) == 3
    found = await evaluating("sys.exit('nobody should start this')")
    assert (found["old", "holdout"].mean, found["new", "holdout"].mean) == (1.0, 0.0)
