"""How long each stage of an extraction took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """Seconds per stage; a stage that runs twice counts both times."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, stage: str, seconds: float) -> None:
        """Counts what was measured elsewhere; clocks that disagree give no negative time."""
        self.seconds[stage] = self.seconds.get(stage, 0.0) + max(seconds, 0.0)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Counts the time inside, also when it ends by an error."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.add(stage, time.perf_counter() - begin)
