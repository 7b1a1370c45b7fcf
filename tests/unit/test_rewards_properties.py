"""Whatever is written: rewards stay in their range, never raise, and do not depend on the batch."""

import json
import pickle
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.catalogue import BUILT_IN
from extraction.layout import Layout
from extraction.lines import Box, Line
from extraction.prompt import AnswerFormat, Asked, PromptStyle
from tests.factories_rewards import (
    NOTE,
    REWARDS,
    gold,
    half_right,
    scores,
    tasks,
    token_ids,
    tricks,
    weighted,
    written,
)
from trainer.rewards import Task, decode_task, encode_task

TASKS = tasks()
RANGES = {reward.__name__: (0.0, 1.0) for reward in REWARDS} | {"repetition": (-1.0, 0.0)}
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

names = st.sampled_from(list(TASKS))
noise = st.text(max_size=60) | st.text('{}[]":,<>/\\ -0123456789abc', max_size=80)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn, task: Task) -> str:
    """A right answer of which a part is replaced, or a record of anything."""
    text = gold(task)
    match draw(st.integers(0, 3)):
        case 0:
            fields = st.sampled_from(task.asked.document_type.field_names)
            return json.dumps(draw(st.dictionaries(fields, json_values, max_size=4)))
        case 1:
            return draw(noise)
        case _:
            start = draw(st.integers(0, len(text)))
            end = draw(st.integers(start, min(len(text), start + 30)))
            return text[:start] + draw(noise) + text[end:]


@quick
@given(st.data(), names, st.booleans())
def test_nothing_raises_or_leaves_its_range(data: st.DataObject, name: str, ended: bool) -> None:
    task = TASKS[name]
    for reward, value in scores(task, data.draw(damaged(task)), ended=ended).items():
        least, most = RANGES[reward]
        assert value is None or least <= value <= most, reward


@quick
@given(st.data(), names)
def test_no_damage_pays_more_than_the_right_answer(data: st.DataObject, name: str) -> None:
    task = TASKS[name]
    right = weighted(scores(task, gold(task)))
    assert weighted(scores(task, data.draw(damaged(task)))) <= right + 1e-9


@quick
@given(names, noise, st.booleans())
def test_what_is_no_record_pays_less_than_an_honest_attempt(
    name: str, text: str, ended: bool
) -> None:
    task = TASKS[name]
    attempt = weighted(scores(task, half_right(task, leave_out=True)))
    assert weighted(scores(task, text, ended=ended)) < attempt


@quick
@given(st.permutations(range(12)), st.randoms(use_true_random=False))
def test_the_order_and_the_company_of_a_batch_change_nothing(order: list[int], chance: Any) -> None:
    rows = []
    for name in chance.choices(list(TASKS), k=12):
        task = TASKS[name]
        text = chance.choice([gold(task), half_right(task), *tricks(task).values()])
        rows.append((text, token_ids(text, ended=chance.random() < 0.8), encode_task(task)))
    apart = [_batch([row]) for row in rows]
    together = _batch(rows)
    shuffled = _batch([rows[index] for index in order])
    for reward in RANGES:
        assert together[reward] == [alone[reward][0] for alone in apart]
        assert shuffled[reward] == [together[reward][index] for index in order]


@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_rewards_can_be_pickled_and_score_the_same(protocol: int) -> None:
    again = pickle.loads(pickle.dumps(REWARDS, protocol))  # noqa: S301 - our own
    for task in TASKS.values():
        text = half_right(task)
        assert scores(task, text, rewards=again) == scores(task, text)
    assert [reward.__name__ for reward in again] == [reward.__name__ for reward in REWARDS]


def test_a_task_is_not_changed_by_being_scored() -> None:
    for task in TASKS.values():
        key = encode_task(task)
        for text in [gold(task), half_right(task), *tricks(task).values()]:
            scores(task, text)
        assert encode_task(decode_task(key)) == key


