"""POST /extract where an answer takes its time, or outlives its caller, its worker, its process."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api import jobs
from api.type_lookup import find_type
from db.sessions import make_engine
from tests import factories_documents
from tests.factories_api import Serving, document, form, receipt_engine, serving


async def test_a_full_queue_is_told_at_once(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, max_concurrency=1, queue_size=0) as up:
        up.engine.hold.clear()
        first = asyncio.create_task(up.client.post("/extract", **form()))
        await up.until_asked()
        second = await up.client.post("/extract", **form(document("two")))
        assert second.status_code == 429
        assert int(second.headers["retry-after"]) > 0
        up.engine.hold.set()
        assert (await first).status_code == 200


async def test_a_client_that_hangs_up_finds_its_answer(up: Serving) -> None:
    up.engine.hold.clear()
    headers = {"idempotency-key": "gone"}
    request = asyncio.create_task(up.client.post("/extract", **form(), headers=headers))
    await up.until_asked()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    up.engine.hold.set()
    again = await up.client.post("/extract", **form(), headers=headers)
    assert again.status_code == 200
    assert len(up.engine.prompts) == 1


async def test_without_waiting(up: Serving) -> None:
    response = await up.client.post("/extract?wait=false", **form(document_type="receipt"))
    assert response.status_code == 202, response.text
    answer = response.json()
    assert response.headers["location"] == f"/predictions/{answer['id']}"
    assert answer["state"] == "queued"
    assert (answer["record"], answer["finished_at"]) == (None, None)
    done = await up.until_done(answer["id"])
    assert (done["state"], done["record"]["total"]) == ("done", "9.00")


async def test_without_waiting_bad_documents_are_refused_at_once(up: Serving) -> None:
    response = await up.client.post("/extract?wait=false", **form(factories_documents.gif()))
    assert response.status_code == 415
    assert await up.count() == 0


async def test_what_takes_too_long_goes_on_behind_a_202(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, wait_timeout_seconds=0.2) as up:
        up.engine.hold.clear()
        response = await up.client.post("/extract", **form())
        assert (response.status_code, response.json()["state"]) == (202, "running")
        up.engine.hold.set()
        assert (await up.until_done(response.json()["id"]))["state"] == "done"


async def test_a_queued_document_survives_a_restart(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path) as up:
        up.engine.hold.clear()
        response = await up.client.post("/extract?wait=false", **form())
        await up.until_asked()
    async with serving(database_url, tmp_path) as up:
        done = await up.until_done(response.json()["id"])
        assert done["state"] == "done"


async def test_a_job_of_a_killed_process_is_taken_up_again(
    database_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, tmp_path, job_concurrency=1) as up:
        up.engine.hold.clear()
        response = await up.client.post("/extract?wait=false", **form())
        await up.until_asked()
    async with serving(database_url, tmp_path, engine=receipt_engine()) as up:
        await up.until_done(response.json()["id"])
    # As a kill leaves it: the job is being done by a worker that is silent since long.
    await _pretend_kill(database_url, response.json()["id"], attempts=1)
    async with serving(database_url, tmp_path) as up:
        assert (await up.until_done(response.json()["id"]))["state"] == "done"
        assert len(up.engine.prompts) == 1


async def test_a_document_that_kills_its_worker_is_given_up(
    database_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, tmp_path) as up:
        response = await up.client.post("/extract?wait=false", **form())
        await up.until_done(response.json()["id"])
    await _pretend_kill(database_url, response.json()["id"], attempts=9)
    async with serving(database_url, tmp_path) as up:
        failed = await up.until_done(response.json()["id"])
        assert failed["state"] == "failed"
        assert failed["error"]["type"] == "/problems/processing-failed"
        assert up.engine.prompts == []


async def test_a_job_that_loses_the_database_begins_again(
    up: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = 0

    async def cuts_once(session: AsyncSession, *asked: Any) -> Any:
        nonlocal cut
        cut += 1
        if cut == 1:
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return await find_type(session, *asked)

    monkeypatch.setattr(jobs, "find_type", cuts_once)
    response = await up.client.post("/extract?wait=false", **form(document_type="receipt"))
    done = await up.until_done(response.json()["id"])
    assert (done["state"], done["record"]["total"]) == ("done", "9.00")
    assert cut > 1


async def _pretend_kill(database_url: str, prediction_id: str, attempts: int) -> None:
    engine = make_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "UPDATE predictions SET state = 'running', finished_at = NULL, record = NULL"
                " WHERE id = :id"
            ),
            {"id": prediction_id},
        )
        worker = await connection.scalar(
            text(
                "INSERT INTO procrastinate_workers (last_heartbeat)"
                " VALUES (now() - interval '1 hour') RETURNING id"
            )
        )
        await connection.execute(
            text(
                "INSERT INTO procrastinate_jobs"
                " (queue_name, task_name, args, status, attempts, worker_id)"
                " SELECT 'extract', 'extract', jsonb_build_object("
                "'tenant_id', tenant_id::text, 'prediction_id', id::text),"
                " 'doing', :attempts, :worker FROM predictions WHERE id = :id"
            ),
            {"attempts": attempts, "worker": worker, "id": prediction_id},
        )
    await engine.dispose()


async def test_a_caller_whose_process_died_may_try_again(database_url: str, tmp_path: Path) -> None:
    headers = {"idempotency-key": "died"}
    async with serving(database_url, tmp_path) as up:
        first = await up.client.post("/extract", **form(), headers=headers)
    engine = make_engine(database_url)
    async with engine.begin() as connection:
        # As a kill leaves it: running, by a process whose lock is free.
        await connection.execute(
            text("UPDATE predictions SET state = 'running', finished_at = NULL, record = NULL")
        )
    await engine.dispose()
    async with serving(database_url, tmp_path) as up:
        again = await up.client.post("/extract", **form(), headers=headers)
        assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
        assert again.json()["record"]["total"] == "9.00"


async def test_a_stop_ends_what_somebody_waits_for(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path) as up:
        up.engine.hold.clear()
        waiting = asyncio.create_task(up.client.post("/extract", **form()))
        await up.until_asked()
    await asyncio.gather(waiting, return_exceptions=True)
    async with serving(database_url, tmp_path) as up:
        (row,) = (await up.client.get("/predictions")).json()["predictions"]
        assert row["state"] == "failed"
        assert row["error"]["type"] == "/problems/interrupted"
