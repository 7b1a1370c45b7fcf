"""Many requests at once: slowed or turned away, and memory bounded all the while."""

import asyncio
import gc
from pathlib import Path
from typing import Any

from db.tables import Correction
from extraction.engine import EngineStatus
from tests import factories_documents as made
from tests.factories_api import Serving, document, form, serving
from tests.probes import count_rows, memory, problem_in

MEGABYTE = 1_000_000


async def still_answers(up: Serving) -> None:
    assert (await up.extract(**form(document("after"))))["state"] == "done"


async def test_a_flood_of_feedback_is_slowed(database_url: str, tmp_path: Path) -> None:
    async with serving(database_url, tmp_path, rate_limit_per_minute=10) as up:
        answer = await up.extract(**form(document_type="receipt"))
        said = {"prediction_id": answer["id"], "verdict": "corrected"}
        responses = await asyncio.gather(
            *(
                up.client.post("/feedback", json={**said, "record": {"total": f"{n}.00"}})
                for n in range(100)
            )
        )
        statuses = [response.status_code for response in responses]
        assert set(statuses) == {201, 429}
        assert statuses.count(201) <= 10
        for response in responses:
            if response.status_code == 429:
                problem_in(response, 429, "rate-limited")
                assert int(response.headers["retry-after"]) >= 1
        assert await count_rows(up, Correction) == statuses.count(201)
        stranger = up.as_key(await up.make_key("stranger"))
        assert (await stranger.get("/models")).status_code == 200


async def test_a_flood_of_documents_is_turned_away_before_it_fills_the_memory(
    database_url: str, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "max_concurrency": 2,
        "queue_size": 30,
        "max_held_bytes": 250 * MEGABYTE,
    }
    async with serving(database_url, tmp_path, **settings) as up:
        up.engine.hold.clear()
        content = made.pdf(pages=8)  # 90 MB as pixels
        with memory() as growth:
            requests = [
                asyncio.create_task(up.client.post("/extract", **form(content))) for _ in range(20)
            ]
            async with asyncio.timeout(90):
                while sum(request.done() for request in requests) < 18:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            up.engine.hold.set()
            responses = await asyncio.gather(*requests)
        statuses = sorted(response.status_code for response in responses)
        assert statuses == [200, 200, *[429] * 18]
        for response in responses:
            if response.status_code == 429:
                problem_in(response, 429, "queue-full")
                assert int(response.headers["retry-after"]) >= 1
        # Twenty would take 1.8 GB and more; the two being drawn come on top of what is held.
        assert growth.bytes < 1200 * MEGABYTE, growth.bytes
        await still_answers(up)


async def test_failed_documents_are_let_go_at_once(database_url: str, tmp_path: Path) -> None:
    gc.disable()  # only the counts of references may free them
    try:
        async with serving(database_url, tmp_path) as up:
            up.engine.become(EngineStatus.FAILED, "it was killed")
            content = made.flat_png(2000, 2000)  # 16 MB as pixels
            with memory() as growth:
                for _ in range(20):
                    response = await up.client.post("/extract", **form(content))
                    problem_in(response, 503, "engine-unavailable")
            assert growth.bytes < 120 * MEGABYTE, growth.bytes
    finally:
        gc.enable()
