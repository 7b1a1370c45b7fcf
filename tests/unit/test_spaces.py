"""Spaces of a second reading join the first only between letters."""

import numpy as np
import pytest

from extraction.spaces import SpacedDecoder, with_spaces


@pytest.mark.parametrize(
    ("text", "spaced", "expected", "why"),
    [
        ("SANYUSTATIONERYSHOP", "SANYU STATIONERY SHOP", "SANYU STATIONERY SHOP", "words part"),
        ("RM31.60", "RM 31. 60", "RM31.60", "amounts keep the first reading"),
        ("25/12/2018", "25/12/ 2018", "25/12/2018", "so do dates"),
        ("JALAN 1", "JALAN 1", "JALAN 1", "what is there stays"),
        ("AB CD", "A B CD", "A B CD", "old and new spaces together"),
        ("ABC", "ABD", "ABC", "another letter: the first reading"),
        ("A B", "AB", "A B", "a lost space: the first reading"),
        ("", "", "", "nothing"),
    ],
)
def test_spaces_are_taken_between_letters(text: str, spaced: str, expected: str, why: str) -> None:
    assert with_spaces(text, spaced) == expected, why


class ArgmaxDecoder:
    """Decodes one character per step; class 0 is the blank."""

    character = ("", "A", "B", " ")

    def __call__(self, predictions: np.ndarray) -> tuple[list[tuple[str, float]], list[None]]:
        rows = predictions.argmax(axis=2)
        return [("".join(self.character[i] for i in row), 1.0) for row in rows], [None]


def test_a_space_that_was_second_best_comes_back() -> None:
    step = np.array([[[0.0, 0.9, 0.0, 0.0], [0.9, 0.0, 0.0, 0.08], [0.0, 0.0, 0.9, 0.0]]])
    assert ArgmaxDecoder()(step.copy())[0][0][0] == "AB"
    assert SpacedDecoder(ArgmaxDecoder())(step.copy())[0][0][0] == "A B"


def test_another_alphabet_is_refused() -> None:
    decoder = ArgmaxDecoder()
    decoder.character = ("", "A")
    with pytest.raises(ValueError, match="space"):
        SpacedDecoder(decoder)
