"""page_tests, front_matter and the layout rewards, worked out by hand."""

import pickle
from dataclasses import replace
from typing import Any

import pytest

from extraction.document_types.catalogue import BUILT_IN
from extraction.markdown.front_matter import write_page
from extraction.prompt import AnswerFormat, Asked
from extraction.unit_tests import InvalidCase
from tests.factories_rewards import END, REWARDS, scores
from trainer.rewards import Task, decode_task, encode_task
from trainer.rewards.layout import inversions, matched, paragraphs
from trainer.rewards.page_text import read_answer_text

FACTS = {
    "primary_language": "en",
    "is_rotation_valid": True,
    "rotation_correction": 0,
    "is_table": False,
    "is_diagram": False,
}
WHERE = {"pdf": "a.pdf", "page": 1}
TESTS: list[dict[str, Any]] = [
    WHERE | {"id": "1", "type": "present", "text": "The sea"},
    WHERE | {"id": "2", "type": "absent", "text": "Page 7"},
    WHERE | {"id": "3", "type": "order", "before": "sea", "after": "moon"},
    WHERE | {"id": "4", "type": "baseline"},
]


def task_of_page(text: str | None, tests: list[dict[str, Any]] | None = None) -> Task:
    page: dict[str, Any] = {**FACTS, "natural_text": text}
    asked = Asked(BUILT_IN["document"], AnswerFormat.JSON)
    return Task(asked, {"pages": [page]}, (), tuple(TESTS if tests is None else tests))


def score(name: str, expected: str | None, answered: str, **options: Any) -> float | None:
    text = write_page({**FACTS, "natural_text": answered})
    return scores(task_of_page(expected), text, **options)[name]


@pytest.mark.parametrize(
    ("answered", "share"),
    [
        ("The sea. The moon.", 1.0),
        ("The moon. The sea.", 0.75),
        ("The sea. The moon. Page 7", 0.75),
        ("The sea.", 0.75),
        ("", 0.25),
        ("Page 7 Page 7", 0.25),
    ],
)
def test_page_tests_is_the_share_that_passes(answered: str, share: float) -> None:
    assert score("page_tests", None, answered) == share
    assert score("page_tests", None, answered, ended=False) == share, "a cut text is tested too"


def test_without_tests_there_is_no_share() -> None:
    assert scores(task_of_page("a", []), "a")["page_tests"] is None


def test_the_front_matter_is_no_text_of_the_page() -> None:
    tests = [WHERE | {"id": "1", "type": "absent", "text": "primary_language"}]
    task = task_of_page("a", tests)
    facts = write_page(FACTS)
    for answer in (f"{facts}a", f"a\n{facts}", f"<think>primary_language</think>{facts}a"):
        assert scores(task, answer)["page_tests"] == 1.0
    assert scores(task, "primary_language: en")["page_tests"] == 0.0


def test_a_test_that_says_nothing_is_our_bug() -> None:
    with pytest.raises(InvalidCase):
        scores(task_of_page("a", [WHERE | {"id": "1", "type": "present", "text": ""}]), "a")


@pytest.mark.parametrize(
    ("answer", "expected", "why"),
    [
        (write_page(FACTS) + "text", 1.0, "on top"),
        ("\n\n" + write_page(FACTS), 1.0, "white space is nothing"),
        ("<think>so</think>" + write_page(FACTS), 1.0, "a thought is not the answer"),
        ("text", 0.0, "none"),
        ("", 0.0, "nothing"),
        ("---\nprimary_language: en\n---\ntext", 0.2, "one fact of five"),
        ("---\ncolour: red\n---\ntext", 0.0, "no fact"),
        ("---\nprimary_language: en\ntext", 0.0, "no end"),
        ("12345\n---\nis_table: True\n---\n1234", 0.2 * (1 - 5 / 28), "5 of 28 characters before"),
    ],
)
def test_front_matter(answer: str, expected: float, why: str) -> None:
    assert scores(task_of_page(None), answer)["front_matter"] == pytest.approx(expected), why


ABC = "alpha one\n\nbravo two\n\ncharlie three"


