"""Promotion, restart and rollback on the real service with a real vLLM, under load."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from faults import TYPE, page, serving_slips
from running_service import RunningService
from tiny_versions import seal

from tests import waiting
from trainer.tiny_models import build_idefics3

until = partial(waiting.until, seconds=120)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(420)]

CLIENTS = 8
FIRST, SECOND = "tiny-000000000001", "tiny-000000000002"
FORM = {"document_type": TYPE, "ocr": "off"}


def other_weights(folder: Path, source: Path) -> Path:
    """The same model with every number changed a little, by its highest bit of mantissa."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("docloop.json"))
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    begin = 8 + int.from_bytes(content[:8], "little")
    for place in range(begin, len(content), 2):  # bfloat16, little-endian
        content[place] ^= 0x40
    weights.write_bytes(content)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    root = tmp_path_factory.mktemp("promotion")
    model = build_idefics3(root / "model")
    seal(model, FIRST, sees_images=True, base="tiny")
    second = other_weights(root / "second", model)
    seal(second, SECOND, sees_images=True, base="tiny", parent=FIRST)
    settings = {"DOCLOOP_ENGINE_THREADS": "1", "DOCLOOP_OCR_ENABLED": "false"}
    async with serving_slips(RunningService(root / "data", model, settings)) as service:
        yield service


@asynccontextmanager
async def clients(service: RunningService) -> AsyncIterator[Counter[str]]:
    """Eight that ask without pause; the versions that answered. One failed request fails all."""
    answered: Counter[str] = Counter()
    numbers, stop = count(), asyncio.Event()

    async def ask() -> None:
        async with service.client() as client:
            while not stop.is_set():
                files = {"file": ("page.png", page(next(numbers)), "image/png")}
                answer = await client.post("/extract", data=FORM, files=files)
                assert answer.status_code == 200, answer.text
                found = answer.json()
                assert found["state"] == "done"
                answered[found["model_version"]] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(ask())
        try:
            await until(lambda: answered.total() >= CLIENTS)
            yield answered
            enough = answered.total() + 2 * CLIENTS
            await until(lambda: answered.total() >= enough)
        finally:
            stop.set()


async def models(service: RunningService) -> dict[str, Any]:
    async with service.client() as client:
        found: dict[str, Any] = (await client.get("/models")).json()
    return found


async def until_served(service: RunningService, version: str) -> None:
    async with asyncio.timeout(120):
        while True:
            listed = (await models(service))["models"]
            if [model["id"] for model in listed if model["served"]] == [version]:
                return
            await asyncio.sleep(0.1)


async def answers_now(service: RunningService, number: int) -> str:
    async with service.client() as client:
        files = {"file": ("page.png", page(number), "image/png")}
        answer = await client.post("/extract", data=FORM, files=files)
    return str(answer.json()["model_version"])


async def test_a_promotion_under_load_loses_nothing(service: RunningService) -> None:
    folder = service.model.parent / "second"
    said = await asyncio.to_thread(service.command, "models", "register", str(folder))
    assert f"{SECOND} is known" in said
    async with clients(service) as answered, service.client() as client:
        moved = await client.post(f"/models/{SECOND}/promote", json={"expected_generation": 1})
        assert moved.status_code == 200, moved.text
        assert moved.json()["generation"] == 2
        await until_served(service, SECOND)
        await until(lambda: answered[SECOND] >= CLIENTS)
    assert set(answered) == {FIRST, SECOND}
    assert await answers_now(service, 10_001) == SECOND
    async with service.client() as client:
        numbers = (await client.get("/metrics")).text
    assert 'docloop_swaps_total{result="done",way="reload"} 1.0' in numbers
    assert "docloop_champion_generation 2.0" in numbers
    assert f'docloop_model{{model_version="{SECOND}"}} 1.0' in numbers


async def test_a_restart_begins_with_the_champion(service: RunningService) -> None:
    assert service.interrupt() == 0
    service.start()
    await service.wait_ready()
    assert (service.data / "champion.json").is_file()
    assert await answers_now(service, 10_002) == SECOND
    # It began with it: nothing had to be swapped.
    async with service.client() as client:
        assert "docloop_swaps_total{" not in (await client.get("/metrics")).text


async def test_a_rollback_under_load_loses_nothing(service: RunningService) -> None:
    async with clients(service) as answered:
        said = await asyncio.to_thread(service.command, "models", "rollback")
        assert f"champion {FIRST}, generation 3" in said
        await until_served(service, FIRST)
        await until(lambda: answered[FIRST] >= CLIENTS)
    assert set(answered) == {FIRST, SECOND}
    states = {model["id"]: model["state"] for model in (await models(service))["models"]}
    assert states == {FIRST: "accepted", SECOND: "rejected"}
    assert not (service.data / "champion.json").exists()
