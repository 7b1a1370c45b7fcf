"""One engine in front of all versions: which server answers, and how another version takes over.

Three ways, one promise: no request fails, and every answer names the version whose weights made
all of it.

    reload         new requests wait, the ones under way end, the weights change in place, all go on
    adapter        the new adapter is loaded beside the old one, then new requests ask for it;
                   between base and adapter, on CPU, in a pause as above (`mixes_base_and_adapters`)
    second-engine  a second server starts with the new version, then new requests go there

What a version has to pass is `smoke.py`; what the servers do is `local.py` and `remote.py`.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NoReturn, TypeAlias

from api.engine.server import Server, Smoke, SwapFailed, VersionNotServed
from api.engine.smoke import smoke_test
from extraction.engine import (
    Completion,
    EngineRefused,
    EngineState,
    EngineStatus,
    Prompt,
    Sampling,
)
from extraction.errors import EngineUnavailable
from extraction.model_folder import BadModelFolder, ModelFolder, differences

OnSwitch: TypeAlias = Callable[[ModelFolder], None]
_POLL_SECONDS = 0.05


class SwapWay(StrEnum):
    """How a version takes over."""

    RELOAD = "reload"
    ADAPTER = "adapter"
    SECOND_ENGINE = "second-engine"


@dataclass(frozen=True, slots=True)
class SwapOutcome:
    """A swap that is done.

    Args:
        version: what answers now.
        way: how it came.
        drain_seconds: how long the old version's last requests took.
        pause_seconds: how long new requests were held, the drain included; 0 where none were.
        total_seconds: from the call to the old version's end.
    """

    version: str
    way: SwapWay
    drain_seconds: float
    pause_seconds: float
    total_seconds: float


@dataclass(slots=True, eq=False)
class _Route:
    """A version that may be asked, and where."""

    model: ModelFolder
    server: Server
    slot: int
    in_flight: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.idle.set()
        self.open.set()

    @contextlib.contextmanager
    def occupied(self) -> Generator[None]:
        """One request is under way."""
        self.in_flight += 1
        self.idle.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self.idle.set()


class SwappingEngine:
    """See `Engine`; a champion answers, and versions beside it when they are asked by name.

    Args:
        model: the first champion.
        server: what serves it, not started: a `LocalEngine` of `LocalOptions.serving(model, base)`,
            or a `RemoteEngine`.
        base: what adapters are made for, where adapters shall be served.
        smoke: what a version must pass first.
        drain_timeout_seconds: a reload is given up where requests under way take longer; those that
            wait meanwhile go on with the old version.
        retire_timeout_seconds: how long an old version's last requests may take otherwise.
        start_timeout_seconds: how long a second server may take to start.
    """

    def __init__(
        self,
        model: ModelFolder,
        server: Server,
        *,
        base: ModelFolder | None = None,
        smoke: Smoke = smoke_test,
        drain_timeout_seconds: float = 60.0,
        retire_timeout_seconds: float = 600.0,
        start_timeout_seconds: float = 600.0,
    ) -> None:
        self._base = base
        self._smoke = smoke
        self._drain_timeout = drain_timeout_seconds
        self._retire_timeout = retire_timeout_seconds
        self._start_timeout = start_timeout_seconds
        self._champion = _Route(model, server, slot=0)
        self._beside: dict[str, _Route] = {}
        # Slot -> server; each is here from before its start until after its end.
        self._servers: dict[int, Server] = {0: server}
        self._changing = asyncio.Lock()

    @property
    def champion(self) -> ModelFolder:
        """What answers where nobody names a version."""
        return self._champion.model

    def versions(self) -> tuple[str, ...]:
        """What can be asked by name now, the champion first."""
        return (self._champion.model.version, *self._beside)

    def state(self) -> EngineState:
        """See `Engine`; that of the champion's server, under the champion's name."""
        return replace(self._champion.server.state(), model=self._champion.model.version)

    async def ready(self) -> bool:
        """See `Engine`; true in a pause too, for a request would be answered."""
        return await self._champion.server.ready()

    async def metrics_text(self) -> str:
        """See `Engine`; of the champion's server."""
        return await self._champion.server.metrics_text()

    async def start(self) -> None:
        """See `Engine`."""
        await self._champion.server.start()

    async def stop(self) -> None:
        """See `Engine`."""
        await asyncio.gather(*(server.stop() for server in self._servers.values()))

    async def generate(
        self, prompt: Prompt, sampling: Sampling, *, version: str | None = None
    ) -> Completion:
        """See `Engine`.

        Args:
            prompt: what to ask.
            sampling: how to draw.
            version: one of `versions()`; None asks the champion. `Completion.model` says who
                answered.

        Raises:
            VersionNotServed: it is not loaded, or was retired while the request waited.
        """
        began = time.monotonic()
        route = await self._route(version)
        held = time.monotonic() - began
        # No `await` since the route was found open: a swap sees this request, or it sees the swap.
        with route.occupied():
            found = await route.server.generate(prompt, sampling, version=route.model.version)
            return replace(
                found,
                model=route.model.version,
                total_seconds=found.total_seconds + held,
                queue_seconds=None if found.queue_seconds is None else found.queue_seconds + held,
            )

    async def _route(self, version: str | None) -> _Route:
        while True:
            is_champion = version in (None, self._champion.model.version)
            route = self._champion if is_champion else self._beside.get(str(version))
            if route is None:
                raise VersionNotServed(str(version))
            if route.open.is_set():
                return route
            await route.open.wait()

    async def swap(
        self, new: ModelFolder, *, way: SwapWay | None = None, on_switch: OnSwitch | None = None
    ) -> SwapOutcome:
        """Makes a version the champion; one change at a time, a further one waits for its turn.

        Args:
            new: as `open_model_folder` has let it pass.
            way: None chooses: an adapter where that is its form, a reload where architecture and
                tokenizer are the same, a second engine otherwise. A version that is loaded already
                (beside the champion, or as the base of its adapter) just takes over.
            on_switch: called at the moment when new requests begin to go to the new version.

        Raises:
            BadModelFolder: it is none for this engine; nothing was changed.
            SwapFailed: it did not come up. The old version answers, or its server is on its way
                back with it.
        """
        async with self._changing:
            began = time.monotonic()
            old = self._champion
            if new.version == old.model.version:
                return SwapOutcome(new.version, way or _natural_way(new), 0.0, 0.0, 0.0)
            loaded = self._beside.get(new.version)
            chosen = way or (_natural_way(new) if loaded else await self._choose(new))
            if way is SwapWay.RELOAD and await self._choose(new) is not SwapWay.RELOAD:
                raise BadModelFolder(new.version, "it cannot be reloaded in place here")
            if loaded is None and (chosen is SwapWay.RELOAD or self._parts(new, chosen)):
                drain, pause = await self._in_a_pause(new, chosen, on_switch)
                await self._retire(old)
            else:
                self._switch(loaded or await self._load(new, chosen), on_switch)
                drain, pause = await self._retire(old), 0.0
            return SwapOutcome(new.version, chosen, drain, pause, time.monotonic() - began)

    async def load(self, beside: ModelFolder) -> None:
        """Loads a version beside the champion: a canary or a shadow, asked by its name.

        Raises:
            BadModelFolder, SwapFailed: see `swap`.
        """
        async with self._changing:
            if beside.version not in self.versions():
                shares = self._fits(beside) and not self._parts(beside, SwapWay.ADAPTER)
                way = SwapWay.ADAPTER if shares else SwapWay.SECOND_ENGINE
                self._beside[beside.version] = await self._load(beside, way)

    async def unload(self, version: str) -> None:
        """Retires a version beside the champion; its requests under way end. None is fine too.

        Raises:
            ValueError: it is the champion.
        """
        async with self._changing:
            if version == self._champion.model.version:
                raise ValueError(f"{version} is the champion")
            if route := self._beside.pop(version, None):
                await self._retire(route)

    def _fits(self, new: ModelFolder) -> bool:
        """Whether the champion's server can take this adapter, or has this version as its base."""
        server = self._champion.server
        if new.form == "merged":
            alone = server.mixes_base_and_adapters or self._is_alone()
            return server.base_version == new.version and alone
        return server.takes_adapters and server.base_version == new.base

    def _is_alone(self) -> bool:
        """Whether nothing beside the champion is in its server."""
        return all(route.server is not self._champion.server for route in self._beside.values())

    def _parts(self, new: ModelFolder, way: SwapWay) -> bool:
        """Whether base and adapter would meet in a server that mixes them up."""
        unlike = (new.form == "merged") != (self._champion.model.form == "merged")
        mixes = self._champion.server.mixes_base_and_adapters
        return way is SwapWay.ADAPTER and unlike and not mixes

    async def _choose(self, new: ModelFolder) -> SwapWay:
        if self._fits(new):
            return SwapWay.ADAPTER
        if new.form == "adapter":
            return SwapWay.SECOND_ENGINE
        running, server = self._champion, self._champion.server
        failed = server.state().status is EngineStatus.FAILED  # a new one may come up
        whole = running.model.form == "merged" and self._is_alone()
        if server.model_folder is None or not whole or failed:
            return SwapWay.SECOND_ENGINE
        differ = await asyncio.to_thread(differences, server.model_folder, new.folder)
        return SwapWay.SECOND_ENGINE if differ else SwapWay.RELOAD

    async def _in_a_pause(
        self, new: ModelFolder, way: SwapWay, on_switch: OnSwitch | None
    ) -> tuple[float, float]:
        """Changes the champion's server while nobody asks it.

        Returns:
            Seconds of the drain, and of the whole pause.
        """
        old = self._champion
        closed = time.monotonic()
        old.open.clear()
        try:
            if not await _drained(old, self._drain_timeout):
                raise SwapFailed(new.version, f"requests took over {self._drain_timeout:.0f} s")
            drained = time.monotonic()
            self._switch(await self._load(new, way), on_switch)
        finally:
            old.open.set()  # who waited looks again for the champion
        return drained - closed, time.monotonic() - closed

    async def _load(self, new: ModelFolder, way: SwapWay) -> _Route:
        """A version that has passed and that nobody asks yet.

        Raises:
            BadModelFolder, SwapFailed: see `swap`.
        """
        champion = self._champion
        try:
            if way is SwapWay.RELOAD:
                await champion.server.reload(new, self._smoke)
                return _Route(new, champion.server, champion.slot)
            if way is SwapWay.ADAPTER:
                if not self._fits(new):
                    has = champion.server.base_version
                    raise BadModelFolder(new.version, f"it is no adapter for {has}")
                if new.form == "adapter":
                    await champion.server.load_adapter(new.version, new.weights, self._smoke)
                return _Route(new, champion.server, champion.slot)
            slot = next(slot for slot in range(len(self._servers) + 1) if slot not in self._servers)
            server = champion.server.twin(new, self._base, slot)
            self._servers[slot] = server
            try:
                await self._start(new, server)
            except BaseException:
                await self._end(slot)
                raise
            return _Route(new, server, slot)
        except (EngineUnavailable, EngineRefused, OSError) as error:
            _fail(new, error)

    async def _start(self, new: ModelFolder, server: Server) -> None:
        """A second server, until it has passed.

        Raises:
            SwapFailed: it does not start in time, or at all.
            EngineUnavailable: it does not pass.
        """
        await server.start()
        deadline = time.monotonic() + self._start_timeout
        while not (state := server.state()).ready:
            late = time.monotonic() >= deadline
            if late or state.status in {EngineStatus.FAILED, EngineStatus.STOPPED}:
                raise SwapFailed(new.version, f"its engine does not start: {state.reason}")
            await asyncio.sleep(_POLL_SECONDS)

        async def ask(prompt: Prompt, sampling: Sampling) -> Completion:
            return await server.generate(prompt, sampling, version=new.version)

        await self._smoke(ask)

    def _switch(self, route: _Route, on_switch: OnSwitch | None) -> None:
        """From now on new requests go there."""
        self._beside.pop(route.model.version, None)
        self._champion = route
        if on_switch is not None:
            on_switch(route.model)

    async def _retire(self, old: _Route) -> float:
        """Ends a version that gets no new requests; answers how long its last ones took."""
        began = time.monotonic()
        await _drained(old, self._retire_timeout)
        seconds = time.monotonic() - began
        shared = any(r.server is old.server for r in (self._champion, *self._beside.values()))
        if not shared:
            await self._end(old.slot)
        elif old.model.form == "adapter":
            # One that stays loaded costs memory and is asked by nobody.
            with contextlib.suppress(EngineUnavailable, EngineRefused):
                await old.server.unload_adapter(old.model.version)
        return seconds

    async def _end(self, slot: int) -> None:
        """Stops a server for good."""
        await self._servers[slot].stop()
        del self._servers[slot]


def _natural_way(model: ModelFolder) -> SwapWay:
    """The way of a version that is loaded already."""
    return SwapWay.ADAPTER if model.form == "adapter" else SwapWay.SECOND_ENGINE


async def _drained(route: _Route, seconds: float) -> bool:
    """Whether the requests under way have ended in time."""
    try:
        await asyncio.wait_for(route.idle.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _fail(new: ModelFolder, error: Exception) -> NoReturn:
    """The error as one of the swap."""
    why = error.why if isinstance(error, EngineUnavailable | EngineRefused) else str(error)
    raise SwapFailed(new.version, why) from error
