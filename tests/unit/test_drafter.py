"""Drafts of an answer: from its page, from answers before it, as long as the match deserves."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from api.engine.drafter import AnswerDrafter

END = 2
TURN = [1, 50, 51]  # begins an answer
CONTEXT = 64


def drafter(most: int = 8, ends: Any = END) -> AnswerDrafter:
    config = SimpleNamespace(
        speculative_config=SimpleNamespace(num_speculative_tokens=most),
        model_config=SimpleNamespace(
            max_model_len=CONTEXT,
            hf_config=SimpleNamespace(eos_token_id=ends),
            hf_text_config=SimpleNamespace(),
        ),
    )
    return AnswerDrafter(config)


def propose(one: AnswerDrafter, *rows: list[int], sampled: int = 1) -> list[list[int]]:
    tokens = np.zeros((len(rows) + 1, CONTEXT), np.int32)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = row
    lengths = np.array([len(row) for row in rows], np.int32)
    return one.propose([row[-sampled:] if sampled else [] for row in rows], lengths, tokens)


def test_what_followed_the_same_words_on_the_page() -> None:
    page = [10, 11, 12, 13, 14, 15, 16, END, *TURN]
    assert propose(drafter(), [*page, 10, 11]) == [[12, 13, 14, 15]]  # twice what matched
    assert propose(drafter(most=3), [*page, 10, 11]) == [[12, 13, 14]]
    assert propose(drafter(), [*page, 10, 99]) == [[]]
    assert propose(drafter(), [*page, 99, 16]) == [[END, 1]]


def test_the_longest_match_wins_then_the_first() -> None:
    page = [20, 11, 30, 10, 11, 31, 10, 11, 32, END, *TURN]
    assert propose(drafter(), [*page, 10, 11]) == [[31, 10, 11, 32]]
    assert propose(drafter(), [*page, 20, 11]) == [[30, 10, 11, 31]]


def test_an_answer_that_ended_is_remembered_and_its_page_is_not() -> None:
    one = drafter()
    answer = [40, 41, 42, 43]
    assert propose(one, [60, 61, 62, END, *TURN, *answer, END]) == [[]]
    assert propose(one, [70, END, *TURN, 40, 41]) == [[42, 43, END]]  # and not into the next
    assert propose(one, [70, END, *TURN, 60]) == [[]]
    page = [40, 41, 90, 91, END, *TURN]
    assert propose(one, [*page, 98, 40, 41]) == [[90, 91, END, 1]]  # the page itself goes first


def test_the_oldest_answer_is_forgotten() -> None:
    one = drafter()
    propose(one, [70, END, *TURN, 40, 41, END])
    for number in range(24):
        propose(one, [70, END, *TURN, 100 + number, END])
    assert propose(one, [70, END, *TURN, 40]) == [[]]
    assert propose(one, [70, END, *TURN, 100]) == [[END]]


@pytest.mark.parametrize("ends", [[END, 7], (7, END), END])
def test_every_token_that_ends_an_answer(ends: Any) -> None:
    one = drafter(ends=ends)
    assert propose(one, [70, END, *TURN, 40, 41, END]) == [[]]
    assert propose(one, [70, END, *TURN, 40]) == [[41, END]]


def test_nothing_while_a_prompt_is_read_or_beyond_the_context() -> None:
    assert propose(drafter(), [10, 11, 10], sampled=0) == [[]]
    full = ([10, 11] * CONTEXT)[:CONTEXT]
    assert propose(drafter(), full) == [[]]
    assert propose(drafter(), full[:-1]) == [[11]]


def test_each_request_has_its_own_draft() -> None:
    rows = [10, 11, 12, 10], [20, 21, 22, 20], [30, 31]
    assert propose(drafter(), *rows) == [[11, 12], [21, 22], []]
