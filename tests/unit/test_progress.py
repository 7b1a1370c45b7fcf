"""Progress is told at the beginning and the end, and not too often between them."""

import io
import re

import pytest
from rich.console import Console

from trainer.progress import StageProgress, show_time, training_steps

Told = list[tuple[str, float | None]]


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class State:
    def __init__(self, step: int, most: int) -> None:
        self.global_step, self.max_steps = step, most


def plain() -> tuple[Console, io.StringIO]:
    buffer = io.StringIO()
    return Console(file=buffer, force_terminal=False, width=80), buffer


def test_the_callback_hears_at_most_once_in_two_seconds() -> None:
    told: Told = []
    clock = Clock()
    console, _ = plain()
    progress = StageProgress(console, lambda *row: told.append(row), clock=clock)
    with progress, progress.stage("sft", total=100) as stage:
        for _ in range(100):
            clock.seconds += 0.125
            stage.advance()
    assert told[0] == ("sft", 0.0)
    assert told[-1] == ("sft", 1.0)
    assert len(told) == 2 + 6
    assert told == sorted(told, key=lambda row: row[1] or 0)


def test_a_stage_of_unknown_length_has_no_ratio_until_it_is_known() -> None:
    told: Told = []
    clock = Clock()
    console, _ = plain()
    progress = StageProgress(console, lambda *row: told.append(row), clock=clock)
    with progress, progress.stage("grpo") as stage:
        assert stage.ratio is None
        assert stage.seconds_left is None
        clock.seconds += 3
        stage.update(2, total=8)
    assert told == [("grpo", None), ("grpo", 0.25), ("grpo", 1.0)]


def test_time_left_counts_this_attempt_alone() -> None:
    clock = Clock()
    console, buffer = plain()
    progress = StageProgress(console, clock=clock)
    with progress, progress.stage("sft", total=100, done=60) as stage:
        assert stage.seconds_left is None
        clock.seconds += 10
        stage.advance(20)
        assert stage.seconds_left == pytest.approx(10)
    assert "continues at 60 of 100" in buffer.getvalue()


def test_while_a_long_step_runs_the_time_left_falls_and_nothing_is_said_twice() -> None:
    clock = Clock()
    console, buffer = plain()
    with StageProgress(console, clock=clock) as progress, progress.stage("grpo", total=4) as stage:
        clock.seconds += 100
        stage.update(1)
        for left in (260, 220, 180):
            clock.seconds += 40
            stage.update(1)
            assert stage.seconds_left == pytest.approx(left)
    assert buffer.getvalue().count("25 % of 4") == 1


def test_a_stage_that_fails_is_not_told_as_done() -> None:
    told: Told = []
    console, buffer = plain()
    progress = StageProgress(console, lambda *row: told.append(row), clock=Clock())
    with pytest.raises(ValueError, match="boom"), progress, progress.stage("soup", total=2):
        raise ValueError("boom")
    assert told == [("soup", 0.0)]
    assert "done" not in buffer.getvalue()


def test_plain_lines_come_by_tenths_and_name_the_time_left() -> None:
    clock = Clock()
    console, buffer = plain()
    progress = StageProgress(console, clock=clock)
    with progress, progress.stage("sft [bold]", total=1000) as stage:
        for _ in range(1000):
            clock.seconds += 0.125
            stage.advance()
    lines = buffer.getvalue().splitlines()
    assert lines[0] == "sft [bold]: begins"
    assert lines[-1] == "sft [bold]: done in 2:05"
    assert 8 <= len(lines) <= 13
    assert any(
        re.fullmatch(r"sft \[bold\]: 5\d % of 1000, (0:5\d|1:0[0-3]) left", line) for line in lines
    )


def test_a_slow_stage_still_says_something() -> None:
    clock = Clock()
    console, buffer = plain()
    progress = StageProgress(console, clock=clock)
    with progress, progress.stage("sft", total=1000) as stage:
        for _ in range(10):
            clock.seconds += 31
            stage.advance()
    assert len(buffer.getvalue().splitlines()) == 12


def test_a_terminal_gets_a_bar_and_no_plain_lines() -> None:
    buffer = io.StringIO()
    console = Console(file=buffer, force_terminal=True, width=100)
    with StageProgress(console) as progress, progress.stage("sft", total=3) as stage:
        stage.advance(3)
    assert "3/3" in buffer.getvalue()
    assert "begins" not in buffer.getvalue()


def test_a_trainer_moves_the_stage_and_continues_at_its_checkpoint() -> None:
    from transformers import TrainerCallback

    told: Told = []
    clock = Clock()
    console, _ = plain()
    progress = StageProgress(console, lambda *row: told.append(row), clock=clock)
    with progress, progress.stage("sft") as stage:
        callback = training_steps(stage)
        assert isinstance(callback, TrainerCallback)
        clock.seconds += 5
        callback.on_train_begin(None, State(10, 20), None)
        clock.seconds += 5
        callback.on_step_end(None, State(11, 20), None)
        assert stage.seconds_left == pytest.approx(45)
    assert told == [("sft", None), ("sft", 0.5), ("sft", 0.55), ("sft", 1.0)]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (725, "12:05"), (3729, "1:02:09")]
)
def test_times_read_as_a_clock(seconds: float, text: str) -> None:
    assert show_time(seconds) == text
