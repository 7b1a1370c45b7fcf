"""A real Prometheus scrapes the running service; every expression that people rely on has data."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from api.engine.group import free_port
from db.queries.audit import record_event
from db.queries.watching import BACKUP_DONE
from db.tables import Promotion, PromotionReason, TrainingRun
from extraction.engine import EngineStatus
from tests.factories_api import RECEIPT, TEXTS, GivenLines, document, form, make_extractor, serving
from tests.factories_watching import (
    DEPLOY,
    VLLM_TEXT,
    Prometheus,
    alerts,
    prometheus,
    records,
    unfiltered,
)
from tests.fakes import FakeEngine
from tests.probes import listening
from trainer.worker_metrics import WorkerMetrics

ROUNDS = 4
PANELS = {
    f"{path.stem}: {panel['title']}, {target['refId']}": target["expr"]
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
    for panel in json.loads(path.read_text())["panels"]
    for target in panel["targets"]
}


def train(worker: WorkerMetrics, number: int) -> None:
    """What a worker tells at a look, while cycles come and go."""
    worker.set_schedule(period_seconds=86400, least_corrections=20)
    worker.set_corrections(waiting=number, held=1)
    worker.set_last_success(datetime.now(UTC).timestamp() - 60)
    worker.show_run(TrainingRun(stage="sft", stage_progress=number / 10))
    for result in ("promoted", "failed"):
        worker.count_run(result, 100.0 * number)
    reason = PromotionReason.AUTOMATIC_ROLLBACK
    worker.count_rollbacks([Promotion(generation=number, model_version_id="v", reason=reason)])


async def test_every_panel_and_alert_has_data(database_url: str, tmp_path: Path) -> None:
    # The sum does not hold, so that there is a check that fails.
    answer = {name: value for name, value in RECEIPT.items() if name != "total"}
    engine = FakeEngine(json.dumps({**answer, "total": "RM7.00"}))
    engine.metrics = VLLM_TEXT
    lines = GivenLines((*TEXTS[:-1], "Total RM7.00"))
    extractor = make_extractor(engine, lines)
    worker = WorkerMetrics()
    async with (
        serving(database_url, tmp_path, engine=engine, extractor=extractor) as up,
        listening(up.app) as api,
    ):
        metrics = up.services.metrics
        async with up.sessions.begin() as session:
            await record_event(session, None, actor="test", action=BACKUP_DONE, subject="b")

        async def live() -> None:
            """Documents, verdicts of people, swaps, a canary and a shadow, by two versions."""
            for number in range(2 * ROUNDS):
                if number == ROUNDS:
                    engine.model = "fake-2"
                    engine.become(EngineStatus.READY)
                for verdict in ("correct", "corrected"):
                    sent = form(document(f"{number} {verdict}"), document_type="receipt")
                    found = await up.extract(**sent)
                    said = {"prediction_id": found["id"], "verdict": verdict}
                    if verdict == "corrected":
                        said["record"] = {"total": "8.00"}
                    response = await up.client.post("/feedback", json=said)
                    assert response.status_code == 201, response.text
                metrics.count_swap("reload", "done", 0.3)
                metrics.count_canary("canary")
                metrics.count_shadow("stored")
                train(worker, number)
                await asyncio.sleep(0.6)

        with worker_scraped(worker) as worker_port:
            folder = tmp_path / "prometheus"
            folder.mkdir()
            targets = {"docloop": api.port, "docloop-worker": worker_port}
            with prometheus(folder, targets) as server:
                await asyncio.to_thread(server.wait_until_scraping, 2)
                await live()
                await asyncio.sleep(1.2)
                await asyncio.to_thread(check_everything, server)


def check_everything(server: Prometheus) -> None:
    """All that the files ask is answered with numbers."""
    assert {row["metric"]["job"] for row in server.query("up == 1")} == {
        "docloop",
        "docloop-worker",
    }
    asked = {
        **PANELS,
        **records(),
        **{name: unfiltered(rule["expr"]) for name, rule in alerts().items()},
    }
    answers = {
        name: server.query(text.replace("$__rate_interval", "30s")) for name, text in asked.items()
    }
    assert [name for name, found in answers.items() if not found] == []
    served = answers["docloop:correction_ratio:served1d"][0]["value"][1]
    # Every second document was corrected, one field of it each time.
    assert float(served) == pytest.approx(0.5, abs=0.05)
    right = server.query('sum(docloop_reviewed_confidence_count{right="false"})')
    assert float(right[0]["value"][1]) == 2 * ROUNDS


@contextmanager
def worker_scraped(worker: WorkerMetrics) -> Iterator[int]:
    """The worker's metrics on a port; gives the port."""
    port = free_port()
    with worker.served("127.0.0.1", port):
        yield port


async def test_what_a_scrape_says_of_the_queue_the_disk_and_backups(
    database_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, tmp_path) as up:

        async def read(name: str) -> float:
            text = (await up.client.get("/metrics")).text
            found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
            assert found, name
            return float(found[1])

        assert await read("docloop_backup_last_success_timestamp_seconds") == 0
        assert await read("docloop_queue_age_seconds") == 0
        free = await read("docloop_disk_free_bytes")
        assert 0 < free < await read("docloop_disk_size_bytes")
        async with up.sessions.begin() as session:
            await record_event(session, None, actor="t", action=BACKUP_DONE, subject=str(uuid4()))
        ended = await read("docloop_backup_last_success_timestamp_seconds")
        assert abs(ended - datetime.now(UTC).timestamp()) < 60
        up.engine.become(EngineStatus.STARTING, "loading")
        response = await up.client.post("/extract?wait=false", **form(document("late")))
        assert response.status_code == 202
        await asyncio.sleep(0.05)
        assert await read("docloop_queue_age_seconds") >= 0
