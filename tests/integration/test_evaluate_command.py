"""`docloop evaluate`: each question answered once, whatever fails or dies."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from api.engine.server import SmokeFailed, SwapFailed
from api.engine.swapping import SwappingEngine
from api.evaluate import evaluate_run
from api.evaluate_engine import start
from db.blobs import FolderBlobStore
from db.errors import NotFound
from db.queries.document_types import put_type
from db.queries.documents import get_document, list_pages
from db.queries.evaluations import add_evaluations, list_evaluations, pending
from db.tables import Evaluation
from extraction.engine import EngineStatus, Prompt
from extraction.errors import EngineUnavailable
from extraction.lines import Line
from extraction.model_folder import open_model_folder
from extraction.pages import Page
from tests import waiting
from tests.factories_api import document
from tests.factories_evaluate import TILL, Asked, Sessions, make_asked, question_of
from tests.factories_swap import named
from tests.fakes import FakeServer

until = partial(waiting.until, seconds=10)

ROOT = Path(__file__).parents[2]


async def rows_of(asked: Asked, version: str | None = None) -> list[Evaluation]:
    async with asked.sessions() as session:
        return list(await list_evaluations(session, asked.run_id, model_version=version))


async def test_every_version_answers_every_question(sessions: Sessions, tmp_path: Path) -> None:
    asked = await make_asked(sessions, tmp_path)
    told: list[tuple[str, int]] = []
    done = await evaluate_run(asked.run_id, asked.parts(), lambda *one: told.append(one))
    assert (done.answered, done.failed, done.refused) == (6, 0, {})
    assert told == [("v-1", 1)] * 3 + [("v-2", 1)] * 3
    for row in await rows_of(asked):
        assert row.record is not None
        assert row.fields is not None
        assert row.record["receipt_number"] == row.model_version
        assert row.fields["receipt_number"]["value"] == row.model_version
        assert row.schema_valid
        assert row.duration_seconds is not None
        assert row.duration_seconds > 0
    (server,) = asked.servers  # one server, whose weights changed once
    assert server.reloads == ["v-2"]
    assert server.state().status is EngineStatus.STOPPED


async def test_nothing_pending_starts_no_engine(sessions: Sessions, tmp_path: Path) -> None:
    asked = await make_asked(sessions, tmp_path, documents=0)
    assert (await evaluate_run(asked.run_id, asked.parts())).answered == 0
    assert asked.engines == []
    with pytest.raises(NotFound, match="training run"):
        await evaluate_run(uuid4(), asked.parts())


async def test_the_question_is_asked_as_it_was_stored(sessions: Sessions, tmp_path: Path) -> None:
    """Some fields of a tenant's own type, in an old version of it."""
    asked = await make_asked(sessions, tmp_path, ["v-1"], documents=1)
    asked.answer = lambda _version, _prompt: '{"number": "17"}'
    text = {"type": "string"}
    async with sessions.begin() as session:
        for properties in ({"number": text, "seat": text}, {"row": text}):
            schema = {"type": "object", "properties": properties}
            await put_type(session, asked.tenant_id, "ticket", schema)
        (row,) = await pending(session, asked.run_id)
        ticket = replace(
            question_of(row),
            document_type="ticket",
            document_type_version=1,
            asked_fields=("number",),
        )
        await add_evaluations(session, [ticket])
    await evaluate_run(asked.run_id, asked.parts())
    (found,) = [row for row in await rows_of(asked) if row.document_type == "ticket"]
    assert (found.record, found.error) == ({"number": "17"}, None)


async def test_one_bad_document_is_an_answer_and_the_others_go_on(
    sessions: Sessions, tmp_path: Path
) -> None:
    asked = await make_asked(sessions, tmp_path, ["v-1"])
    async with sessions.begin() as session:
        first, *_ = await pending(session, asked.run_id)
        unknown = replace(question_of(first), document_type="ticket")
        await add_evaluations(session, [unknown])
    answers = iter(["{}", "{}", "no record at all"])  # the first two are for the smoke test

    def answer(version: str, prompt: Prompt) -> str:
        return next(answers, None) or named(version, prompt)

    asked.answer = answer
    done = await evaluate_run(asked.run_id, asked.parts(concurrency=1))
    assert (done.answered, done.failed) == (4, 2)
    errors = {row.document_type: row for row in await rows_of(asked) if row.error}
    assert str(errors["ticket"].error).startswith("unknown-document-type: ")
    assert str(errors["receipt"].error).startswith("unparseable-record: ")
    assert errors["receipt"].schema_valid is False
    assert "no record at all" not in str(errors["receipt"].error)


