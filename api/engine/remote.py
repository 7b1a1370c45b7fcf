"""vLLM servers elsewhere, by address: the least busy one answers, one that is down is skipped."""

import asyncio
import contextlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from api.engine.client import ChatClient, EngineLost
from api.engine.server import Server, Smoke, VersionNotServed
from api.engine.weights import load_adapter, unload_adapter
from extraction.engine import (
    Completion,
    EngineRefused,
    EngineState,
    EngineStatus,
    Prompt,
    Sampling,
)
from extraction.errors import EngineUnavailable
from extraction.model_folder import ModelFolder

_PROBE_EVERY_SECONDS = 5.0
_FIRST_BACKOFF_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 30.0
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(\{)?")
_SUFFIX = re.compile(r"_(?:bucket|sum|count|total|created)$")


@dataclass(slots=True)
class _Server:
    """One address and what is known of it."""

    client: ChatClient
    up: bool = False
    in_flight: int = 0
    returns: int = 0  # how often it came back
    why: str = "not asked yet"
    backoff: float = _FIRST_BACKOFF_SECONDS
    next_probe: float = 0.0

    def lost(self, why: str) -> None:
        """It does not answer; each further time in a row it is left alone for longer."""
        self.up, self.why = False, why
        self.next_probe = time.monotonic() + self.backoff
        self.backoff = min(_LONGEST_BACKOFF_SECONDS, self.backoff * 2)

    def found(self) -> None:
        """It answers."""
        self.up, self.why, self.backoff = True, "", _FIRST_BACKOFF_SECONDS
        self.next_probe = time.monotonic() + _PROBE_EVERY_SECONDS


class RemoteEngine:
    """Several vLLM servers that serve the same model version.

    Adapters reach them by their path, so the versions' folder must be mounted there under the same
    name, and the servers be started with `--enable-lora` and
    `VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`. A server that comes back gets its adapters again before
    it is asked.

    Args:
        addresses: as "http://10.0.0.5:8000"; at least one.
        served_name: the version that each must serve; one that serves another is taken as down.
        api_key: the servers' key, or None.
        patience_seconds: how long a request waits while all are down.
        request_timeout_seconds: how long one answer may take.
        adapters: name and folder of each adapter that a server needs from the start.
        linger_seconds: how long an adapter stays loaded after its last request here; another API
            process may still ask for it.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        served_name: str,
        api_key: str | None = None,
        patience_seconds: float = 10.0,
        request_timeout_seconds: float = 300.0,
        adapters: Sequence[tuple[str, Path]] = (),
        linger_seconds: float = 60.0,
    ) -> None:
        if not addresses:
            raise ValueError("a remote engine needs at least one address")
        self._served_name = served_name
        self._patience = patience_seconds
        self._servers = [
            _Server(
                ChatClient(
                    address,
                    api_key=api_key,
                    request_timeout_seconds=request_timeout_seconds,
                    trust_env=True,
                )
            )
            for address in addresses
        ]
        self._adapters = dict(adapters)
        self._linger = linger_seconds
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._stopped = True

    @property
    def model_folder(self) -> None:
        """See `Server`; theirs is not known here."""
        return

    @property
    def base_version(self) -> str:
        """See `Server`."""
        return self._served_name

    @property
    def takes_adapters(self) -> bool:
        """See `Server`; whether they really do shows when one is loaded."""
        return True

    @property
    def mixes_base_and_adapters(self) -> bool:
        """See `Server`; servers elsewhere are taken to be GPUs."""
        return True

    def state(self) -> EngineState:
        """See `Engine`; ready as long as one server is up, the reason names those that are not."""
        down = [f"{_host(s.client.address)}: {s.why}" for s in self._servers if not s.up]
        if self._stopped:
            status = EngineStatus.STOPPED
        elif len(down) < len(self._servers):
            status = EngineStatus.READY
        else:
            status = EngineStatus.STARTING
        returns = sum(max(0, server.returns - 1) for server in self._servers)
        return EngineState(status, "; ".join(down), returns, self._served_name)

    async def ready(self) -> bool:
        """See `Engine`."""
        return self.state().ready

    async def start(self) -> None:
        """See `Engine`; starts to ask the servers how they are."""
        if self._task is None:
            self._stopped = False
            self._task = asyncio.create_task(self._probe_all(), name="vllm-probes")

    async def stop(self) -> None:
        """See `Engine`; the servers themselves go on."""
        tasks = [*self._leaving.values(), *([self._task] if self._task else [])]
        self._task, self._stopped = None, True
        self._leaving.clear()
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for server in self._servers:
            await server.client.close()

    async def generate(
        self, prompt: Prompt, sampling: Sampling, *, version: str | None = None
    ) -> Completion:
        """See `Server`. A request that loses its server is asked once more, of another if any."""
        began = time.monotonic()
        name = version or self._served_name
        if name != self._served_name and name not in self._adapters:
            raise VersionNotServed(name)
        server = await self._pick(began + self._patience)
        try:
            completion = await self._ask(server, prompt, sampling, name)
        except EngineLost as error:
            # Of all the requests that it takes down, one counts.
            if server.up:
                server.lost(error.why)
            server = await self._pick(time.monotonic() + self._patience)
            try:
                completion = await self._ask(server, prompt, sampling, name)
            except EngineLost as second:
                if server.up:
                    server.lost(second.why)
                raise
        return replace(completion, total_seconds=time.monotonic() - began)

    async def _ask(
        self, server: _Server, prompt: Prompt, sampling: Sampling, name: str
    ) -> Completion:
        server.in_flight += 1
        try:
            return await server.client.complete(prompt, sampling, model=name)
        finally:
            server.in_flight -= 1

    async def reload(self, model: ModelFolder, smoke: Smoke) -> None:
        """See `Server`; never done: other processes' requests cannot be held from here."""
        del smoke
        raise EngineUnavailable(f"{model.version} is merged, and remote servers take adapters")

    def twin(self, model: ModelFolder, base: ModelFolder | None, slot: int) -> Server:
        """See `Server`; never done: who started these servers starts others."""
        del base, slot
        raise EngineUnavailable(f"{model.version} needs remote servers that serve it")

    async def load_adapter(self, name: str, folder: Path, smoke: Smoke) -> None:
        """See `Server`; on every server that is up, before any is asked for it.

        One that is down gets it when it is back.
        """
        await self._pick(time.monotonic() + self._patience)
        if leaving := self._leaving.pop(name, None):
            leaving.cancel()
        # From here on a server that comes back has it before it is asked.
        self._adapters[name] = folder
        up = [server.client for server in self._servers if server.up]
        try:
            for client in up:
                await load_adapter(client, name, folder)
                await smoke(partial(client.complete, model=name))
        except BaseException:
            del self._adapters[name]
            await self._unload(name, up)
            raise

    async def unload_adapter(self, name: str) -> None:
        """See `Server`; done after `linger_seconds`, in the background."""
        self._adapters.pop(name, None)
        self._leaving[name] = asyncio.create_task(self._leave(name), name=f"unload {name}")

    async def _leave(self, name: str) -> None:
        await asyncio.sleep(self._linger)
        await self._unload(name, [server.client for server in self._servers if server.up])
        self._leaving.pop(name, None)

    @staticmethod
    async def _unload(name: str, clients: Sequence[ChatClient]) -> None:
        for client in clients:
            with contextlib.suppress(EngineUnavailable, EngineRefused):
                await unload_adapter(client, name)

    async def _pick(self, deadline: float) -> _Server:
        """The server with the fewest requests under way.

        Raises:
            EngineUnavailable: all are down until the deadline.
        """
        while True:
            up = [server for server in self._servers if server.up]
            if up:
                return min(up, key=lambda server: server.in_flight)
            if self._stopped:
                raise EngineUnavailable("it is stopped")
            if time.monotonic() >= deadline:
                raise EngineUnavailable("no model server answers", 10)
            await asyncio.sleep(0.05)

    async def _probe_all(self) -> None:
        """Asks each server when its time has come, until cancelled; a slow one delays no other."""
        async with asyncio.TaskGroup() as group:
            for server in self._servers:
                group.create_task(self._keep_probing(server))

    async def _keep_probing(self, server: _Server) -> None:
        while True:
            if server.next_probe <= time.monotonic():
                await self._probe(server)
            await asyncio.sleep(0.1)

    async def _probe(self, server: _Server) -> None:
        try:
            served = await server.client.models()
        except EngineLost:
            server.lost("does not answer")
            return
        if self._served_name not in served:
            server.lost("serves another model")
        elif not await server.client.healthy():
            server.lost("its engine is down")
        elif not await self._equip(server, served):
            server.lost("does not take an adapter that is served")
        else:
            server.returns += not server.up
            server.found()

    async def _equip(self, server: _Server, served: Sequence[str]) -> bool:
        """Whether a server has all adapters that may be asked of it; those missing are loaded."""
        loaded = set(served)
        try:
            while missing := self._adapters.keys() - loaded:  # more may come meanwhile
                name = missing.pop()
                await load_adapter(server.client, name, self._adapters[name])
                loaded.add(name)
        except (EngineUnavailable, EngineRefused):
            return False
        return True

    async def metrics_text(self) -> str:
        """See `Engine`; with several servers each sample says which, in the label `server`."""
        up = [server.client for server in self._servers if server.up]
        texts = await asyncio.gather(*(client.metrics_text() for client in up))
        named = {_host(client.address): text for client, text in zip(up, texts, strict=True)}
        return merge_metrics(named) if len(self._servers) > 1 else "".join(texts)


def _host(address: str) -> str:
    return urlsplit(address).netloc


def merge_metrics(texts: dict[str, str]) -> str:
    """Prometheus texts of several servers as one: each family once, each sample with its server.

    Args:
        texts: server name -> its text.
    """
    comments: dict[str, dict[str, str]] = {}  # family -> HELP/TYPE -> line
    samples: dict[str, list[str]] = {}
    for server, text in texts.items():
        for line in text.splitlines():
            if line.startswith("# "):
                _, keyword, family, *_ = [*line.split(" ", 3), "", "", ""]
                if keyword in {"HELP", "TYPE"}:
                    comments.setdefault(family, {}).setdefault(keyword, line)
            elif found := _SAMPLE.match(line):
                name = found[1]
                family = name if name in comments else _SUFFIX.sub("", name)
                label = f'server="{server}"'
                rest = line[found.end() :]
                labels = f"{{{label},{rest}" if found[2] else f"{{{label}}}{rest}"
                samples.setdefault(family, []).append(name + labels)
    lines: list[str] = []
    for family, found_samples in samples.items():
        lines += comments.get(family, {}).values()
        lines += found_samples
    return "".join(f"{line}\n" for line in lines)
