"""Training examples: what is shown and answered is what serving shows and reads."""

import json
from typing import Any

import pytest

from extraction.answer import answer_schema
from extraction.document_types.catalogue import BUILT_IN
from extraction.entity_tokens import parse_entity_tokens
from extraction.prompt import AnswerFormat, Asked, build_prompt
from extraction.record import parse_record
from tests.factories_lines import completion, page_of
from trainer.examples import answer_text, make_example

RECEIPT, PASSPORT = BUILT_IN["receipt"], BUILT_IN["passport"]
RECORD: dict[str, Any] = {
    "merchant_name": 'CAF\u00c9 "X"',
    "transaction_date": "25/12/2018",
    "total": "RM 9.00",
    "tip": None,
    "subtotal": "",
    "taxes": [],
    "items": [{"description": "Tea", "total_price": "9.00", "discount": None}],
    "unknown": "x",
}


@pytest.mark.parametrize(
    ("names", "answer"),
    [
        (("total",), '{"total":"RM 9.00"}'),
        (("merchant_name",), '{"merchant_name":"CAF\u00c9 \\"X\\""}'),
        (("items",), '{"items":[{"description":"Tea","total_price":"9.00"}]}'),
        (("tip", "subtotal", "taxes"), "{}"),
        (
            ("total", "transaction_date"),
            '{"transaction_date":"25/12/2018","total":"RM 9.00"}',
        ),
    ],
)
def test_the_answer_of_a_perfect_model(names: tuple[str, ...], answer: str) -> None:
    """Compact, as printed, in the type's order, without what is absent or not asked."""
    asked = Asked(RECEIPT.select(names))
    assert answer_text(asked, RECORD) == answer
    allowed = answer_schema(asked.document_type)["properties"]
    assert json.loads(answer).keys() <= allowed.keys()


def test_an_answer_in_entity_tokens() -> None:
    record = {
        "surname": "ERIKSSON",
        "date_of_birth": "12 AUG/AOUT 1974",
        "date_of_issue": "unreadable",
        "mrz": {"lines": ["A"]},
    }
    asked = Asked(PASSPORT, AnswerFormat.ENTITY_TOKENS)
    answer = answer_text(asked, record)
    assert answer == (
        "<surname>ERIKSSON</surname><date_of_birth>12-08-1974</date_of_birth>"
        "<date_of_issue>unreadable</date_of_issue>"
    )
    assert len(parse_entity_tokens(answer, PASSPORT)) == 3


@pytest.mark.parametrize("reasoning", [False, True])
@pytest.mark.parametrize("answer_format", AnswerFormat)
def test_an_example_shows_what_serving_shows_and_reads_as_serving_reads(
    reasoning: bool, answer_format: AnswerFormat
) -> None:
    asked = Asked(RECEIPT.select(("merchant_name", "total")), answer_format, reasoning=reasoning)
    lines = page_of('CAF\u00c9 "X"', ("TOTAL", "RM 9.00"))
    example = make_example(asked, lines, RECORD, source="test", thought="Row 2.")
    served = build_prompt(asked, lines)
    assert example.messages == tuple((message.role, message.text) for message in served.messages)
    parsed = parse_record(completion(example.completion), asked)
    assert parsed.thought == ("Row 2." if reasoning else None)
    assert {leaf.path: leaf.raw for leaf in parsed.leaves} == {
        "merchant_name": 'CAF\u00c9 "X"',
        "total": "RM 9.00",
    }


def test_the_row_that_the_trainers_take() -> None:
    asked = Asked(RECEIPT.select(("total",)))
    row = make_example(asked, page_of("TOTAL 9.00"), RECORD, source="test").as_row()
    assert [turn["role"] for turn in row["prompt"]] == ["system", "user"]
    assert row["prompt"][1]["content"] == "TOTAL 9.00\n\nreceipt: total"
    assert row["completion"] == [{"role": "assistant", "content": '{"total":"RM 9.00"}'}]
