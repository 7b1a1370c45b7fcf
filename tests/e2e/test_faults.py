"""The real service, killed part by part under load: nothing that was acknowledged is lost."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from faults import TYPE, Ledger, Load, kill, missing, page, serving_slips, until_answered
from running_service import RunningService

from trainer.tiny_models import build_idefics3, write_card

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(420)]

KILLS = 2
IN_FLIGHT = 50
BACK_SECONDS = 60
FORM = {"document_type": TYPE, "ocr": "off"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    folder = tmp_path_factory.mktemp("faults")
    model = write_card(build_idefics3(folder / "model"), "tiny-vision", sees_images=True)
    settings = {"DOCLOOP_ENGINE_THREADS": "1", "DOCLOOP_OCR_ENABLED": "false"}
    async with serving_slips(RunningService(folder / "data", model, settings)) as service:
        yield service


async def post(client: httpx.AsyncClient, number: int) -> httpx.Response:
    files = {"file": ("page.png", page(number), "image/png")}
    return await client.post("/extract", data=FORM, files=files)


async def test_a_killed_engine_costs_no_answer(service: RunningService) -> None:
    async with service.client() as client:
        asked = [asyncio.create_task(post(client, 1000 + n)) for n in range(IN_FLIGHT)]
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        killed = service.engine_pid()
        os.kill(killed, signal.SIGKILL)
        began = time.monotonic()
        answers = await asyncio.gather(*asked)
        for answer in answers:
            assert answer.status_code == 200 or (
                answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
            ), answer.text
        await until_answered(service)
        assert time.monotonic() - began < BACK_SECONDS
        assert service.engine_pid() != killed
    ledger = Ledger(records={a.json()["id"]: a.json()["record"] for a in answers if a.is_success})
    assert await missing(service, ledger) == []


@pytest.mark.parametrize("target", ["postgres", "api"])
async def test_kills_under_load_lose_nothing_acknowledged(
    service: RunningService, target: str
) -> None:
    ledger = Ledger()
    async with Load(service, 4, ledger):
        for _ in range(KILLS):
            await asyncio.sleep(1.5)
            await kill(service, target)
    assert len(ledger.records) > KILLS
    assert ledger.corrections
    assert ledger.queued
    assert ledger.unexpected == []
    assert await missing(service, ledger) == []


async def test_a_full_disk_is_a_clear_problem(service: RunningService) -> None:
    blobs = service.data / "blobs"
    large = os.urandom(200_000)  # incompressible, so that the page is large as well
    from PIL import Image

    file = service.data / "large.png"
    Image.frombytes("RGB", (250, 266), large[: 250 * 266 * 3]).save(file)
    before = {path for path in blobs.rglob("*") if path.is_file()}
    # Writes beyond this fail with EFBIG (CPython ignores SIGXFSZ).
    _, hard = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        async with service.client() as client:
            known = (await client.get("/predictions")).json()["predictions"]
            full = await client.post(
                "/extract", data=FORM, files={"file": ("large.png", file.read_bytes())}
            )
            after = (await client.get("/predictions")).json()["predictions"]
            assert full.status_code == 507, full.text
            assert full.json()["type"] == "/problems/blob-store-full"
            assert [one["id"] for one in after] == [one["id"] for one in known]
            left = {path for path in blobs.rglob("*") if path.is_file()} - before
            assert not any(path.name.startswith(".draft") for path in left)
            assert (await post(client, 3000)).status_code == 200  # what fits is still served
    finally:
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (hard, hard))
    async with service.client() as client:
        files = {"file": ("large.png", file.read_bytes())}
        assert (await client.post("/extract", data=FORM, files=files)).status_code == 200


async def test_ctrl_c_leaves_no_orphan_and_the_data(service: RunningService) -> None:
    async with service.client() as client:
        told = (await post(client, 4000)).raise_for_status().json()
    assert len(service.processes()) >= 4  # API, engine, guardian, postmaster
    assert await asyncio.to_thread(service.interrupt) == 0
    await asyncio.sleep(1.0)
    assert [process.cmdline() for process in service.processes()] == []
    service.start()
    async with service.client() as client:
        async with asyncio.timeout(30):
            while True:
                try:
                    found = await client.get(f"/predictions/{told['id']}")
                    if found.status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
    assert found.json()["record"] == told["record"]