def test_deep_and_long_completions_are_read_in_bounded_time() -> None:
    task = TASKS["receipt"]
    for text in ("[" * 100_000, '{"total":' * 20_000, '{"a":"' + "x" * 500_000, "<" * 100_000):
        assert weighted(scores(task, text, ended=False)) <= 0.0


def _batch(rows: Sequence[tuple[str, list[int], str]]) -> dict[str, list[float | None]]:
    columns: dict[str, Any] = {
        "prompts": [""] * len(rows),
        "completions": [[{"role": "assistant", "content": text}] for text, _, _ in rows],
        "completion_ids": [ids for _, ids, _ in rows],
        "task": [key for _, _, key in rows],
    }
    return {reward.__name__: reward(**columns) for reward in REWARDS}


identifiers = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
leaf_kinds = st.sampled_from([k for k in Kind if k not in {Kind.OBJECT, Kind.LIST}])
ratios = st.floats(0, 1)


def specs(children: st.SearchStrategy[tuple[FieldSpec, ...]]) -> st.SearchStrategy[FieldSpec]:
    return st.builds(
        FieldSpec,
        identifiers,
        st.sampled_from(Kind),
        st.text(max_size=9),
        children,
        st.lists(st.text(max_size=5), max_size=3).map(tuple),
        leaf_kinds,
        st.integers(1, 2000),
        st.integers(1, 500),
        st.booleans(),
        st.booleans(),
    )


flat = specs(st.just(()))
nested = specs(st.lists(flat, max_size=2).map(tuple))
trees = specs(st.lists(nested, max_size=2).map(tuple))
lines = st.builds(
    Line,
    st.text(max_size=9),
    st.builds(Box, ratios, ratios, ratios, ratios),
    ratios,
    st.integers(0, 9),
    st.integers(0, 3),
)
any_tasks = st.builds(
    Task,
    st.builds(
        Asked,
        st.builds(
            DocumentType,
            identifiers,
            st.integers(1, 99),
            st.lists(trees, max_size=3).map(tuple),
            st.text(max_size=9),
        ),
        st.sampled_from(AnswerFormat),
        reasoning=st.booleans(),
        style=st.sampled_from(PromptStyle),
        layout=st.sampled_from(Layout),
    ),
    st.dictionaries(
        identifiers,
        json_values.filter(lambda value: "nan" not in repr(value) and "inf" not in repr(value)),
        max_size=3,
    ),
    st.lists(lines, max_size=3).map(tuple),
)


@quick
@given(any_tasks)
def test_a_task_comes_back_equal(task: Task) -> None:
    text = encode_task(task)
    assert text.isascii()
    assert decode_task(text) == task
    assert decode_task(text) is decode_task(text), "it is decoded once"


@pytest.mark.parametrize("document_type", [NOTE, *BUILT_IN.values()])
def test_types_come_back_equal(document_type: DocumentType) -> None:
    asked = Asked(document_type, style=PromptStyle.DESCRIBED)
    assert decode_task(encode_task(Task(asked, {}, ()))).asked == asked


def test_a_reference_that_is_no_json_is_our_bug() -> None:
    asked = Asked(NOTE)
    with pytest.raises(TypeError):
        encode_task(Task(asked, {"supplier": object()}, ()))
    with pytest.raises(ValueError, match="JSON"):
        encode_task(Task(asked, {"pallets": float("nan")}, ()))


def test_what_the_reference_repeats_is_no_repetition() -> None:
    """Repeated values and doubled elements are right where they are confirmed."""
    task = TASKS["a caller's type"]
    position = {"article": "a b c a b c a b c", "quantity": "1"}
    reference = task.reference | {"batches": ["x"] * 9, "positions": [position] * 5}
    repeated = Task(task.asked, reference, ())
    scored = scores(repeated, written(repeated, reference))
    assert (scored["repetition"], scored["fields"]) == (0.0, 1.0)
