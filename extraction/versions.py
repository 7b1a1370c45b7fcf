"""The model versions that may answer now, each with its own traits and calibration.

A swap may happen between a prompt and its answer, so a prompt is built with the facts of the
version that is asked, and the record is made with those of the version that answered.
"""

from dataclasses import dataclass, field
from typing import Protocol

from extraction.confidence import Calibration
from extraction.engine import Completion, Engine, Prompt, Sampling
from extraction.traits import ModelTraits


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """What the serving code has to know about one version.

    Attributes:
        traits: how to ask it, and whether it sees.
        calibration: turns the signals of its answers into confidence.
    """

    traits: ModelTraits
    calibration: Calibration = field(repr=False)

    @property
    def name(self) -> str:
        """Its immutable name."""
        return self.traits.version


class ManyVersions(Engine, Protocol):
    """An engine that has more versions than the one in use, each asked by its name."""

    async def generate(
        self, prompt: Prompt, sampling: Sampling, *, version: str | None = None
    ) -> Completion:
        """See `Engine`; None asks the version in use.

        Raises:
            EngineUnavailable: this version is not loaded, or not any more.
        """
        ...


class KnownVersions:
    """The versions by their names, and the one that is asked where nobody names another.

    Args:
        first: the version in use.
    """

    def __init__(self, first: KnownVersion) -> None:
        self._known = {first.name: first}
        self._used = first

    @property
    def used(self) -> KnownVersion:
        """The version that is asked by default."""
        return self._used

    @property
    def names(self) -> frozenset[str]:
        """Every version that is known."""
        return frozenset(self._known)

    def find(self, name: str) -> KnownVersion | None:
        """The version of this name; None where it was never added, or dropped."""
        return self._known.get(name)

    def add(self, version: KnownVersion) -> None:
        """From now on it can be asked by its name."""
        self._known[version.name] = version
        if version.name == self._used.name:
            self._used = version

    def use(self, name: str) -> None:
        """From now on it is asked by default.

        Raises:
            KeyError: it was not added.
        """
        self._used = self._known[name]

    def drop(self, name: str) -> None:
        """Forget a version; one that is not known is nothing to forget.

        Raises:
            ValueError: it is the one in use.
        """
        if name == self._used.name:
            raise ValueError(f"{name} is in use")
        self._known.pop(name, None)
