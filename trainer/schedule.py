"""When a cycle begins, and what becomes of an unfinished one: pure, from facts to a value.

Whoever asks `choose` holds the lock of training (`trainer.cycle_lock`), so that an unfinished run
has no living process unless that process lost its connection a moment ago.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from trainer.profile import ScheduleSection

FIRST_REST = timedelta(minutes=10)
"""How long a worker waits after a cycle that failed; twice as long after each further one."""

SILENCE = timedelta(minutes=15)
"""A run of another machine that gave no sign for so long is given up."""

MOST_ATTEMPTS = 3
"""A run that ended so often by a fault or a crash has failed."""


class Reason(StrEnum):
    """Why a cycle is due."""

    CORRECTIONS = "corrections"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Due:
    """A cycle should begin.

    Attributes:
        reason: which of the schedule's two rules says so.
        new_count: accepted corrections that no finished cycle has seen.
    """

    reason: Reason
    new_count: int


def due(
    now: datetime,
    last_finished: datetime | None,
    new_count: int,
    section: ScheduleSection,
    least: int,
) -> Due | None:
    """Whether a cycle should begin now.

    Args:
        now: the database's time.
        last_finished: when the last cycle came to its end, promoted or not; None where there was
            none, which counts as long ago.
        new_count: accepted corrections that no finished cycle has seen.
        section: the profile's schedule.
        least: the profile's `data.least_examples`; with fewer nothing begins.
    """
    if new_count < least:
        return None
    if new_count >= section.new_corrections:
        return Due(Reason.CORRECTIONS, new_count)
    if last_finished is None or now - last_finished >= timedelta(hours=section.most_hours):
        return Due(Reason.TIME, new_count)
    return None


def rest_until(failures: Sequence[datetime], section: ScheduleSection) -> datetime | None:
    """Until when nothing begins by itself, so that a fault does not train round the clock.

    Args:
        failures: when the cycles since the last finished one failed, newest first.
        section: the profile's schedule; no rest is longer than its `most_hours`.
    """
    if not failures:
        return None
    longest = timedelta(hours=section.most_hours)
    # Ten doublings are a week; more would only overflow.
    rest = FIRST_REST * (1 << min(len(failures) - 1, 10))
    return failures[0] + min(rest, longest)


class Choice(StrEnum):
    """What to do about training now."""

    NEW = "new"
    RESUME = "resume"
    WAIT = "wait"
    ABANDON = "abandon"


def choose(
    last_sign: datetime | None, now: datetime, *, folder_here: bool, attempt_count: int = 0
) -> Choice:
    """What becomes of the unfinished run.

    Args:
        last_sign: its last heartbeat, or its start; None where there is no unfinished run.
        now: the database's time.
        folder_here: whether its work lies on this machine.
        attempt_count: how often it ended by a fault or a crash.

    Returns:
        `NEW`: there is none. `RESUME`: it goes on here. `WAIT`: it belongs to another machine that
        may come back. `ABANDON`: it ends, and another begins.
    """
    if last_sign is None:
        return Choice.NEW
    if folder_here:
        return Choice.RESUME if attempt_count < MOST_ATTEMPTS else Choice.ABANDON
    return Choice.WAIT if now - last_sign < SILENCE else Choice.ABANDON
