"""A page's answer: front matter and Markdown, one page and several."""

import pytest

from extraction.document_types.catalogue import BUILT_IN
from extraction.errors import UnparseableRecord
from extraction.markdown.front_matter import read_page, write_document, write_page
from extraction.prompt import Asked
from extraction.record import normalise_record, parse_record, to_json
from tests.factories_lines import completion

PAGE = {
    "primary_language": "en",
    "is_rotation_valid": True,
    "rotation_correction": 0,
    "is_table": False,
    "is_diagram": None,
    "natural_text": "# Report\n\nIt is \\(x\\).\n\n<table>\n<tr><td>1</td></tr>\n</table>",
}
DOCUMENT = BUILT_IN["document"]


def test_a_page_is_written_with_the_names_of_the_field() -> None:
    assert write_page(PAGE).startswith(
        "---\nprimary_language: en\nis_rotation_valid: True\nrotation_correction: 0\n"
        "is_table: False\nis_diagram: null\n---\n# Report\n"
    )


def test_what_is_written_is_read_back_with_its_places() -> None:
    text = write_page(PAGE)
    parts = read_page(text)
    assert {part.name: part.text for part in parts} == {
        "primary_language": "en",
        "is_rotation_valid": "True",
        "rotation_correction": "0",
        "is_table": "False",
        "natural_text": PAGE["natural_text"],
    }
    assert all(text[part.start : part.end] == part.text for part in parts)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("# Report", "no front matter on top"),
        ("Here it is:\n---\nis_table: True\n---\n", "no front matter on top"),
        ("---\nprimary_language: en\n", "no front matter on top"),
        ("---\nauthor: me\n---\n", "an unknown line in the front matter"),
        ("---\nis_table: True\nis_table: False\n---\n", "a key stands twice in the front matter"),
    ],
)
def test_an_answer_without_its_front_matter_is_none(answer: str, why: str) -> None:
    with pytest.raises(UnparseableRecord, match=why):
        read_page(answer)


def test_rules_within_the_text_are_no_front_matter() -> None:
    text = write_page({**PAGE, "natural_text": "a\n\n---\n\nb"})
    assert read_page(text)[-1].text == "a\n\n---\n\nb"


def test_a_completion_becomes_a_typed_record() -> None:
    parsed = parse_record(completion(write_page(PAGE)), Asked(DOCUMENT))
    texts = {leaf.path: leaf.raw for leaf in parsed.leaves}
    read = normalise_record(DOCUMENT, texts)
    assert to_json(read.record) == {"pages": [PAGE]}
    assert read.misfits == ()


def test_a_cut_text_is_kept_and_a_cut_front_matter_is_not() -> None:
    text = write_page(PAGE)
    parsed = parse_record(completion(text[:-20], "length"), Asked(DOCUMENT))
    assert not parsed.complete
    assert parsed.leaves[-1].raw == str(PAGE["natural_text"])[:-20]
    with pytest.raises(UnparseableRecord, match="no front matter"):
        parse_record(completion(text[:30], "length"), Asked(DOCUMENT))


def test_a_thought_comes_before_the_front_matter() -> None:
    answer = f"<think>Two columns.</think>{write_page(PAGE)}"
    parsed = parse_record(completion(answer), Asked(DOCUMENT, reasoning=True))
    assert parsed.thought == "Two columns."
    leaf = parsed.leaves[-1]
    assert answer[leaf.start : leaf.end] == leaf.raw


def test_one_page_stands_alone_and_several_behind_anchors() -> None:
    assert write_document([PAGE]) == f"{write_page(PAGE)}\n"
    turned = {**PAGE, "rotation_correction": 90, "is_rotation_valid": False, "natural_text": None}
    both = write_document([PAGE, turned])
    assert both.startswith("---\nprimary_language: en\nis_rotation_valid: [True, False]\n")
    assert "rotation_correction: [0, 90]\n" in both
    assert both.index('<a id="page-1"></a>\n\n# Report') < both.index('<a id="page-2"></a>')
    assert both.endswith('<a id="page-2"></a>\n')
    assert both.count("---\n") == 2, "one front matter, on top"
