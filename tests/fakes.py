"""Stand-ins for what is slow or outside, injected where the real ones would be."""

import asyncio
from collections.abc import Callable

from extraction.engine import Completion, EngineState, EngineStatus, Prompt, Sampling, Token
from extraction.errors import EngineUnavailable


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
