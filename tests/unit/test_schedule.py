from datetime import UTC, datetime, timedelta

import pytest

from trainer.profile import ScheduleSection
from trainer.schedule import (
    FIRST_REST,
    MOST_ATTEMPTS,
    SILENCE,
    Choice,
    Due,
    Reason,
    choose,
    due,
    rest_until,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECTION = ScheduleSection(new_corrections=50, most_hours=24.0, poll_seconds=30.0)
LEAST = 20
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("last_finished", "new_count", "expected"),
    [
        (NOW - HOUR, 49, None),
        (NOW - HOUR, 50, Due(Reason.CORRECTIONS, 50)),
        (NOW - 24 * HOUR, 20, Due(Reason.TIME, 20)),
        (NOW - 24 * HOUR + timedelta(seconds=1), 20, None),
        # However long ago, and where there was none yet: with too few nothing begins.
        (NOW - 1000 * HOUR, 19, None),
        (None, 19, None),
        (None, 20, Due(Reason.TIME, 20)),
        (None, 0, None),
        # Both rules hold: the one about corrections is told.
        (None, 50, Due(Reason.CORRECTIONS, 50)),
        # A clock that was set back makes nothing due.
        (NOW + HOUR, 49, None),
    ],
)
def test_due(last_finished: datetime | None, new_count: int, expected: Due | None) -> None:
    assert due(NOW, last_finished, new_count, SECTION, LEAST) == expected


def test_enough_corrections_are_never_fewer_than_a_cycle_needs() -> None:
    section = SECTION.model_copy(update={"new_corrections": 5})
    assert due(NOW, None, 19, section, LEAST) is None
    assert due(NOW, NOW, 20, section, LEAST) == Due(Reason.CORRECTIONS, 20)


def test_a_failed_cycle_is_followed_by_a_rest_that_grows() -> None:
    assert rest_until([], SECTION) is None
    rests = [rest_until([NOW] * count, SECTION) for count in range(1, 12)]
    assert rests[:3] == [NOW + FIRST_REST, NOW + 2 * FIRST_REST, NOW + 4 * FIRST_REST]
    assert rests[-1] == NOW + timedelta(hours=SECTION.most_hours)
    assert rest_until([NOW] * 10_000, SECTION) == rests[-1]


@pytest.mark.parametrize(
    ("sign", "here", "attempts", "expected"),
    [
        (None, False, 0, Choice.NEW),
        (None, True, 9, Choice.NEW),
        # What lies here goes on at once, however long ago it stopped.
        (NOW, True, 0, Choice.RESUME),
        (NOW - 1000 * HOUR, True, MOST_ATTEMPTS - 1, Choice.RESUME),
        (NOW, True, MOST_ATTEMPTS, Choice.ABANDON),
        # What lies elsewhere is left to its machine for a while.
        (NOW, False, 0, Choice.WAIT),
        (NOW - SILENCE + timedelta(seconds=1), False, 0, Choice.WAIT),
        (NOW - SILENCE, False, 0, Choice.ABANDON),
    ],
)
def test_choose(sign: datetime | None, here: bool, attempts: int, expected: Choice) -> None:
    assert choose(sign, NOW, folder_here=here, attempt_count=attempts) is expected
