"""Stand-ins for what is slow or outside, injected where the real ones would be."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from api.engine.server import Smoke, SmokeFailed, VersionNotServed
from extraction.engine import (
    Completion,
    EngineState,
    EngineStatus,
    Prompt,
    Sampling,
    Token,
)
from extraction.errors import EngineUnavailable
from extraction.model_folder import ModelFolder


class FakeEngine:
    """An engine that answers what a test says.

    Args:
        answer: the completion's text, or what makes it from the prompt.
        model: the served version's name.
        starts: whether it is ready as soon as it is started; else a test calls `become`.
    """

    def __init__(
        self,
        answer: str | Callable[[Prompt], str] = "{}",
        model: str = "fake-1",
        *,
        starts: bool = True,
    ) -> None:
        self.answer = answer
        self.model = model
        self.metrics = ""
        self.prompts: list[Prompt] = []
        self.samplings: list[Sampling] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self._starts = starts
        self._state = EngineState(EngineStatus.STOPPED, model=model)

    def become(self, status: EngineStatus, reason: str = "") -> None:
        """From now on it is in this state."""
        self._state = EngineState(status, reason, 0, self.model)

    async def generate(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """See `Engine`; waits while `hold` is cleared."""
        self.prompts.append(prompt)
        self.samplings.append(sampling)
        await self.hold.wait()
        if not self._state.ready:
            raise EngineUnavailable(self._state.reason or "it is not ready")
        text = self.answer if isinstance(self.answer, str) else self.answer(prompt)
        tokens = tuple(Token(character, -0.01) for character in text)
        return Completion(text, tokens, "stop", self.model, 7, len(tokens), 0.01)

    async def ready(self) -> bool:
        """See `Engine`."""
        return self._state.ready

    def state(self) -> EngineState:
        """See `Engine`."""
        return self._state

    async def start(self) -> None:
        """See `Engine`."""
        self.become(EngineStatus.READY if self._starts else EngineStatus.STARTING, "loading")

    async def stop(self) -> None:
        """See `Engine`."""
        self.become(EngineStatus.STOPPED, "stopped")

    async def metrics_text(self) -> str:
        """See `Engine`."""
        return self.metrics


class FakeServer(FakeEngine):
    """A server whose weights can be changed, for a real `SwappingEngine`.

    Args:
        model: what it serves first.
        answer: as with `FakeEngine`; it is told which version is asked.
    """

    def __init__(
        self, model: ModelFolder, answer: Callable[[str, Prompt], str] = lambda *_: "{}"
    ) -> None:
        super().__init__(model=model.version)
        self._folder: Path | None = model.folder
        self._answer_as = answer
        self.asked: list[str] = []
        self.reloads: list[str] = []
        self.faults: dict[str, Exception] = {}  # version -> what its coming ends with
        self.twins: list[FakeServer] = []
        self.pause_seconds = 0.0

    @property
    def model_folder(self) -> Path | None:
        """See `Server`."""
        return self._folder

    @property
    def base_version(self) -> str:
        """See `Server`."""
        return self.model

    @property
    def takes_adapters(self) -> bool:
        """See `Server`."""
        return False

    @property
    def mixes_base_and_adapters(self) -> bool:
        """See `Server`."""
        return True

    async def generate(
        self, prompt: Prompt, sampling: Sampling, *, version: str | None = None
    ) -> Completion:
        """See `Server`."""
        if version not in {None, self.model}:
            raise VersionNotServed(str(version))
        if self.model in self.faults:
            raise self.faults[self.model]
        self.asked.append(self.model)
        weights = self.model
        self.answer = self._answer_as(weights, prompt)
        completion = await super().generate(prompt, sampling)
        if self.model != weights:
            raise AssertionError("the weights changed under a request")
        return completion

    async def reload(self, model: ModelFolder, _smoke: Smoke) -> None:
        """See `Server`."""
        await asyncio.sleep(self.pause_seconds)
        self.reloads.append(model.version)
        if model.version in self.faults:
            raise self.faults[model.version]
        self.model, self._folder = model.version, model.folder
        self.become(EngineStatus.READY)

    async def load_adapter(self, name: str, _folder: Path, _smoke: Smoke) -> None:
        """See `Server`."""
        raise SmokeFailed(f"{name} is no adapter")

    async def unload_adapter(self, name: str) -> None:
        """See `Server`."""

    def twin(self, model: ModelFolder, _base: ModelFolder | None, _slot: int) -> "FakeServer":
        """See `Server`."""
        twin = FakeServer(model, self._answer_as)
        twin.faults = self.faults
        self.twins.append(twin)
        return twin


async def passes(_ask: object) -> None:
    """A smoke test that every version passes."""


class Relabelled(FakeEngine):
    """Answers as another version than the one in use, as in the middle of a swap."""

    def __init__(self, engine: FakeEngine, model: str) -> None:
        super().__init__(engine.answer, engine.model)
        self.answers_as = model
        self.versions: list[str | None] = []

    async def generate(
        self, prompt: Prompt, sampling: Sampling, *, version: str | None = None
    ) -> Completion:
        """See `Engine`; remembers which version was asked."""
        self.versions.append(version)
        return replace(await super().generate(prompt, sampling), model=self.answers_as)
