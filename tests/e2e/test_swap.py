"""Each way of the swap on a real vLLM with tiny random models, while clients ask without pause.

Greedy and in fp32, a prompt has one answer per version, whatever is asked beside it. So an answer
shows whose weights made it, and one that mixes two versions equals neither's.

The tests stand in the order of one engine's life: a start of vLLM takes most of their time.
"""

import asyncio
import os
import pickle
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from tiny_versions import seal, write_adapter, write_merged

from api.engine.local import LocalEngine
from api.engine.options import LocalOptions
from api.engine.server import SwapFailed
from api.engine.swapping import SwappingEngine, SwapWay
from extraction.engine import Completion, Message, Prompt, Sampling
from extraction.model_folder import BadModelFolder, ModelFolder, open_model_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS = 8
PROMPTS = tuple(
    Prompt((Message("user", f"Receipt {n}: total {n * 7919} EUR. " * 4),), hash="test")
    for n in range(6)
)
SAMPLING = Sampling(max_tokens=32, grammar="start: /[a-z0-9 ]{24}/")


@dataclass
class Scene:
    """The engine, its versions, and what each of them answers."""

    engine: SwappingEngine
    root: Path
    versions: dict[str, ModelFolder]
    own: dict[str, tuple[str, ...]] = field(default_factory=dict)

    async def learn(self, *names: str) -> None:
        """Asks a version alone, before or after it is asked among others."""
        for name in names:
            found = [await self.engine.generate(p, SAMPLING, version=name) for p in PROMPTS]
            assert {completion.model for completion in found} == {name}
            self.own[name] = tuple(completion.text for completion in found)

    async def ask(self, number: int) -> Completion:
        return await self.engine.generate(PROMPTS[number % len(PROMPTS)], SAMPLING)

    @asynccontextmanager
    async def clients(self, rest: float = 0.0) -> AsyncIterator[list[tuple[int, Completion]]]:
        """Eight that ask again after `rest` seconds; none of their requests may fail.

        A server that starts beside them needs some of the two cores.
        """
        answers: list[tuple[int, Completion]] = []
        stop = asyncio.Event()

        async def client(first: int) -> None:
            number = first
            while not stop.is_set():
                answers.append((number % len(PROMPTS), await self.ask(number)))
                number += 1
                await asyncio.sleep(rest)

        async with asyncio.TaskGroup() as group:  # one failed request fails the test
            for first in range(CLIENTS):
                group.create_task(client(first))
            await self.at_least(answers, 2 * CLIENTS)
            yield answers
            await self.at_least(answers, len(answers) + 2 * CLIENTS)
            stop.set()

    @staticmethod
    async def at_least(answers: list[tuple[int, Completion]], count: int) -> None:
        async with asyncio.timeout(120):
            while len(answers) < count:  # noqa: ASYNC110 - the clients tell nobody
                await asyncio.sleep(0.02)

    def check(self, answers: list[tuple[int, Completion]], *versions: str) -> None:
        """Each answer is its version's own, and every version has answered."""
        for number, completion in answers:
            assert completion.text == self.own[completion.model][number]
        assert {completion.model for _, completion in answers} == set(versions)

    async def still(self, version: str) -> None:
        """A version answers as it always did."""
        assert self.engine.state().ready
        answers = [(n, await self.ask(n)) for n in range(len(PROMPTS))]
        self.check(answers, version)


def options(model: ModelFolder, folder: Path) -> LocalOptions:
    return LocalOptions(
        model.folder,
        model.version,
        folder / "engine.log",
        threads=1,
        dtype="float32",
        kv_cache_bytes=32 * 1024 * 1024,
        enable_lora=True,
        max_lora_rank=8,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    root = tmp_path_factory.mktemp("versions")
    a = write_merged(root / "a-1", "a-1", seed=1)
    versions = {
        "a-1": a,
        "b-2": write_merged(root / "b-2", "b-2", seed=2),
        "deep-3": write_merged(root / "deep-3", "deep-3", seed=3, layers=3),
        "deep-4": write_merged(root / "deep-4", "deep-4", seed=4, layers=3),
        "x-5": write_adapter(root / "x-5", "x-5", a, seed=5),
        "y-6": write_adapter(root / "y-6", "y-6", a, seed=6),
    }
    local = LocalEngine(options(a, tmp_path_factory.mktemp("logs")), patience_seconds=120)
    engine = SwappingEngine(a, local, base=a)
    await engine.start()
    async with asyncio.timeout(240):
        while not engine.state().ready:  # noqa: ASYNC110 - polled by design
            await asyncio.sleep(0.1)
    yield Scene(engine, root, versions)
    await engine.stop()


async def test_a_reload_under_load(scene: Scene) -> None:
    await scene.learn("a-1")
    await scene.engine.swap(scene.versions["b-2"])
    await scene.learn("b-2")
    assert not set(scene.own["a-1"]) & set(scene.own["b-2"])  # else the test could not tell
    async with scene.clients() as answers:
        for version in ("a-1", "b-2", "a-1"):
            outcome = await scene.engine.swap(scene.versions[version])
            assert outcome.way is SwapWay.RELOAD
            assert outcome.drain_seconds <= outcome.pause_seconds < 60
            await scene.at_least(answers, len(answers) + 2 * CLIENTS)
    scene.check(answers, "a-1", "b-2")
    assert scene.engine.state().restarts == 0
    await scene.still("a-1")


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def corrupt(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1000] ^= 0x40
    path.write_bytes(content)


def missing(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))


