"""The compose file's model server and its API, run as the file says, without containers.

vLLM gets the very command, script and secrets of the service `vllm`, and `docloop serve` the
settings of the service `api`. What only containers or GPUs have is replaced, and all of that stands
here: mounts are folders, names of containers are loopback addresses, and `ON_CPU` goes with the CPU
build. The model is tiny and random, and sees.
"""

import asyncio
import os
import re
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml
from faults import TYPE, page, serving_slips
from running_service import RunningService
from tiny_versions import seal, write_adapter, write_merged

from api.engine.group import free_port
from db import tether
from tests import waiting

until = partial(waiting.until, seconds=60)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
BASE, FIRST, SECOND = "tiny-base", "tiny-adapter-1", "tiny-adapter-2"
CHOSEN = {"DOCLOOP_MODEL_VERSION": BASE}  # what an operator sets; the rest has defaults
FORM = {"document_type": TYPE, "ocr": "off"}
CLIENTS = 4
# A GPU's memory is what vLLM takes by itself; compiling for a CPU takes minutes; and two cores are
# shared with others.
ON_CPU = ("--kv-cache-memory-bytes=33554432", "--enforce-eager")
ON_CPU_ENVIRONMENT = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_LOOPBACK_IP": "127.0.0.1",
}
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@dataclass(frozen=True)
class Composed:
    """Where the containers' places are on this machine."""

    models: Path
    var: Path
    secrets: Path
    engine_port: int

    def words(self, said: Any) -> str:
        """A value of the file as it is in a container, at this machine's places."""
        text = _VARIABLE.sub(lambda found: CHOSEN.get(found[1], found[2] or ""), str(said))
        for container, here in (
            ("/models/", f"{self.models}/"),
            ("/app/var", str(self.var)),
            ("/usr/local/bin/with-secrets", str(DEPLOY / "with-secrets.sh")),
            ("python3", sys.executable),
            ("0.0.0.0", "127.0.0.1"),  # noqa: S104 - replaced
            ("http://vllm:8000", f"http://127.0.0.1:{self.engine_port}"),
            ("http://127.0.0.1:8000", f"http://127.0.0.1:{self.engine_port}"),
        ):
            text = text.replace(container, here)
        return text

    def environment(self, service: str) -> dict[str, str]:
        """What the file sets for a service."""
        return {name: self.words(text) for name, text in SERVICES[service]["environment"].items()}

    def secret(self, name: str) -> str:
        """What `make-secrets.sh` made."""
        return (self.secrets / name).read_text()

    @property
    def engine_command(self) -> list[str]:
        """Entrypoint and command of the service `vllm`; its port is the container's own else."""
        said = [*SERVICES["vllm"]["entrypoint"], *SERVICES["vllm"]["command"]]
        return [*map(self.words, said), *ON_CPU, f"--port={self.engine_port}"]

    def is_healthy(self) -> bool:
        """The health check of the service `vllm`, as it stands."""
        check = [self.words(word) for word in SERVICES["vllm"]["healthcheck"]["test"][1:]]
        return subprocess.run(check, capture_output=True, check=False).returncode == 0  # noqa: S603


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """A started vLLM, healthy as compose sees it."""
    root = tmp_path_factory.mktemp("composed")
    made = Composed(root / "models", root / "var", root / "secrets", free_port())
    base = write_merged(made.models / "base", BASE, seed=1, vision=True)
    # As the card of a SmolVLM says it; the size of tiles goes with each request.
    seal(base.folder, BASE, form="merged", sees_images=True, pages={"tile_pixels": 128})
    subprocess.run(  # noqa: S603 - our own script
        [str(DEPLOY / "make-secrets.sh"), str(made.secrets)], check=True, capture_output=True
    )
    foreign = ("DOCLOOP_", "DATABASE_", "VLLM_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    environment |= {**made.environment("vllm"), **ON_CPU_ENVIRONMENT}
    environment |= {"SECRETS_DIR": str(made.secrets), "HOME": str(root)}
    log = root / "vllm.log"
    with log.open("wb") as out:
        tied = [sys.executable, "-I", tether.__file__, str(os.getpid()), "0"]
        process = subprocess.Popen(  # noqa: S603 - as the file says
            [*tied, *made.engine_command],
            env=environment,
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 280
        while not made.is_healthy():
            ended = process.poll() is not None or time.monotonic() > deadline
            assert not ended, (shlex.join(made.engine_command), log.read_text()[-3000:])
            time.sleep(1)
        yield made
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(composed: Composed) -> AsyncIterator[RunningService]:
    """The API with the file's settings; its PostgreSQL is the embedded one."""
    settings = composed.environment("api")
    settings |= {
        "DOCLOOP_BLOB_KEY": composed.secret("blob_key"),
        "DOCLOOP_ENGINE_API_KEY": composed.secret("engine_api_key"),
    }
    assert settings["DOCLOOP_DATA_DIR"] == str(composed.var)
    assert settings["DOCLOOP_MODEL_DIR"] == str(composed.models / "base")
    service = RunningService(composed.var, composed.models / "base", settings)
    async with serving_slips(service):
        yield service


async def extract(service: RunningService, number: int) -> Mapping[str, Any]:
    async with service.client() as client:
        files = {"file": ("page.png", page(number), "image/png")}
        answer = await client.post("/extract", data=FORM, files=files)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert (found["state"], found["schema_valid"]) == ("done", True)
    return found


@asynccontextmanager
async def clients(service: RunningService) -> AsyncIterator[Counter[str]]:
    """Four that ask without pause; the versions that answered. One failed request fails all."""
    answered: Counter[str] = Counter()
    numbers, stop = count(100), asyncio.Event()

    async def ask() -> None:
        while not stop.is_set():
            answered[(await extract(service, next(numbers)))["model_version"]] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(ask())
        try:
            await until(lambda: answered.total() >= CLIENTS)
            yield answered
        finally:
            stop.set()


async def promote(service: RunningService, version: str) -> None:
    async with service.client() as client:
        moved = await client.post(f"/models/{version}/promote", json={})
    assert moved.status_code == 200, moved.text


async def test_the_api_reads_pages_by_the_remote_server(service: RunningService) -> None:
    found = await extract(service, 1)  # a page, a size of tiles and a grammar with it
    assert found["model_version"] == BASE
    assert found["usage"]["completion_tokens"] > 0


async def test_adapters_take_over_and_go_back_under_requests(
    service: RunningService, composed: Composed
) -> None:
    base = write_merged(composed.var / "unused", BASE, seed=1, vision=True)
    own = {BASE: (await extract(service, 2))["record"]}
    for seed, version in enumerate((FIRST, SECOND), start=5):
        folder = composed.var / "versions" / version
        write_adapter(folder, version, base, seed=seed)
        said = await asyncio.to_thread(service.command, "models", "register", str(folder))
        assert f"{version} is known" in said
    async with clients(service) as answered:
        for version in (FIRST, SECOND, BASE):
            before = answered[version]
            await promote(service, version)
            await until(lambda: answered[version] >= before + CLIENTS)  # noqa: B023 - awaited here
    assert set(answered) == {BASE, FIRST, SECOND}
    # Alone, each version answers in its own way, and the base as it did before.
    for version in (FIRST, BASE):
        await promote(service, version)
        deadline = time.monotonic() + 30
        while (found := await extract(service, 2))["model_version"] != version:
            assert time.monotonic() < deadline
        own[version] = found["record"] if version not in own else own[version]
        assert found["record"] == own[version]
    assert own[FIRST] != own[BASE]


async def test_a_restarted_api_goes_on_with_the_adapter(service: RunningService) -> None:
    await promote(service, SECOND)
    assert service.interrupt() == 0
    service.start()
    await service.wait_ready()
    assert (await extract(service, 3))["model_version"] == SECOND