async def test_a_version_that_is_refused_answers_with_why(
    sessions: Sessions, tmp_path: Path
) -> None:
    asked = await make_asked(sessions, tmp_path, ["v-1", "v-2", "v-3"], documents=2)
    (asked.version_folder("v-1") / "model.safetensors").write_bytes(b"something else")
    (asked.version_folder("v-3") / "docloop.json").unlink()
    async with sessions.begin() as session:
        first, *_ = await pending(session, asked.run_id)
        await add_evaluations(session, [replace(question_of(first), model_version="v-0")])
    done = await evaluate_run(asked.run_id, asked.parts())
    assert (done.answered, done.failed) == (7, 5)
    assert sorted(done.refused) == ["v-0", "v-1", "v-3"]
    by_version = {row.model_version: str(row.error) for row in await rows_of(asked)}
    assert by_version["v-0"].startswith("not-found: ")
    assert by_version["v-1"].startswith("bad-model-folder: ")
    assert "SHA-256" in by_version["v-1"]
    assert (by_version["v-2"], by_version["v-3"][:17]) == ("None", "bad-model-folder:")


async def test_a_version_that_does_not_come_up_is_at_fault_where_another_one_does(
    sessions: Sessions, tmp_path: Path
) -> None:
    asked = await make_asked(sessions, tmp_path, ["v-1", "v-2", "v-3"], documents=2)
    for broken in ("v-1", "v-3"):
        asked.faults[broken] = SmokeFailed("a test answer is empty")
    done = await evaluate_run(asked.run_id, asked.parts())
    assert (done.answered, done.failed, sorted(done.refused)) == (6, 4, ["v-1", "v-3"])
    for row in await rows_of(asked):
        if row.model_version == "v-2":
            assert row.error is None
        else:
            assert str(row.error).startswith("swap-failed: ")
    assert all(server.state().status is EngineStatus.STOPPED for server in asked.servers)


async def test_where_none_comes_up_nothing_is_answered(sessions: Sessions, tmp_path: Path) -> None:
    asked = await make_asked(sessions, tmp_path, documents=1)
    asked.faults |= {version: EngineUnavailable("no memory") for version in ("v-1", "v-2")}
    with pytest.raises(SwapFailed, match="no memory"):
        await evaluate_run(asked.run_id, asked.parts())
    assert len(await rows_of(asked)) == 2
    assert all(row.answered_at is None for row in await rows_of(asked))
    assert all(server.state().status is EngineStatus.STOPPED for server in asked.servers)


async def test_an_engine_that_is_gone_is_no_answer(sessions: Sessions, tmp_path: Path) -> None:
    asked = await make_asked(sessions, tmp_path, ["v-1"])

    def die(_version: str, count: int) -> None:
        asked.servers[0].become(EngineStatus.FAILED, "killed")

    with pytest.raises(EngineUnavailable, match="killed"):
        await evaluate_run(asked.run_id, asked.parts(concurrency=1), die)
    answered = [row for row in await rows_of(asked) if row.answered_at is not None]
    assert (len(answered), answered[0].error) == (1, None)
    assert asked.servers[0].state().status is EngineStatus.STOPPED
    assert (await evaluate_run(asked.run_id, asked.parts())).answered == 2


async def test_a_document_that_no_engine_survives_does_not_stop_the_run(
    sessions: Sessions, tmp_path: Path
) -> None:
    asked = await make_asked(sessions, tmp_path, ["v-1"])
    calls = iter(range(100))

    def answer(version: str, prompt: Prompt) -> str:
        if next(calls) == 2:
            raise EngineUnavailable("it was lost twice")
        return named(version, prompt)

    asked.answer = answer
    done = await evaluate_run(asked.run_id, asked.parts(concurrency=1))
    assert (done.answered, done.failed) == (3, 1)


class PaperReader:
    """Finds the same lines on every page; counts the documents."""

    def __init__(self) -> None:
        self.count = 0

    async def read(self, pages: object) -> tuple[Line, ...]:
        assert isinstance(pages, list)
        assert isinstance(pages[0], Page)
        self.count += 1
        return tuple(TILL)


async def test_what_nobody_has_read_is_read_once_for_all_versions(
    sessions: Sessions, tmp_path: Path
) -> None:
    asked = await make_asked(sessions, tmp_path, documents=1, read=False)
    tenant_id, document_id = asked.tenant_id, asked.predictions[0].document_id
    blobs, reader = FolderBlobStore(tmp_path / "blobs"), PaperReader()
    key = await blobs.put(document())
    async with sessions.begin() as session:
        (await get_document(session, tenant_id, document_id)).blob_key = key
    done = await evaluate_run(asked.run_id, asked.parts(reader=reader, blobs=blobs))
    assert (done.answered, done.failed, reader.count) == (2, 0, 1)
    async with sessions() as session:
        (page,) = await list_pages(session, tenant_id, document_id)
    assert page.lines is not None
    assert [line["text"] for line in page.lines] == [line.text for line in TILL]


