"""What experts and a model say alike of a page is kept, and nothing else."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from extraction.lines import Box, Line
from extraction.markdown.front_matter import TEXT
from trainer.synth.pages.shards import StoredPage
from trainer.synth.pages.variants import failed_kinds
from trainer.synth.pseudo_labels.agreement import (
    agreement_of_experts,
    judge,
    letters_of,
    regions_of,
)
from trainer.synth.pseudo_labels.experts import ReadPage
from trainer.synth.pseudo_labels.label import Labelling, LabellingOutcome, label
from trainer.synth.pseudo_labels.model_answers import Answers, NoAnswers, answers_from
from trainer.synth.pseudo_labels.text_layer import missing_ratio

LEFT = ("The harbour was opened in", "the spring of 1871 by the", "mayor of the town.")
RIGHT = ("Grain and timber came in", "on forty ships a month, and", "salt went out again.")


def lines(texts: Sequence[str], left: float) -> list[Line]:
    return [
        Line(text, Box(left, 0.1 + 0.03 * row, left + 0.4, 0.12 + 0.03 * row), 0.98, 0)
        for row, text in enumerate(texts)
    ]


TWO_COLUMNS = [*lines(LEFT, 0.05), *lines(RIGHT, 0.55)]
FIRST = " ".join(LEFT)
SECOND = " ".join(RIGHT)


def test_a_paragraph_agrees_across_lines_and_columns() -> None:
    found = judge(f"# {FIRST}\n\n**{SECOND}**", {"ocr": TWO_COLUMNS}, 0.9)
    assert [region.agreement["ocr"] for region in found] == [1.0, 1.0]
    assert found[0].box == Box(0.05, 0.1, 0.45, 0.12 + 0.06)
    assert found[1].box is not None
    assert found[1].box.left == 0.55


def test_what_nobody_else_read_is_not_kept() -> None:
    invented = "The museum is closed on Mondays and on public holidays."
    found = judge(f"{FIRST}\n\n{invented}", {"ocr": TWO_COLUMNS}, 0.9)
    assert [region.kept for region in found] == [True, False]


def test_one_expert_that_agrees_is_enough_and_both_are_told() -> None:
    bad = [Line("Tlic liarb0ur vvas 0pcned", Box(0.1, 0.1, 0.5, 0.12), 0.6, 0)]
    (region,) = judge(FIRST, {"text_layer": TWO_COLUMNS, "ocr": bad}, 0.9)
    assert region.kept
    assert region.agreement["text_layer"] == 1.0
    assert region.agreement["ocr"] < 0.7


def test_a_formula_alone_cannot_be_judged_and_is_not_kept() -> None:
    found = judge(f"{FIRST}\n\n\\[ x^2 + y^2 = z^2 \\]\n\n{SECOND}", {"ocr": TWO_COLUMNS}, 0.9)
    assert [region.kept for region in found] == [True, False, True]
    assert found[1].agreement == {}


def test_a_table_is_compared_row_by_row() -> None:
    cells = (
        [("Year", 0.1), ("North", 0.4), ("South", 0.7)],
        [("1990", 0.1), ("115", 0.4), ("9", 0.7)],
    )
    read = [
        Line(text, Box(x, 0.2 + 0.03 * row, x + 0.1, 0.22 + 0.03 * row), 1.0, 0)
        for row, texts in enumerate(cells)
        for text, x in texts
    ]
    markdown = "<table><tr><th>Year</th><th>North</th><th>South</th></tr>\n\n"
    markdown += "<tr><td>1990</td><td>115</td><td>9</td></tr></table>"
    (region,) = judge(markdown, {"ocr": read}, 0.95)
    assert region.kept
    swapped = markdown.replace("115", "9").replace("<td>9</td></tr>", "<td>115</td></tr>")
    (region,) = judge(swapped, {"ocr": read}, 0.95)
    assert not region.kept


def test_a_short_region_goes_with_its_neighbours() -> None:
    assert all(
        region.kept for region in judge(f"{FIRST}\n\nB.\n\n{SECOND}", {"o": TWO_COLUMNS}, 0.9)
    )
    found = judge("B.\n\nNothing of this stands on that page.", {"o": TWO_COLUMNS}, 0.9)
    assert not found[0].kept


def test_regions_are_blocks_and_a_table_is_one() -> None:
    assert regions_of("a\n\nb\nc\n\n<table>\n\n<tr></tr></table>\n\nd") == [
        "a",
        "b\nc",
        "<table>\n\n<tr></tr></table>",
        "d",
    ]
    assert letters_of("Ångström, 3\u00a0\N{LATIN SMALL LIGATURE FI}!") == "ångström3fi"


def test_experts_are_compared_with_each_other() -> None:
    assert agreement_of_experts({"a": TWO_COLUMNS, "b": TWO_COLUMNS}) == 1.0
    assert agreement_of_experts({"a": TWO_COLUMNS}) is None


def test_letters_that_are_not_drawn_are_missed() -> None:
    assert missing_ratio(TWO_COLUMNS, [FIRST, SECOND]) == 0.0
    assert missing_ratio(TWO_COLUMNS[:5], [FIRST, SECOND]) > 0.1


def a_labelled(
    answer: str | None, least_kept: float = 0.4
) -> tuple[StoredPage | str, LabellingOutcome]:
    job = Labelling([], Path(), Answers(Path(), None), least_kept=least_kept)
    outcome = LabellingOutcome()
    page = ReadPage(Image.new("RGB", (90, 120), "white"), {"ocr": TWO_COLUMNS})
    return label(answer, page, b"jpeg", "a.b_pg1", job, outcome), outcome


def test_a_page_keeps_what_agrees_and_its_tests_ask_for_that_alone() -> None:
    answer = "---\nprimary_language: en\nis_rotation_valid: True\nrotation_correction: 0\n"
    answer += f"is_table: False\nis_diagram: False\n---\n{FIRST}\n\nAn invented paragraph here.\n\n"
    page, outcome = a_labelled(answer + SECOND)
    assert isinstance(page, StoredPage)
    assert page.name == "a_b_pg1"
    assert page.record == {
        "primary_language": "en",
        "is_rotation_valid": True,
        "rotation_correction": 0,
        "is_table": False,
        "is_diagram": False,
        TEXT: f"{FIRST}\n\n{SECOND}",
    }
    assert page.facts["complete"] is False
    assert (outcome.regions, outcome.kept) == (3, 2)
    assert {test["type"] for test in page.tests} == {"present", "order", "baseline"}
    assert not failed_kinds(page.record[TEXT], page.tests)
    assert not failed_kinds(answer + SECOND, page.tests)


def test_pages_are_left_out_with_a_reason() -> None:
    assert a_labelled(None)[0] == "no answer of the model"
    assert a_labelled("All of this page was made up by a model.")[0] == "too little agrees"


def test_without_answers_it_says_what_to_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCLOOP_SYNTH_ENDPOINT", raising=False)
    with pytest.raises(NoAnswers, match="--answers"):
        answers_from(None, None, None)