@pytest.mark.parametrize(
    ("expected", "answered", "distance", "count", "order", "why"),
    [
        (ABC, ABC, 1.0, 1.0, 1.0, "the same"),
        ("", "", 1.0, 1.0, 1.0, "an empty page, read as one"),
        ("", "text", 0.0, 0.0, 0.0, "an empty page, invented"),
        ("text", "", 0.0, 0.0, 0.0, "nothing was read"),
        ("text", "text", 1.0, 1.0, 1.0, "one paragraph"),
        ("text", "next", 0.75, 1.0, 1.0, "3 of 4 letters: one match, in order"),
        ("text", "quiz", 0.0, 1.0, 0.0, "no letter in its place: no match"),
        (
            "aa\n\nbb",
            "bb\n\naa",
            2 / 6,
            1.0,
            0.0,
            "4 of 6 differ; the pair is turned",
        ),
        ("aaaa\n\nbbbb\n\ncccc", "aaaa\n\ncccc\n\nbbbb", 0.5, 1.0, 2 / 3, "one of three pairs"),
        ("aaaa\n\nbbbb\n\ncccc", "cccc\n\nbbbb\n\naaaa", 0.5, 1.0, 0.0, "all three"),
        ("aaaa\n\nbbbb", "aaaa bbbb", 0.8, 0.5, 0.0, "run together: 2 of 10; half of the count"),
        ("a\n\nb", "a\n\nb\n\nc\n\nd", 0.4, 0.0, 1.0, "twice as many are as bad as none"),
        ("a\n\nb", "a\n\n\n \n  b ", 1.0, 1.0, 1.0, "white space says nothing"),
    ],
)
def test_layout(
    expected: str, answered: str, distance: float, count: float, order: float, why: str
) -> None:
    assert score("layout_distance", expected, answered) == pytest.approx(distance), why
    assert score("layout_count", expected, answered) == pytest.approx(count), why
    assert score("layout_order", expected, answered) == pytest.approx(order), why


def test_pairs_are_given_for_the_greatest_sum() -> None:
    # Alone, "abcd" is nearest to "abcx"; but then "abcy" would have nothing.
    assert matched(("abcd", "abcx"), ("abcx", "abcz")) == (1, 0)
    assert matched((), ("a",)) == ()
    assert matched(("abcd",), ("abxy",)) == (0,), "half alike is alike"
    assert matched(("abcd",), ("axyz",)) == ()


def test_inversions() -> None:
    assert [inversions(x) for x in ([], [1], [1, 2, 3], [3, 2, 1], [2, 3, 1])] == [0, 0, 0, 3, 2]


def test_paragraphs() -> None:
    assert paragraphs(" a\nb \n\n\n\t\nc\n") == ("a b", "c")
    assert paragraphs("\n \n") == ()


def test_what_nobody_confirmed_is_not_compared() -> None:
    task = task_of_page("a")
    unknown = replace(task, reference={"pages": [FACTS]})
    receipt = replace(task, asked=Asked(BUILT_IN["receipt"], AnswerFormat.JSON), tests=())
    for other in (unknown, receipt, replace(task, reference={})):
        scored = scores(other, "a")
        assert all(scored[name] is None for name in scored if name.startswith("layout_"))
    assert scores(receipt, "a")["front_matter"] is None


def test_pages_of_a_document_are_one_text() -> None:
    task = task_of_page(None)
    pages = [{**FACTS, "natural_text": text} for text in ("a", None, "b")]
    scored = scores(replace(task, reference={"pages": pages}), "a\n\nb")
    assert scored["layout_distance"] == 1.0


def test_tests_travel_with_the_task() -> None:
    task = task_of_page("a")
    assert decode_task(encode_task(task)) == task
    column: Any = [encode_task(task)]
    for reward in pickle.loads(pickle.dumps(REWARDS)):  # noqa: S301  # our own
        ours = reward(["p"], ["The sea"], [[5, END]], column)
        assert ours == [scores(task, "The sea")[reward.__name__]] or reward.__name__ == "repetition"


def test_fences_without_end_are_no_front_matter() -> None:
    text = read_answer_text("---\nis_table: x\n\n" * 20000)
    assert not text.keys
    assert text.before == 0