def foreign(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(config.read_text().replace("{", '{"auto_map": {"AutoModel": "x.X"},', 1))


@pytest.mark.parametrize("spoil", [truncated, corrupt, missing, pickled, foreign])
async def test_what_is_refused_at_the_door(scene: Scene, spoil: Callable[[Path], None]) -> None:
    folder = shutil.copytree(scene.versions["b-2"].folder, scene.root / spoil.__name__)
    spoil(folder)
    with pytest.raises(BadModelFolder):
        open_model_folder(folder, expected="b-2", require_hashes=True)
    await scene.still("a-1")


async def test_a_checkpoint_that_loses_a_tensor_is_not_mixed_in(scene: Scene) -> None:
    # vLLM reloads it without an error and goes on with the old tensor.
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(scene.versions["b-2"].folder, scene.root / "partial-7")
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.0.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    partial = seal(folder, "partial-7", form="merged")
    with pytest.raises(BadModelFolder, match="in place"):
        await scene.engine.swap(partial, way=SwapWay.RELOAD)
    await scene.still("a-1")


async def test_a_version_that_vanishes_on_the_way(scene: Scene) -> None:
    gone = shutil.copytree(scene.versions["b-2"].folder, scene.root / "gone-8")
    model = seal(gone, "gone-8", form="merged")
    inner = scene.engine._champion.server

    class Late:
        """The server, before whose reload the weights are gone."""

        def __getattr__(self, name: str) -> object:
            return getattr(inner, name)

        async def reload(self, *arguments: object) -> None:
            (gone / "model.safetensors").unlink()
            await inner.reload(*arguments)  # type: ignore[arg-type]

    scene.engine._champion.server = Late()  # type: ignore[assignment]
    try:
        async with scene.clients() as answers:
            with pytest.raises(SwapFailed):
                await scene.engine.swap(model)
    finally:
        scene.engine._champion.server = inner
    scene.check(answers, "a-1")
    await scene.still("a-1")


async def test_adapters_under_load(scene: Scene) -> None:
    await scene.engine.swap(scene.versions["x-5"])
    await scene.engine.load(scene.versions["y-6"])
    await scene.learn("x-5", "y-6")
    own = [set(scene.own[version]) for version in ("a-1", "x-5", "y-6")]
    assert len(set.union(*own)) == 3 * len(PROMPTS)
    await scene.engine.unload("y-6")
    await scene.engine.swap(scene.versions["a-1"])
    await scene.still("a-1")  # loaded adapters leave the base alone
    async with scene.clients() as answers:
        for version in ("x-5", "y-6", "a-1", "x-5"):
            before = scene.engine.champion.form
            outcome = await scene.engine.swap(scene.versions[version])
            assert outcome.way is SwapWay.ADAPTER
            # On CPU vLLM 0.32 gives a base request the adapter that shares its batch.
            assert (outcome.pause_seconds > 0) == (scene.engine.champion.form != before)
            await scene.at_least(answers, len(answers) + 2 * CLIENTS)
    scene.check(answers, "a-1", "x-5", "y-6")


async def test_adapters_that_do_not_fit(scene: Scene) -> None:
    other = write_adapter(scene.root / "z-9", "z-9", scene.versions["b-2"], seed=9)
    with pytest.raises(BadModelFolder, match="for b-2"):
        await scene.engine.swap(other)
    folder = shutil.copytree(scene.versions["y-6"].folder, scene.root / "high-10")
    config = folder / "adapter" / "adapter_config.json"
    config.write_text(config.read_text().replace('"r": 4', '"r": 64'))
    high = seal(folder, "high-10", form="adapter", base="a-1")
    with pytest.raises(SwapFailed, match="rank"):
        await scene.engine.swap(high)
    await scene.still("x-5")


async def test_another_architecture_under_load(scene: Scene) -> None:
    async with scene.clients(rest=0.5) as answers:
        outcome = await scene.engine.swap(scene.versions["deep-3"])
        await scene.at_least(answers, len(answers) + 2 * CLIENTS)
    assert (outcome.way, outcome.pause_seconds) == (SwapWay.SECOND_ENGINE, 0.0)
    await scene.learn("deep-3")
    scene.check(answers, "x-5", "deep-3")
    assert len(scene.engine._servers) == 1


async def test_killed_after_a_swap_it_comes_back_with_the_new_version(scene: Scene) -> None:
    assert (await scene.engine.swap(scene.versions["deep-4"])).way is SwapWay.RELOAD
    await scene.learn("deep-4")
    assert not set(scene.own["deep-3"]) & set(scene.own["deep-4"])
    local = scene.engine._champion.server
    assert isinstance(local, LocalEngine)
    assert local.pid is not None
    async with scene.clients(rest=0.5) as answers:
        os.kill(local.pid, signal.SIGKILL)
        killed = time.monotonic()
        while local.state().restarts == 0:
            assert time.monotonic() - killed < 15
            await asyncio.sleep(0.05)
        await scene.at_least(answers, len(answers) + 2 * CLIENTS)
    scene.check(answers, "deep-4")
    assert scene.engine.state().model == "deep-4"