async def test_interrupted_it_ends_the_engine_and_goes_on_later(
    sessions: Sessions, tmp_path: Path
) -> None:
    asked = await make_asked(sessions, tmp_path, documents=4)
    told: list[str] = []

    def hold(version: str, _count: int) -> None:
        told.append(version)
        if len(told) == 3:
            asked.servers[0].hold.clear()

    task = asyncio.create_task(evaluate_run(asked.run_id, asked.parts(concurrency=1), hold))
    await until(lambda: len(told) == 3)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asked.servers[0].state().status is EngineStatus.STOPPED
    before = {row.id: row.answered_at for row in await rows_of(asked) if row.answered_at}
    assert len(before) == 3
    done = await evaluate_run(asked.run_id, asked.parts())
    assert done.answered == 5
    after = {row.id: row.answered_at for row in await rows_of(asked)}
    assert {row_id: after[row_id] for row_id in before} == before
    assert all(after.values())


KILLED = """
import asyncio, sys, time
from pathlib import Path
from uuid import UUID
from api.evaluate import evaluate_run
from db.sessions import make_engine, make_sessions
from tests.factories_evaluate import Asked
from tests.factories_swap import named

def slow(version, prompt):
    time.sleep(0.3)
    return named(version, prompt)

async def main(url, folder, run):
    engine = make_engine(url)
    asked = Asked(Path(folder), make_sessions(engine), UUID(run), UUID(run), [], slow)
    await evaluate_run(asked.run_id, asked.parts(concurrency=1))

asyncio.run(main(*sys.argv[1:]))
"""


async def test_killed_half_way_the_next_call_answers_the_rest(
    sessions: Sessions, database_url: str, tmp_path: Path
) -> None:
    asked = await make_asked(sessions, tmp_path, documents=5)
    command = [sys.executable, "-c", KILLED, database_url, str(tmp_path), str(asked.run_id)]
    process = subprocess.Popen(command, cwd=ROOT)  # noqa: ASYNC220, S603
    answered: dict[object, object] = {}
    deadline = time.monotonic() + 60
    while len(answered) < 3 and process.poll() is None and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        answered = {row.id: row.answered_at for row in await rows_of(asked) if row.answered_at}
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    answered = {row.id: row.answered_at for row in await rows_of(asked) if row.answered_at}
    assert 3 <= len(answered) < 10
    done = await evaluate_run(asked.run_id, asked.parts())
    assert (done.answered, done.failed) == (10 - len(answered), 0)
    after = {row.id: row.answered_at for row in await rows_of(asked)}
    assert {row_id: after[row_id] for row_id in answered} == answered
    for row in await rows_of(asked):
        assert row.record is not None
        assert row.record["receipt_number"] == row.model_version


async def test_two_calls_at_once_answer_each_question_once(
    sessions: Sessions, tmp_path: Path
) -> None:
    asked = await make_asked(sessions, tmp_path, ["v-1"], documents=6)
    calls = [evaluate_run(asked.run_id, asked.parts()) for _ in range(2)]
    done = await asyncio.gather(*calls)
    assert sum(one.answered for one in done) == 6


async def test_an_engine_that_does_not_start_in_time_is_ended(
    sessions: Sessions, tmp_path: Path
) -> None:
    asked = await make_asked(sessions, tmp_path, ["v-1"], documents=0)
    model = open_model_folder(asked.version_folder("v-1"))
    server = FakeServer(model)
    server._starts = False
    with pytest.raises(SwapFailed, match="does not start: loading"):
        await start(SwappingEngine(model, server), model, timeout_seconds=0.2)
    assert server.state().status is EngineStatus.STOPPED


async def test_an_engine_that_has_another_version_is_brought_to_the_asked_one(
    sessions: Sessions, tmp_path: Path
) -> None:
    """As remote servers are: they serve something already."""
    asked = await make_asked(sessions, tmp_path, documents=0)
    first, second = (open_model_folder(asked.version_folder(v)) for v in ("v-1", "v-2"))
    server = FakeServer(first)
    engine = await start(SwappingEngine(first, server), second, timeout_seconds=1.0)
    assert engine.champion.version == "v-2"
    await engine.stop()


def call(folder: Path, url: str, run: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DOCLOOP_", "DATABASE_"))}
    paths = {"DOCLOOP_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT)}
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "api.cli", "evaluate", "--run", run],
        env={**clean, **paths, "DOCLOOP_DATABASE_URL": url},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_command_says_what_it_did(database_url: str, tmp_path: Path) -> None:
    run = uuid4()
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO training_runs (id, state, config) VALUES (%s, 'running', '{}')", [run]
        )
    done = call(tmp_path, database_url, str(run))
    assert (done.returncode, done.stdout) == (0, "")
    assert "0 answered" in done.stderr
    unknown = call(tmp_path, database_url, str(uuid4()))
    assert unknown.returncode == 1
    assert "There is no training run" in unknown.stderr
    assert call(tmp_path, database_url, "seven").returncode == 2
