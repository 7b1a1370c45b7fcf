"""How far the service is, part by part: what `/readyz` answers and `docloop serve` prints."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """What has to be there before a document can be answered."""

    DATABASE = "database"
    MIGRATIONS = "migrations"
    KEY = "api key"
    MODEL = "model version"
    LINES = "line reader"
    QUEUE = "job queue"
    ENGINE = "engine"


class Progress(StrEnum):
    """How far a part is."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class PartState:
    """One part, and why it is not ready, or a word on what it is; holds no secret."""

    part: Part
    progress: Progress = Progress.WAITING
    reason: str = ""

    @property
    def ready(self) -> bool:
        """Whether nothing waits for this part."""
        return self.progress is Progress.READY


class Readiness:
    """The parts' states, and who is told of a change.

    Args:
        listener: called with each new state; must not block.
    """

    def __init__(self, listener: Callable[[PartState], None] | None = None) -> None:
        self._states = {part: PartState(part) for part in Part}
        self._listener = listener

    def mark(self, part: Part, progress: Progress, reason: str = "") -> None:
        """A part has come this far."""
        state = PartState(part, progress, reason)
        if self._states[part] != state:
            self._states[part] = state
            if self._listener is not None:
                self._listener(state)

    def state(self, part: Part) -> PartState:
        """One part."""
        return self._states[part]

    def waiting_for(self) -> list[PartState]:
        """The parts that are not ready, in the order of a start."""
        return [state for state in self._states.values() if not state.ready]
