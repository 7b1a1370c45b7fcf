"""For the swap's own logic: servers that keep a book, and the engine in front of one."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from api.engine.server import Ask
from api.engine.swapping import SwappingEngine
from extraction.engine import (
    Completion,
    EngineState,
    EngineStatus,
    Message,
    Prompt,
    Sampling,
    Token,
)
from extraction.model_folder import BadModelFolder, ModelFolder
from extraction.traits import ModelTraits

PROMPT = Prompt((Message("user", "u"),), hash="h")
SAMPLING = Sampling(max_tokens=8)


class FakeServer:
    """Answers with the weights that it holds; counts what it is told."""

    def __init__(self, model: ModelFolder, *, adapters: bool = False) -> None:
        self.weights = model.version
        self.base_version = model.version
        self.model_folder: Path | None = model.folder
        self.takes_adapters = adapters
        self.mixes_base_and_adapters = True
        self.adapters: list[str] = []
        self.told: list[str] = []
        self.twins: list[FakeServer] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.fault: Exception | None = None
        self.status = EngineStatus.STOPPED
        self.comes_up_as = EngineStatus.READY

    async def generate(
        self, prompt: Prompt, sampling: Sampling, *, version: str | None = None
    ) -> Completion:
        begun = self.weights if version in (None, self.base_version) else str(version)
        assert begun == self.weights or begun in self.adapters
        await self.hold.wait()
        # Half of an answer from other weights would show.
        assert begun in (self.weights, *self.adapters)
        return Completion(begun, (Token(begun, -0.1),), "stop", "x", 1, 1, 0.5, 0.1)

    async def reload(self, model: ModelFolder, smoke: Callable[[Ask], object]) -> None:
        self.told.append(f"reload {model.version}")
        await asyncio.sleep(0)
        if self.fault:
            raise self.fault
        self.weights = self.base_version = model.version
        self.model_folder = model.folder

    async def load_adapter(self, name: str, folder: Path, smoke: Callable[[Ask], object]) -> None:
        self.told.append(f"load {name} {folder.name}")
        await asyncio.sleep(0)
        if self.fault:
            raise self.fault
        self.adapters.append(name)

    async def unload_adapter(self, name: str) -> None:
        self.told.append(f"unload {name}")
        self.adapters.remove(name)

    def twin(self, model: ModelFolder, base: ModelFolder | None, slot: int) -> "FakeServer":
        if model.form == "adapter":
            if base is None or base.version != model.base:
                raise BadModelFolder(model.version, "wrong base")
            server = FakeServer(base, adapters=True)
            server.adapters.append(model.version)
        else:
            server = FakeServer(model)
        server.told.append(f"slot {slot}")
        server.comes_up_as = self.comes_up_as
        self.twins.append(server)
        return server

    async def start(self) -> None:
        self.status = self.comes_up_as

    async def stop(self) -> None:
        self.status = EngineStatus.STOPPED

    def state(self) -> EngineState:
        return EngineState(self.status, "told so", model=self.base_version)

    async def ready(self) -> bool:
        return self.status is EngineStatus.READY

    async def metrics_text(self) -> str:
        return f"of {self.weights}"


class Bench:
    """A folder of versions, and the engine in front of a fake server."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def merged(self, version: str, *, layers: int = 2) -> ModelFolder:
        folder = self.root / version
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"architectures": ["L"], "layers": layers}))
        (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
        return ModelFolder(version, folder, "merged", ModelTraits(version))

    def adapter(self, version: str, base: str) -> ModelFolder:
        return ModelFolder(
            version, self.root / version, "adapter", ModelTraits(version), None, base
        )


async def no_smoke(ask: Ask) -> None:
    await ask(PROMPT, SAMPLING)


async def engine_of(
    model: ModelFolder,
    *,
    adapters: bool = False,
    drain: float = 5.0,
    base: ModelFolder | None = None,
) -> tuple[SwappingEngine, FakeServer]:
    server = FakeServer(model, adapters=adapters)
    engine = SwappingEngine(
        model,
        server,
        base=base,
        smoke=no_smoke,
        drain_timeout_seconds=drain,
        start_timeout_seconds=0.2,
    )
    await engine.start()
    return engine, server


async def answers(engine: SwappingEngine, version: str | None = None) -> str:
    completion = await engine.generate(PROMPT, SAMPLING, version=version)
    assert completion.text == completion.model
    return completion.model


async def until_closed(engine: SwappingEngine) -> None:
    """New requests wait; a thread has compared the folders before."""
    async with asyncio.timeout(5):
        while engine._champion.open.is_set():  # noqa: ASYNC110 - nothing says so by itself
            await asyncio.sleep(0.01)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
