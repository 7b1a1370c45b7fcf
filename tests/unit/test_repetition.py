"""Texts that go round in circles, and texts that only look so."""

import pytest

from extraction.markdown.repetition import loops

PROSE = (
    "The committee met on Tuesday and found that the accounts of the year were in good order. "
    "It thanked the treasurer, who has served for eleven years, and it chose her successor. "
)


@pytest.mark.parametrize(
    ("text", "cut", "expected", "why"),
    [
        (PROSE, False, False, "prose"),
        (PROSE * 3, True, False, "a text that stands three times may be a form's three copies"),
        (PROSE + "the the " * 40, False, True, "one word for ever"),
        (PROSE + "and so on " * 31 + PROSE, False, True, "a loop that the model got out of"),
        (PROSE + "and so on " * 20, False, False, "a chorus"),
        (PROSE * 8, True, True, "whole paragraphs, until the answer was cut"),
        (PROSE * 8, False, False, "the same where the answer ended by itself"),
        ("Chapter one " + "." * 300 + " 7", True, False, "dots that lead to a page number"),
        ("<table><tr>" + "<td></td>" * 200 + "</tr></table>", False, False, "empty cells"),
        (PROSE + "1,2," * 100, True, True, "a short period at the end of a cut answer"),
        ("", True, False, "nothing"),
    ],
)
def test_a_loop_is_told_from_what_pages_repeat(
    text: str, *, cut: bool, expected: bool, why: str
) -> None:
    assert loops(text, cut=cut) is expected, why


def test_a_long_text_is_looked_through_quickly() -> None:
    words = " ".join(f"word{number}" for number in range(20_000))
    assert not loops(words, cut=True)
