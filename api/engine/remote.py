"""vLLM servers elsewhere, by address: the least busy one answers, one that is down is skipped."""

import asyncio
import contextlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from api.engine.client import ChatClient, EngineLost
from extraction.engine import Completion, EngineState, EngineStatus, Prompt, Sampling
from extraction.errors import EngineUnavailable

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

    Args:
        addresses: as "http://10.0.0.5:8000"; at least one.
        served_name: the version that each must serve; one that serves another is taken as down.
        api_key: the servers' key, or None.
        patience_seconds: how long a request waits while all are down.
        request_timeout_seconds: how long one answer may take.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        served_name: str,
        api_key: str | None = None,
        patience_seconds: float = 10.0,
        request_timeout_seconds: float = 300.0,
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
        self._task: asyncio.Task[None] | None = None
        self._stopped = True

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
        task, self._task = self._task, None
        self._stopped = True
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for server in self._servers:
            await server.client.close()

    async def generate(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """See `Engine`. A request that loses its server is asked once more, of another if any."""
        began = time.monotonic()
        server = await self._pick(began + self._patience)
        try:
            completion = await self._ask(server, prompt, sampling)
        except EngineLost as error:
            # Of all the requests that it takes down, one counts.
            if server.up:
                server.lost(error.why)
            server = await self._pick(time.monotonic() + self._patience)
            try:
                completion = await self._ask(server, prompt, sampling)
            except EngineLost as second:
                if server.up:
                    server.lost(second.why)
                raise
        return replace(completion, total_seconds=time.monotonic() - began)

    async def _ask(self, server: _Server, prompt: Prompt, sampling: Sampling) -> Completion:
        server.in_flight += 1
        try:
            return await server.client.complete(prompt, sampling, model=self._served_name)
        finally:
            server.in_flight -= 1

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
        else:
            server.returns += not server.up
            server.found()

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
