"""A vLLM server as a supervised child of this process."""

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from api.engine.client import ChatClient, EngineLost
from api.engine.group import end_group, ending, free_port
from api.engine.options import SERVED_NAME, LocalOptions
from api.engine.server import Smoke, VersionNotServed
from api.engine.start_log import StartLog
from api.engine.weights import load_adapter, load_weights, unload_adapter
from db import tether
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

_START_POLL_SECONDS = 0.3
_HEALTH_EVERY_SECONDS = 2.0
_HEALTH_TIMEOUT_SECONDS = 10.0
_HEALTH_FAILURES = 3
_STABLE_SECONDS = 60.0
_LONGEST_BACKOFF_SECONDS = 120.0
_RETRY_AFTER_FAILED_SECONDS = 60


class LocalEngine:
    """Starts one vLLM server, watches it, starts it again when it dies, ends it with us.

    Call `start` on the event loop of a thread that lives as long as the engine shall: the kernel
    ends the server when that thread ends.

    Args:
        options: what to serve and how.
        patience_seconds: how long a request waits for an engine that starts or came down under it.
        start_timeout_seconds: a server that is not ready by then is ended and started again.
        request_timeout_seconds: how long one answer may take.
    """

    def __init__(
        self,
        options: LocalOptions,
        *,
        patience_seconds: float = 45.0,
        start_timeout_seconds: float = 300.0,
        request_timeout_seconds: float = 300.0,
    ) -> None:
        self._options = options
        self._patience = patience_seconds
        self._start_timeout = start_timeout_seconds
        self._request_timeout = request_timeout_seconds
        self._log = StartLog(options.log_file)
        self._state = EngineState(EngineStatus.STOPPED, model=options.served_name)
        self._process: asyncio.subprocess.Process | None = None
        self._client: ChatClient | None = None
        self._lives = 0  # how many servers were started; tells a new one from the one that died
        self._restarts = 0
        self._task: asyncio.Task[None] | None = None
        self.api_key = secrets.token_urlsafe(32)

    @property
    def address(self) -> str | None:
        """Where the server listens now; another one after each restart."""
        return self._client.address if self._client else None

    @property
    def pid(self) -> int | None:
        """The server's process id, which is its process group's too; None while there is none."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    @property
    def model_folder(self) -> Path:
        """See `Server`."""
        return self._options.model_folder

    @property
    def base_version(self) -> str:
        """See `Server`."""
        return self._options.served_name

    @property
    def takes_adapters(self) -> bool:
        """See `Server`."""
        return self._options.takes_adapters

    @property
    def mixes_base_and_adapters(self) -> bool:
        """See `Server`."""
        return not self._options.on_cpu

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The end of the server's log; holds no prompt and no answer."""
        return self._log.last_lines

    def state(self) -> EngineState:
        """See `Engine`."""
        if self._state.status is EngineStatus.STARTING and self.pid:
            return self._at(EngineStatus.STARTING, self._log.phase)
        return replace(self._state, model=self._options.served_name)

    async def ready(self) -> bool:
        """See `Engine`."""
        client = self._client
        return self._state.ready and client is not None and await client.healthy()

    async def metrics_text(self) -> str:
        """See `Engine`."""
        return await self._client.metrics_text() if self._state.ready and self._client else ""

    async def start(self) -> None:
        """See `Engine`."""
        if self._task is None:
            self._state = self._at(EngineStatus.STARTING, "starting Python")
            self._task = asyncio.create_task(self._supervise(), name="vllm-supervisor")

    async def stop(self) -> None:
        """See `Engine`."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._state = self._at(EngineStatus.STOPPED, "stopped")
        self._log.close()

    async def generate(
        self, prompt: Prompt, sampling: Sampling, *, version: str | None = None
    ) -> Completion:
        """See `Server`. A request that loses its server is asked once more when it is back."""
        began = time.monotonic()
        name = self._name_of(version)
        client, life = await self._ready_client(began + self._patience)
        try:
            completion = await client.complete(prompt, sampling, model=name)
        except EngineLost:
            client, _ = await self._ready_client(time.monotonic() + self._patience, lost=life)
            completion = await client.complete(prompt, sampling, model=name)
        return replace(
            completion,
            model=self._options.served_name if name == SERVED_NAME else name,
            total_seconds=time.monotonic() - began,
        )

    def _name_of(self, version: str | None) -> str:
        """What the server calls a version.

        Raises:
            VersionNotServed: it has none of that name.
        """
        if version is None or version == self._options.served_name:
            return SERVED_NAME
        if any(version == name for name, _ in self._options.adapters):
            return version
        raise VersionNotServed(version)

    async def reload(self, model: ModelFolder, smoke: Smoke) -> None:
        """See `Server`. Its next life, after a crash, serves what this method left."""
        client, life = await self._ready_client(time.monotonic() + self._patience)
        try:
            await load_weights(client, model.folder)
            await smoke(partial(client.complete, model=SERVED_NAME))
            # A server that came back meanwhile has the former weights, and passed with them.
            self._require(life)
        except BaseException as error:
            if isinstance(error, EngineUnavailable | EngineRefused):
                await self._load_own_again(client, life, smoke)
            else:
                self._kill(life)
            raise
        # No `await` since the check: whatever dies from here on comes back with these weights.
        self._options = self._options.serving(model)

    async def _load_own_again(self, client: ChatClient, life: int, smoke: Smoke) -> None:
        """The weights that the options name are back in the server, or a new one has them."""
        try:
            self._require(life)
            await load_weights(client, self._options.model_folder)
            await smoke(partial(client.complete, model=SERVED_NAME))
        except (EngineUnavailable, EngineRefused):
            self._kill(life)
        except BaseException:
            self._kill(life)
            raise
        else:
            return
        while (  # noqa: ASYNC110 - polled, as everything of its life
            self._state.ready and self._lives == life and self._task is not None
        ):
            await asyncio.sleep(0.02)  # until the supervisor has seen it
        with contextlib.suppress(EngineUnavailable):
            await self._ready_client(time.monotonic() + self._patience)

    def _require(self, life: int) -> None:
        """Raises `EngineLost` where this life of the server is over."""
        if self._lives != life or self.pid is None:
            raise EngineLost("the model server died while it was given other weights")

    def _kill(self, life: int) -> None:
        """Ends a life of the server whose weights nobody can name; the supervisor starts the next.

        Args:
            life: nothing is done where another one has begun.
        """
        if self._lives == life and self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    async def load_adapter(self, name: str, folder: Path, smoke: Smoke) -> None:
        """See `Server`."""
        client, life = await self._ready_client(time.monotonic() + self._patience)
        await load_adapter(client, name, folder)
        try:
            await smoke(partial(client.complete, model=name))
            self._require(life)
        except BaseException:
            with contextlib.suppress(EngineUnavailable, EngineRefused):
                await unload_adapter(client, name)
            raise
        self._options = replace(self._options, adapters=(*self._options.adapters, (name, folder)))

    async def unload_adapter(self, name: str) -> None:
        """See `Server`."""
        left = tuple(adapter for adapter in self._options.adapters if adapter[0] != name)
        # Still a server for adapters, when the last one has left.
        self._options = replace(self._options, adapters=left, enable_lora=True)
        if self._state.ready and self._client is not None:
            await unload_adapter(self._client, name)

    def twin(self, model: ModelFolder, base: ModelFolder | None, slot: int) -> "LocalEngine":
        """See `Server`."""
        log_file = self._options.log_file.with_name(f"engine-{slot}.log" if slot else "engine.log")
        return LocalEngine(
            replace(self._options, log_file=log_file).serving(model, base),
            patience_seconds=self._patience,
            start_timeout_seconds=self._start_timeout,
            request_timeout_seconds=self._request_timeout,
        )

    async def _ready_client(
        self, deadline: float, lost: int | None = None
    ) -> tuple[ChatClient, int]:
        """The client of a server that is ready, and which life of the engine it belongs to.

        Args:
            deadline: monotonic time to wait until.
            lost: a life that just broke a request: it counts only when it proves to be healthy.

        Raises:
            EngineUnavailable: there is none in time, or none is expected.
        """
        while True:
            client, life = self._client, self._lives
            if (
                self._state.ready
                and client is not None
                and (life != lost or await client.healthy(2.0))
            ):
                return client, life
            if self._state.status is EngineStatus.FAILED:
                raise EngineUnavailable("it does not start", _RETRY_AFTER_FAILED_SECONDS)
            if self._state.status is EngineStatus.STOPPED:
                raise EngineUnavailable("it is stopped")
            if time.monotonic() >= deadline:
                raise EngineUnavailable(f"it is {self.state().reason or 'starting'}", 10)
            await asyncio.sleep(0.1)

    def _at(self, status: EngineStatus, reason: str) -> EngineState:
        return EngineState(status, reason, self._restarts, self._options.served_name)

    async def _supervise(self) -> None:
        """Keeps a server up until it is cancelled."""
        failures = 0  # in a row
        while True:
            self._state = self._at(EngineStatus.STARTING, self._log.phase)
            try:
                async with self._server() as (process, client):
                    why = await self._until_ready(process, client)
                    if why is None:
                        self._state = self._at(EngineStatus.READY, "")
                        born = time.monotonic()
                        why = await self._until_dead(process, client)
                        self._restarts += 1
                        stable = time.monotonic() - born >= _STABLE_SECONDS
                        failures = 0 if stable or failures == 0 else failures + 1
                        self._state = self._at(EngineStatus.STARTING, f"starting again: it {why}")
                    else:
                        failures += 1
                        self._state = self._at(EngineStatus.FAILED, f"it {why}")
            except OSError as error:
                failures += 1
                self._state = self._at(EngineStatus.FAILED, str(error))
            if failures:
                await asyncio.sleep(min(_LONGEST_BACKOFF_SECONDS, 2.0**failures))

    @contextlib.asynccontextmanager
    async def _server(self) -> AsyncIterator[tuple[asyncio.subprocess.Process, ChatClient]]:
        """One life of the server: started, its log read, in the end its whole group gone.

        Raises:
            FileNotFoundError: the model folder is none.
        """
        config = self._options.model_folder / "config.json"
        if not config.is_file():
            raise FileNotFoundError(f"{self._options.model_folder} is no model: no config.json")
        port = free_port()
        self._log.begin()
        process = await asyncio.create_subprocess_exec(
            # As nice as this process is, also as a session of its own; it cannot outlive us.
            *(sys.executable, "-I", tether.__file__, str(os.getpid()), "0"),
            *self._options.arguments(port),
            env=self._options.environment(self.api_key),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        client = ChatClient(
            f"http://127.0.0.1:{port}",
            api_key=self.api_key,
            request_timeout_seconds=self._request_timeout,
        )
        reading = asyncio.create_task(self._read_log(process))
        self._lives += 1
        self._process, self._client = process, client
        try:
            yield process, client
        finally:
            self._client = None
            await asyncio.shield(end_group(process))
            await asyncio.wait({reading}, timeout=1.0)
            reading.cancel()
            await client.close()

    async def _read_log(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            raise RuntimeError("the server was started without a pipe")
        while output := await process.stdout.read(65536):
            self._log.feed(output)

    async def _until_ready(
        self, process: asyncio.subprocess.Process, client: ChatClient
    ) -> str | None:
        """None when the server answers, else what became of it."""
        deadline = time.monotonic() + self._start_timeout
        while process.returncode is None:
            if await client.healthy(_HEALTH_TIMEOUT_SECONDS):
                return None
            if time.monotonic() >= deadline:
                return f"was not ready after {self._start_timeout:.0f} s ({self._log.phase})"
            await asyncio.sleep(_START_POLL_SECONDS)
        await asyncio.sleep(_START_POLL_SECONDS)  # its last words are still in the pipe
        return f"{ending(process.returncode)} while {self._log.phase}: {self._log.fault()}"

    async def _until_dead(self, process: asyncio.subprocess.Process, client: ChatClient) -> str:
        """Waits until the server has ended or does not answer any more; says which."""
        failures = 0
        while failures < _HEALTH_FAILURES:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _HEALTH_EVERY_SECONDS)
                return ending(process.returncode)
            healthy = await client.healthy(_HEALTH_TIMEOUT_SECONDS)
            failures = 0 if healthy else failures + 1
        return f"failed {_HEALTH_FAILURES} health checks"
