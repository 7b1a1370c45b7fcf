"""Completion text -> validated record."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extraction.document_types.base import Kind
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.custom import type_from_schema
from extraction.engine import Completion
from extraction.errors import UnparseableRecord
from extraction.prompt import AnswerFormat, Asked
from extraction.record import normalise_record, parse_record, to_json
from tests.factories_lines import completion
from trainer.examples import answer_text

RECEIPT, PASSPORT = BUILT_IN["receipt"], BUILT_IN["passport"]
ASKED = Asked(RECEIPT)
ENTITIES = Asked(PASSPORT, AnswerFormat.ENTITY_TOKENS)
CODES = type_from_schema(
    "note",
    {
        "type": "object",
        "properties": {
            "codes": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
            "dates": {"type": "array", "items": {"type": "string", "format": "date"}},
            "count": {"type": "integer"},
            "paid": {"type": "boolean"},
            "who": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
                "required": ["name"],
            },
        },
        "required": ["count", "who", "codes"],
    },
    1,
)


def raws(text: str, asked: Asked = ASKED, finish_reason: str = "stop") -> dict[str, str]:
    parsed = parse_record(completion(text, finish_reason), asked)
    assert parsed.complete == (finish_reason == "stop")
    return {leaf.path: leaf.raw for leaf in parsed.leaves}


@pytest.mark.parametrize(
    ("text", "expected", "why"),
    [
        ("{}", {}, "a page without any asked field"),
        (' {"total" : "9.00" }\n', {"total": "9.00"}, "white space"),
        ('{"total":"9.00","tip":null}', {"total": "9.00"}, "null is absent"),
        ('{"total":"","tip":" "}', {}, "an empty text is absent"),
        ('{"total":9.10}', {"total": "9.10"}, "a number keeps its digits, it is never a float"),
        ('{"total":1e999}', {"total": "1e999"}, "a float would be infinite"),
        (f'{{"total":{"9" * 20}}}', {"total": "9" * 20}, "and no integer is too large to be read"),
        (
            '{"items":[{"description":"A"},{"total_price":"2"}]}',
            {"items.0.description": "A", "items.1.total_price": "2"},
            "elements by their position",
        ),
        ('{"items":[{},{"description":"B"}]}', {"items.1.description": "B"}, "an empty element"),
        ('{"merchant_name":"A\\u0000B\\ud800"}', {"merchant_name": "AB"}, "what no database keeps"),
        ('{"merchant_name":"Caf\\u00e9"}', {"merchant_name": "Caf\u00e9"}, "an escaped letter"),
    ],
)
def test_an_answer_in_json(text: str, expected: dict[str, str], why: str) -> None:
    assert raws(text) == expected, why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "an empty completion is no answer, {} would be"),
        ("null", "no object"),
        ('["total"]', "no object"),
        ("The total is 9.00", "prose"),
        ('{"total":"9.00"} thanks', "text behind"),
        ('{"total":"9.00","total":"8.00"}', "which of the two is meant?"),
        ('{"items":[{"description":"A","description":"B"}]}', "the same further down"),
        ('{"amount":"9.00"}', "a field that the type does not have"),
        ('{"total":NaN}', "NaN is not JSON"),
        ('{"total":-Infinity}', "nor is this"),
        ('{"total":["9.00"]}', "a list for a text"),
        ('{"total":{"value":"9.00"}}', "an object for a text"),
        ('{"items":{"description":"A"}}', "an object for a list"),
        ('{"items":["A"]}', "a text for an object"),
        (f'{{"total":"{"9" * 31}"}}', "longer than the field allows"),
        (json.dumps({"payments": [{"method": "x"}] * 7}), "more elements than the field allows"),
        ('{"total":' + "[" * 100_000, "nested 100,000 deep"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "the same, and whole"),
        (f'{{"total":{"9" * 100_000}}}', "a number of 100,000 digits"),
        ("<think>on and on", "a thought without an end"),
    ],
)
@pytest.mark.parametrize("finish_reason", ["stop", "length"])
def test_what_is_no_answer(text: str, why: str, finish_reason: str) -> None:
    with pytest.raises(UnparseableRecord) as caught:
        parse_record(completion(text, finish_reason), ASKED)
    assert caught.value.finish_reason == finish_reason, why
    assert caught.value.model_version == completion(text, finish_reason).model
    assert caught.value.document_type == ASKED.document_type.name
    assert "9.00" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected", "why"),
    [
        ('{"total":"9.00"', {"total": "9.00"}, "before the end"),
        ('{"total":"9.00","tip":"1.', {"total": "9.00"}, "within a text"),
        ('{"total":"9.00","ti', {"total": "9.00"}, "within a key"),
        ('{"total":"9.00","tip"', {"total": "9.00"}, "behind a key"),
        ('{"total":"9.00","tip":', {"total": "9.00"}, "before a value"),
        ('{"total":"9.00",', {"total": "9.00"}, "behind a comma"),
        ('{"total":"9.00","tip":12', {"total": "9.00"}, "a number may go on: 12 or 120"),
        ('{"total":9.00,"tip":"1', {"total": "9.00"}, "a number that ended"),
        ('{"total":"a\\"b","tip":"1\\', {"total": 'a"b'}, "within an escape"),
        ('{"items":[{"description":"A"},{"desc', {"items.0.description": "A"}, "in an element"),
        (
            '{"items":[{"description":"A","total_price":"1"},{"description":"B","total_price":"2',
            {
                "items.0.description": "A",
                "items.0.total_price": "1",
                "items.1.description": "B",
            },
            "whole values of an element are kept",
        ),
        ('{"total":"9.00"}', {"total": "9.00"}, "right at the end: still not sure to be whole"),
        ('<think>a</think>{"total":"9.00","', {"total": "9.00"}, "behind a thought"),
    ],
)
def test_a_cut_answer_keeps_its_whole_values(text: str, expected: dict[str, str], why: str) -> None:
    assert raws(text, finish_reason="length") == expected, why


def test_an_answer_that_ends_half_way_although_it_was_not_cut() -> None:
    with pytest.raises(UnparseableRecord):
        raws('{"total":"9.00"')


@pytest.mark.parametrize("text", ["", "{", '{"total', '{"total":"9', '{"items":[{', "<think>so"])
def test_an_answer_that_was_cut_before_its_first_value(text: str) -> None:
    with pytest.raises(UnparseableRecord) as caught:
        parse_record(completion(text, "length"), ASKED)
    assert caught.value.finish_reason == "length"
    assert caught.value.model_version == completion(text, "length").model


def test_every_cut_of_an_answer_gives_a_part_of_it_or_an_error() -> None:
    record = {
        "merchant_name": 'A "B" \\ C',
        "items": [{"description": "x", "total_price": "1.00"}, {"description": "y"}],
        "total": "9.00",
    }
    whole = answer_text(ASKED, record)
    everything = raws(whole)
    for end in range(len(whole)):
        try:
            found = raws(whole[:end], finish_reason="length")
        except UnparseableRecord:
            continue
        assert found.items() <= everything.items()


def test_an_engine_that_stops_for_another_reason_gives_no_full_answer() -> None:
    parsed = parse_record(completion('{"total":"9.00"}', "abort"), ASKED)
    assert not parsed.complete


@pytest.mark.parametrize(
    ("text", "thought", "expected"),
    [
        ('<think>Line 3.</think>{"total":"9.00"}', "Line 3.", {"total": "9.00"}),
        (
            '\n<think>\nA {"tip":"1"}\n</think>\n{"total":"9.00"}',
            'A {"tip":"1"}',
            {"total": "9.00"},
        ),
        ('<think></think>{"total":"9.00"}', None, {"total": "9.00"}),
        ('<think> \x00 </think>{"total":"9.00"}', None, {"total": "9.00"}),
        ('{"total":"9.00"}', None, {"total": "9.00"}),
    ],
)
def test_the_thought_stands_apart(text: str, thought: str | None, expected: dict[str, str]) -> None:
    parsed = parse_record(completion(text), Asked(RECEIPT, reasoning=True))
    assert parsed.thought == thought
    assert {leaf.path: leaf.raw for leaf in parsed.leaves} == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"merchant_name":"A","total":"9.00"}', "plain"),
        ('<think>9.00 A</think>{"merchant_name":"A","total":"9.00"}', "not within the thought"),
        ('{"payments":[{"card_last4":"4"}],"total":"4"}', "not within a key"),
        ('{"items":[{"quantity":"1","total_price":"1"},{"quantity":"1"}]}', "equal values"),
        ('{"merchant_name":"a \\"b\\"","tip":2.50}', "an escape, and a number"),
        ('{"merchant_name":"total","total":"total"}', "a value that reads like a key"),
    ],
)
def test_each_value_knows_its_place_in_the_completion(text: str, why: str) -> None:
    parsed = parse_record(completion(text), ASKED)
    for leaf in parsed.leaves:
        written = text[leaf.start : leaf.end]
        assert written in (leaf.raw, json.dumps(leaf.raw)[1:-1]), why
        key = leaf.path.split(".")[-1]
        assert text[: leaf.start].rstrip('"').endswith(f'"{key}":'), why


def test_a_value_that_was_escaped_otherwise_has_no_place() -> None:
    (leaf,) = parse_record(completion('{"merchant_name":"\\u0041"}'), ASKED).leaves
    assert (leaf.raw, leaf.start, leaf.end) == ("A", -1, -1)


def test_lists_of_leaves_and_other_kinds() -> None:
    asked = Asked(CODES)
    text = '{"codes":["a",7,null],"paid":true,"count":"3","who":{"name":"N"}}'
    assert raws(text, asked) == {
        "codes.0": "a",
        "codes.1": "7",
        "paid": "true",
        "count": "3",
        "who.name": "N",
    }
    with pytest.raises(UnparseableRecord):
        raws('{"codes":["a","b","c","d"]}', asked)


def test_an_empty_answer_in_entity_tokens_counts_where_the_model_chose_it() -> None:
    """vLLM ends at once where the grammar names a token that the vocabulary lacks."""
    parsed = parse_record(completion("", logprob=-0.2), ENTITIES)
    assert (parsed.leaves, parsed.complete) == ((), True)
    forced = completion("", logprob=0.0)
    nothing = Completion("", (), "stop", "fake-1", 7, 0, 0.01)
    for text in (forced, nothing):
        with pytest.raises(UnparseableRecord):
            parse_record(text, ENTITIES)


def test_entity_tokens_know_their_place_behind_a_thought() -> None:
    text = "<think>so</think><surname>ERIKSSON</surname>"
    (leaf,) = parse_record(completion(text), ENTITIES).leaves
    assert text[leaf.start : leaf.end] == leaf.raw == "ERIKSSON"


_PIECES = [
    *("<surname>", "</surname>", "<mrz>", "</mrz>", "<think>", "</think>", '"total"'),
    *("{", "}", "[", "]", ":", ",", '"', "\\", "<", "A", "9", "\n"),
]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*RECEIPT.field_names, "description"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    st.one_of(
        st.text(max_size=60),
        json_values.map(json.dumps),
        st.lists(
            st.sampled_from(_PIECES),
            max_size=12,
        ).map("".join),
    ),
    st.sampled_from(["stop", "length"]),
    st.sampled_from([ASKED, ENTITIES, Asked(CODES), Asked(RECEIPT, reasoning=True)]),
)
@example('{"total":"\ud800"}', "stop", ASKED)
@example("<", "length", ENTITIES)
def test_no_text_crashes_the_parser(text: str, finish_reason: str, asked: Asked) -> None:
    try:
        parsed = parse_record(completion(text, finish_reason), asked)
    except UnparseableRecord:
        return
    texts = {leaf.path: leaf.raw for leaf in parsed.leaves}
    assert len(texts) == len(parsed.leaves)
    normalised = normalise_record(asked.document_type, texts)
    assert normalised.values.keys() == texts.keys()
    json.dumps(dict(normalised.values), allow_nan=False).encode()
    "".join(texts.values()).encode()


printed = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=20
)
amounts = st.decimals("0.01", "9999.99", places=2).map(str)
records = st.fixed_dictionaries(
    {},
    optional={
        "merchant_name": printed,
        "transaction_date": st.dates(date(1950, 1, 1), date(2049, 12, 31)).map(
            lambda day: day.strftime("%d/%m/%Y")
        ),
        "total": amounts,
        "items": st.lists(
            st.fixed_dictionaries({"description": printed}, optional={"total_price": amounts}),
            min_size=1,
            max_size=4,
        ),
    },
)


@given(records)
def test_what_a_perfect_model_answers_comes_back(record: dict[str, Any]) -> None:
    parsed = parse_record(completion(answer_text(ASKED, record)), ASKED)
    texts = {leaf.path: leaf.raw for leaf in parsed.leaves}
    normalised = normalise_record(RECEIPT, texts)
    assert normalised.misfits == ()
    found = to_json(normalised.record)
    for name in RECEIPT.field_names:
        if name not in record:
            assert found[name] in (None, [])
    if "total" in record:
        assert Decimal(found["total"]) == Decimal(record["total"])
        assert isinstance(normalised.record.total, Decimal)  # type: ignore[attr-defined]
    if "transaction_date" in record:
        day, month, year = record["transaction_date"].split("/")
        assert found["transaction_date"] == f"{year}-{month}-{day}"
    assert len(found["items"]) == len(record.get("items", ()))
    for index, item in enumerate(record.get("items", ())):
        if "total_price" in item:
            assert Decimal(found["items"][index]["total_price"]) == Decimal(item["total_price"])


def test_a_text_that_does_not_fit_its_kind_is_none_and_named() -> None:
    normalised = normalise_record(
        RECEIPT, {"total": "nine", "items.0.total_price": "1.00", "items.2.description": "C"}
    )
    assert normalised.misfits == ("total",)
    assert normalised.values["total"] is None
    found = to_json(normalised.record)
    assert found["total"] is None
    assert [item["description"] for item in found["items"]] == [None, "C"]


def test_what_a_caller_requires_may_be_absent_from_a_document() -> None:
    normalised = normalise_record(CODES, {"count": "many", "who.age": "3", "dates.0": "nonsense"})
    assert set(normalised.misfits) == {"count", "dates.0"}
    assert to_json(normalised.record) == {
        "codes": [],
        "dates": [],
        "count": None,
        "paid": None,
        "who": {"name": None, "age": 3},
    }


def test_elements_stand_in_the_order_of_their_numbers() -> None:
    texts = {f"items.{index}.description": str(index) for index in (10, 2, 0)}
    found = to_json(normalise_record(RECEIPT, texts).record)
    assert [item["description"] for item in found["items"]] == ["0", "2", "10"]


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        (Kind.MONEY, "RM 1,234.50", "1234.50"),
        (Kind.RATE, "6%", "0.06"),
        (Kind.DATE, "25/12/2018", "2018-12-25"),
        (Kind.TIME, "8:13 PM", "20:13:00"),
    ],
)
def test_values_as_they_stand_in_a_response(kind: Kind, raw: str, expected: str) -> None:
    path = {
        Kind.MONEY: "total",
        Kind.RATE: "taxes.0.rate",
        Kind.DATE: "transaction_date",
        Kind.TIME: "transaction_time",
    }[kind]
    assert normalise_record(RECEIPT, {path: raw}).values[path] == expected


def test_dates_in_entity_tokens_are_read_day_first() -> None:
    texts = {"date_of_birth": "03-04-1974"}
    values = normalise_record(PASSPORT, texts, day_first=True).values
    assert values["date_of_birth"] == "1974-04-03"
