"""What the swap needs of a model server, wherever it runs; and how a swap can end badly."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar, Protocol, TypeAlias

from extraction.engine import Completion, Engine, Prompt, Sampling
from extraction.errors import DocloopError, EngineUnavailable
from extraction.model_folder import ModelFolder

Ask: TypeAlias = Callable[[Prompt, Sampling], Awaitable[Completion]]
"""One request to the version under test."""

Smoke: TypeAlias = Callable[[Ask], Awaitable[None]]
"""Raises `SmokeFailed` where the version under test does not answer as a model should."""


class SwapFailed(DocloopError):
    """A version that did not come up; the one before it goes on serving.

    Args:
        version: the version that should have come.
        reason: what happened.
    """

    slug: ClassVar[str] = "swap-failed"

    def __init__(self, version: str, reason: str) -> None:
        self.version, self.reason = version, reason
        super().__init__(f"The version {version} is not served: {reason}.")


class VersionNotServed(EngineUnavailable):
    """The version that was asked for by name is not loaded, or not any more.

    Args:
        version: its name.
    """

    def __init__(self, version: str) -> None:
        super().__init__(f"the version {version} is not served now", 1)
        self.version = version


class SmokeFailed(EngineUnavailable):
    """A version answers, and not as a model should."""


class Server(Engine, Protocol):
    """One engine that can be given other weights."""

    @property
    def model_folder(self) -> Path | None:
        """The checkpoint that it runs; None where it is not on this machine."""
        ...

    @property
    def base_version(self) -> str:
        """The version name of that checkpoint; adapters must be made for it."""
        ...

    @property
    def takes_adapters(self) -> bool:
        """Whether it can be given adapters while it runs."""
        ...

    @property
    def mixes_base_and_adapters(self) -> bool:
        """Whether answers are right where the base and an adapter are asked at the same time.

        On CPU they are not: a request without adapter that shares a batch with one of an adapter is
        given the last loaded adapter's weights (vllm#48421, seen with 0.32).
        """
        ...

    async def generate(
        self, prompt: Prompt, sampling: Sampling, *, version: str | None = None
    ) -> Completion:
        """See `Engine`.

        Args:
            prompt: what to ask.
            sampling: how to draw.
            version: a loaded adapter's name; None, or `base_version`, for the checkpoint itself.
        """
        ...

    async def reload(self, model: ModelFolder, smoke: Smoke) -> None:
        """Takes a merged version's weights in place of its own.

        No request may be under way, and none may come before it returns. If it fails, the former
        weights are back, or the server is being started again with them.

        Raises:
            EngineUnavailable, EngineRefused: it failed.
        """
        ...

    async def load_adapter(self, name: str, folder: Path, smoke: Smoke) -> None:
        """Loads an adapter and tries it; no other version notices. If it fails, it is gone again.

        Raises:
            EngineUnavailable, EngineRefused: it failed.
        """
        ...

    async def unload_adapter(self, name: str) -> None:
        """Gives an adapter up that nobody asks any more.

        Raises:
            EngineUnavailable, EngineRefused: the server did not do it.
        """
        ...

    def twin(self, model: ModelFolder, base: ModelFolder | None, slot: int) -> "Server":
        """A second server of the same settings, not started.

        Args:
            model: what it serves.
            base: what that needs where it is an adapter.
            slot: tells servers that run at the same time apart; 0 is the first one.

        Raises:
            BadModelFolder: the adapter is for another base model.
            EngineUnavailable: no server can be started here.
        """
        ...
