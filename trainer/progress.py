"""How far a run is: a bar with the time left on a terminal, plain lines elsewhere, and a callback.

The cycle connects the callback to the run's row, so that the API and a person see the same.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Report = Callable[[str, float | None], None]
Clock = Callable[[], float]

_EVERY_SECONDS = 2.0
_LINE_RATIO = 0.1
_LINE_SECONDS = 30.0


class StageProgress:
    """The progress of all stages of one run; a context manager.

    Args:
        console: where people look; stderr where None.
        report: hears (stage, ratio 0 to 1 or None while the total is unknown): at the beginning and
            the end of a stage always, between them at most once in `every_seconds`. It is called
            in the thread that advances the stage and must not block.
        every_seconds: least time between two calls of `report` within a stage.
        clock: in seconds, never going back.
    """

    def __init__(
        self,
        console: Console | None = None,
        report: Report | None = None,
        *,
        every_seconds: float = _EVERY_SECONDS,
        clock: Clock = time.monotonic,
    ) -> None:
        self._console = console or Console(stderr=True)
        self._report = report
        self._every_seconds = every_seconds
        self._clock = clock
        self._bars: Progress | None = None
        if self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description:<14}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(compact=True),
                console=self._console,
            )

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    @contextmanager
    def stage(self, name: str, total: float | None = None, done: float = 0.0) -> Iterator["Stage"]:
        """One stage, from its beginning to its end.

        Args:
            name: as it stands in the run's row.
            total: how many steps it has; None where that is found out later (`Stage.update`).
            done: steps that an earlier attempt has done.

        Yields:
            What the stage's work advances. A stage that raises stays at what it had reached.
        """
        bar = None
        if self._bars is not None:
            bar = self._bars.add_task(name, total=total)
            self._bars.update(bar, completed=done)
        stage = Stage(self, name, total, done, bar)
        stage.begin()
        yield stage
        stage.finish()

    def now(self) -> float:
        """The clock's seconds."""
        return self._clock()

    def due(self, since: float) -> bool:
        """Whether enough time has passed for another report."""
        return self.now() - since >= self._every_seconds

    def tell(self, name: str, ratio: float | None) -> None:
        """Report to the callback."""
        if self._report is not None:
            self._report(name, ratio)

    def draw(self, bar: TaskID | None, done: float, total: float | None) -> None:
        """Move the bar, where there are bars."""
        if self._bars is not None and bar is not None:
            self._bars.update(bar, completed=done, total=total)

    def say(self, text: str) -> None:
        """A plain line, where there are no bars."""
        if self._bars is None:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Stage:
    """One stage under way; made by `StageProgress.stage`."""

    def __init__(
        self,
        owner: StageProgress,
        name: str,
        total: float | None,
        done: float,
        bar: TaskID | None,
    ) -> None:
        self.name = name
        self.total = total
        self.done = done
        self._owner = owner
        self._bar = bar
        self._first_done = done
        self._began = self._moved = self._told = self._said = owner.now()
        self._said_ratio, self._said_done = 0.0, done

    @property
    def ratio(self) -> float | None:
        """What is done of the whole, 0 to 1; None while the whole is unknown."""
        if self.total is None:
            return None
        return min(1.0, self.done / self.total) if self.total > 0 else 1.0

    @property
    def seconds_left(self) -> float | None:
        """At this attempt's own speed; None while nothing is known of it.

        The step that is under way counts with the time that it has had, so that the time left
        falls while a long one runs.
        """
        made = self.done - self._first_done
        if self.total is None or made <= 0:
            return None
        pace = (self._moved - self._began) / made
        return max(0.0, (self.total - self.done) * pace - (self._owner.now() - self._moved))

    def begin(self) -> None:
        """Show and report the beginning."""
        self._said_ratio = self.ratio or 0.0
        resumed = f" (continues at {self.done:g} of {self.total:g})" if self.done else ""
        self._owner.say(f"{self.name}: begins{resumed if self.total is not None else ''}")
        self._owner.tell(self.name, self.ratio)

    def advance(self, count: float = 1.0) -> None:
        """`count` more steps are done."""
        self.update(self.done + count)

    def update(self, done: float, total: float | None = None) -> None:
        """`done` steps are done in all; `total`, where it is now known."""
        if done != self.done:
            self._moved = self._owner.now()
        self.done = done
        self.total = self.total if total is None else total
        self._owner.draw(self._bar, self.done, self.total)
        if self._owner.due(self._told):
            self._told = self._owner.now()
            self._owner.tell(self.name, self.ratio)
            self._say_now_and_then()

    def continue_at(self, done: float, total: float) -> None:
        """The work begins at `done` of `total`; the time left is counted from here."""
        self.update(done, total)
        self._first_done, self._began = done, self._owner.now()
        self._moved = self._began

    def finish(self) -> None:
        """The stage is done, whatever its count says."""
        self.total = self.done = self.total or self.done or 1.0
        self._owner.draw(self._bar, self.done, self.total)
        self._owner.say(f"{self.name}: done in {show_time(self._owner.now() - self._began)}")
        self._owner.tell(self.name, 1.0)

    def _say_now_and_then(self) -> None:
        """A line for each tenth, and for steps that take longer one in half a minute at most."""
        now, ratio = self._owner.now(), self.ratio
        tenth = ratio is not None and ratio - self._said_ratio >= _LINE_RATIO
        if self.done == self._said_done or (not tenth and now - self._said < _LINE_SECONDS):
            return
        self._said, self._said_ratio, self._said_done = now, ratio or 0.0, self.done
        left = self.seconds_left
        rest = "" if left is None else f", {show_time(left)} left"
        share = f"{self.done:g}" if ratio is None else f"{100 * ratio:.0f} % of {self.total:g}"
        self._owner.say(f"{self.name}: {share}{rest}")


def show_time(seconds: float) -> str:
    """As 0:48, 12:05 or 1:02:09."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def training_steps(stage: Stage) -> Any:
    """A callback of a transformers trainer that moves `stage` with its optimiser steps.

    A run that continues from a checkpoint begins at that checkpoint's step.

    Returns:
        A `transformers.TrainerCallback`.
    """
    from transformers import TrainerCallback

    class Steps(TrainerCallback):  # type: ignore[misc]
        """Tells the stage where the trainer is."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """The whole is known now."""
            del args, control, kwargs
            stage.continue_at(state.global_step, state.max_steps)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            """One more optimiser step."""
            del args, control, kwargs
            stage.update(state.global_step, state.max_steps)

    return Steps()
