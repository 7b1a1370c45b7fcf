"""Reward hacking: what does not read the document pays less than an honest attempt."""

from functools import cache
from itertools import pairwise

import pytest

from tests.factories_rewards import gold, half_right, scores, tasks, tricks, weighted, written

TASKS = tasks()
ALL_TRICKS = [(name, trick) for name, task in TASKS.items() for trick in tricks(task)]


@cache
def honest(name: str) -> list[float]:
    """The weighted sums of four attempts of which half of the fields are right."""
    task = TASKS[name]
    return [
        weighted(scores(task, half_right(task, first=first, leave_out=leave_out)))
        for first in (0, 1)
        for leave_out in (False, True)
    ]


@pytest.mark.parametrize(("name", "trick"), ALL_TRICKS)
@pytest.mark.parametrize("ended", [True, False])
def test_a_trick_pays_less_than_an_honest_attempt(name: str, trick: str, ended: bool) -> None:
    task = TASKS[name]
    tricked = weighted(scores(task, tricks(task)[trick], ended=ended))
    assert tricked < min(honest(name)) - 0.05


@pytest.mark.parametrize("name", TASKS)
def test_an_honest_attempt_pays_less_than_the_right_answer(name: str) -> None:
    task = TASKS[name]
    assert max(honest(name)) < weighted(scores(task, gold(task))) - 0.2


@pytest.mark.parametrize("name", TASKS)
def test_each_right_field_more_pays_more(name: str) -> None:
    """Field by field from nothing to the right answer: reading one more is never a loss."""
    task = TASKS[name]
    record: dict[str, object] = {}
    paid = [weighted(scores(task, written(task, record)))]
    for field in task.asked.document_type.field_names:
        if task.reference[field] not in (None, []):
            record[field] = task.reference[field]
            paid.append(weighted(scores(task, written(task, record))))
    assert all(later > earlier for earlier, later in pairwise(paid))


@pytest.mark.parametrize("name", TASKS)
def test_inventing_what_is_confirmed_to_be_absent_costs(name: str) -> None:
    task = TASKS[name]
    absent = [field for field, value in task.reference.items() if value is None]
    best = weighted(scores(task, gold(task)))
    for field in absent:
        invented = task.reference | {field: "1.00"}
        assert weighted(scores(task, written(task, invented))) < best - 0.03


def test_a_misread_date_pays_more_than_an_empty_record() -> None:
    task = TASKS["receipt"]
    misread = task.reference | {"transaction_date": "2O/O4/2OI8", "items": [], "currency": None}
    assert weighted(scores(task, written(task, misread))) > weighted(scores(task, "{}")) + 0.5


def test_leaving_out_what_could_be_wrong_never_has_the_full_reward() -> None:
    """Neither a sum that fails nor a zone that disagrees is avoided by saying less."""
    receipt, passport = TASKS["receipt"], TASKS["passport"]
    less = scores(receipt, written(receipt, receipt.reference | {"subtotal": None}))
    assert less["receipt_arithmetic"] == pytest.approx(2 / 3)
    wrong = scores(passport, written(passport, passport.reference | {"document_number": "X"}))
    less = scores(passport, written(passport, passport.reference | {"document_number": None}))
    assert wrong["mrz"] == less["mrz"] == pytest.approx(7 / 8)
