"""Scores of Markdown and of documents, by hand."""

import pytest

from extraction.document_types.base import FieldSpec, Kind
from extraction.document_types.catalogue import BUILT_IN
from extraction.errors import InvalidRecord
from extraction.human_record import validate_human_record
from extraction.normalize import clean_markdown
from extraction.scoring import score_confirmed, score_field, score_record
from extraction.structure_checks import check_document
from extraction.structure_scores import markdown_similarity

DOCUMENT = BUILT_IN["document"]


@pytest.mark.parametrize(
    ("reference", "text", "score", "why"),
    [
        ("abcd", "abcd", 1.0, "equal"),
        ("abcd", "abxd", 0.75, "one substitution in four: 1 - 1/4"),
        ("abcd", "ab", 0.5, "two deletions: 1 - 2/4"),
        ("ab", "abcd", 0.5, "two insertions, by the longer text"),
        ("abcd", "", 0.0, "nothing answered"),
        ("", "", 1.0, "a blank page that is blank"),
        ("", "x", 0.0, "a blank page that is not"),
        ("a\n\nb", "a  \nb\n", 1.0, "only what is seen counts"),
        ("Ab", "ab", 0.5, "case counts"),
    ],
)
def test_the_normalised_edit_distance(reference: str, text: str, score: float, why: str) -> None:
    assert markdown_similarity(reference, text) == pytest.approx(score), why
    if reference:
        spec = FieldSpec("body", Kind.MARKDOWN)
        assert score_field(spec, reference, text) == pytest.approx(score), why


def test_a_document_is_scored_as_one_text() -> None:
    reference = {"pages": [{"natural_text": "abcd"}, {"natural_text": "efgh"}]}
    assert score_record(DOCUMENT, reference, reference).fields == {"pages": 1.0}
    swapped = {"pages": reference["pages"][::-1]}
    # "abcd\nefgh" and "efgh\nabcd" (blank lines stand for nothing): eight of nine differ.
    assert score_record(DOCUMENT, reference, swapped).mean == pytest.approx(1 / 9)
    merged = {"pages": [{"natural_text": "abcd\n\nefgh"}]}
    assert score_record(DOCUMENT, reference, merged).mean == 1.0
    assert score_record(DOCUMENT, reference, None).mean == 0.0
    assert score_record(DOCUMENT, {"pages": []}, merged).mean is None


def test_what_nobody_could_tell_of_a_page_costs_nothing() -> None:
    reference = {"pages": [{"natural_text": "abcd", "is_diagram": None}]}
    answered = {"pages": [{"natural_text": "abcd", "is_diagram": False}]}
    assert score_confirmed(DOCUMENT, reference, answered) == 1.0


def test_markdown_keeps_its_lines() -> None:
    assert clean_markdown("# A \r\n\r\n\x07| b |\t\n\n") == "# A\n\n| b |"
    assert clean_markdown(" \n\t") is None


def test_a_person_s_page_is_checked() -> None:
    page = {"natural_text": "# A\n\n- b", "is_table": False, "rotation_correction": 90}
    assert validate_human_record(DOCUMENT, {"pages": [page]}) == {"pages": [page]}
    with pytest.raises(InvalidRecord) as caught:
        validate_human_record(DOCUMENT, {"pages": [{**page, "rotation_correction": 45}]})
    assert set(caught.value.faults) == {"pages.0.rotation_correction"}


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ("# A", "pass pass not_applicable not_applicable"),
        (None, "fail not_applicable not_applicable not_applicable"),
        ("<table><tr><td>1</td></tr></table> \\(x\\)", "pass pass pass pass"),
        ("<table><tr><td>1</tr></table> \\[x", "pass pass fail fail"),
        ("on " * 60, "pass fail not_applicable not_applicable"),
    ],
)
def test_the_verdicts_on_a_document(text: str | None, verdicts: str) -> None:
    found = check_document({"pages": [{"natural_text": text}]})
    assert " ".join(check.verdict.value for check in found) == verdicts
    assert [check.name for check in found] == [
        "text_found",
        "no_repetition",
        "tables_closed",
        "math_closed",
    ]
