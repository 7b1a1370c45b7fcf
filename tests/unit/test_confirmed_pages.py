"""A page that a person confirmed asks for its own text, tables and formulas."""

from collections import Counter

from extraction.document_types.document import DOCUMENT
from extraction.document_types.receipt import RECEIPT
from extraction.prompt import Asked
from extraction.unit_tests import Page, read_case
from trainer.confirmed_pages import confirmed_tests

TEXT = """# A report on rain

The rain fell for nine days in March. It stopped on the tenth day.

<table><tr><th>Day</th><th>Rain, mm</th></tr><tr><td>One</td><td>12.4</td></tr></table>

\\[ x^{2} + y = \\frac{1}{2} \\]

Another paragraph stands below the table."""
ASKED = Asked(DOCUMENT)


def test_its_own_text_passes_and_a_worse_one_fails() -> None:
    tests = confirmed_tests(ASKED, {"pages": [{"natural_text": TEXT}]}, "a")
    kinds = Counter(test["type"] for test in tests)
    assert {"present", "order", "table", "math", "baseline"} == set(kinds)
    blocks = TEXT.split("\n\n")
    worse = {
        "present": "Nothing of it stands here.",
        "order": "\n\n".join(reversed(blocks)),
        "table": TEXT.replace("<td>One</td><td>12.4</td>", "<td>12.4</td><td>One</td>"),
        "math": TEXT.replace("\\frac{1}{2}", "2"),
        "baseline": "",
    }
    for test in tests:
        case = read_case(test)
        assert case.run(Page(TEXT)).passed, test
        assert not case.run(Page(worse[test["type"]])).passed, test


def test_the_same_page_is_asked_the_same() -> None:
    record = {"pages": [{"natural_text": TEXT}]}
    assert confirmed_tests(ASKED, record, "a") == confirmed_tests(ASKED, record, "a")


def test_other_types_and_several_pages_have_none() -> None:
    pages = [{"natural_text": TEXT}, {"natural_text": TEXT}]
    assert confirmed_tests(ASKED, {"pages": pages}, "a") == ()
    assert confirmed_tests(Asked(RECEIPT), {"pages": pages[:1]}, "a") == ()
    assert confirmed_tests(ASKED, {}, "a") == ()
