"""A person's record: strict, and every fault is named."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.custom import type_from_schema
from extraction.errors import InvalidRecord
from extraction.human_record import validate_human_record

RECEIPT, PASSPORT = BUILT_IN["receipt"], BUILT_IN["passport"]
NOTE = type_from_schema(
    "note",
    {
        "type": "object",
        "properties": {
            "number": {"type": "string", "x-kind": "code"},
            "days": {"type": "array", "items": {"type": "string", "format": "date"}, "maxItems": 2},
            "count": {"type": "integer"},
            "paid": {"type": "boolean"},
            "state": {"enum": ["new", "old"]},
            "who": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
                "required": ["name"],
            },
        },
        "required": ["number", "who"],
    },
    1,
)


@pytest.mark.parametrize(
    ("given_", "kept", "why"),
    [
        ({"total": "9.00"}, {"total": "9.00"}, "as in a response"),
        ({"total": "RM 1,009.00"}, {"total": "1009.00"}, "as printed"),
        ({"total": 9.5}, {"total": "9.5"}, "a number, written as decimals"),
        ({"total": 9}, {"total": "9"}, "a whole number"),
        ({"total": "2.059"}, {"total": "2.059"}, "a response's three decimals are no thousands"),
        ({"total": "-0.02"}, {"total": "-0.02"}, "negative"),
        ({"total": None}, {"total": None}, "absent from the document"),
        ({"items": None}, {"items": []}, "no items"),
        ({"items": []}, {"items": []}, "no items"),
        ({"transaction_date": "25/12/2018"}, {"transaction_date": "2018-12-25"}, "as printed"),
        ({"transaction_date": "2018-12-25"}, {"transaction_date": "2018-12-25"}, "ISO"),
        ({"taxes": [{"rate": "1"}]}, {"taxes": [{"rate": "1"}]}, "a response's whole rate"),
        ({"taxes": [{"rate": "6%"}]}, {"taxes": [{"rate": "0.06"}]}, "a percentage"),
        (
            {"items": [{"description": "A", "total_price": "1"}, {"description": None}]},
            {"items": [{"description": "A", "total_price": "1"}, {"description": None}]},
            "only the given fields",
        ),
        ({"merchant_name": " A\u200bB\n C "}, {"merchant_name": "AB C"}, "cleaned"),
        ({"merchant_name": 7}, {"merchant_name": "7"}, "a name that is a number"),
    ],
)
def test_what_is_kept(given_: dict[str, Any], kept: dict[str, Any], why: str) -> None:
    assert validate_human_record(RECEIPT, given_) == kept, why
    assert validate_human_record(RECEIPT, kept) == kept, "a response's form stays"


@pytest.mark.parametrize(
    ("given_", "faults", "why"),
    [
        ({}, {"": "empty"}, "nothing to learn from"),
        ({"totall": "9"}, {"totall": "no such field"}, "a misspelt field"),
        ({"total": ""}, {"total": "send null"}, "absent is null"),
        ({"total": "  "}, {"total": "send null"}, "the same"),
        ({"total": "nine"}, {"total": "decimal string"}, "no amount"),
        ({"total": True}, {"total": "decimal string"}, "a boolean"),
        ({"total": ["9"]}, {"total": "decimal string"}, "a list"),
        ({"total": float("nan")}, {"total": "decimal string"}, "not a number"),
        ({"merchant_name": float("inf")}, {"merchant_name": "text"}, "not finite"),
        ({"total": 10**5000}, {"total": "decimal string"}, "5,000 digits"),
        ({"total": 1e300}, {"total": "30 characters"}, "301 digits"),
        ({"merchant_name": "A\x00"}, {"merchant_name": "NUL"}, "NUL"),
        ({"merchant_name": "\ud800"}, {"merchant_name": "text is expected"}, "half a character"),
        ({"merchant_name": "x" * 201}, {"merchant_name": "200 characters"}, "too long"),
        ({"items": {"description": "A"}}, {"items": "whole list"}, "an object for a list"),
        ({"items": ["A"]}, {"items.0": "an object"}, "a text for an object"),
        ({"items": [None]}, {"items.0": "an object"}, "null for an object"),
        ({"items": [{}] * 101}, {"items": "at most 100"}, "too many"),
        (
            {"total": "x", "items": [{"description": "A"}, {"total_price": "y", "z": 1}]},
            {"total": "decimal", "items.1.total_price": "decimal", "items.1.z": "no such field"},
            "every fault at once",
        ),
    ],
)
def test_what_is_refused(given_: dict[str, Any], faults: dict[str, str], why: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        validate_human_record(RECEIPT, given_)
    assert caught.value.faults.keys() == faults.keys(), why
    for path, words in faults.items():
        assert words in caught.value.faults[path]


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ({"count": 3}, {"count": 3}),
        ({"number": None}, {"number": None}),
        ({"who": {"age": "42"}}, {"who": {"age": 42}}),
        ({"who": None}, {"who": None}),
        ({"who": {"name": None}}, {"who": {"name": None}}),
        ({"days": ["25/12/2018"]}, {"days": ["2018-12-25"]}),
        ({"paid": False, "state": "NEW"}, {"paid": False, "state": "new"}),
        ({"paid": "yes"}, {"paid": True}),
    ],
)
def test_a_callers_type(given_: dict[str, Any], kept: dict[str, Any]) -> None:
    """A partial record, and what the caller requires may be absent from the document."""
    assert validate_human_record(NOTE, given_) == kept


@pytest.mark.parametrize(
    ("given_", "path"),
    [
        ({"days": [None]}, "days.0"),
        ({"days": ["2018-12-25"] * 3}, "days"),
        ({"state": "other"}, "state"),
        ({"state": 1}, "state"),
        ({"count": "3.5"}, "count"),
        ({"paid": "perhaps"}, "paid"),
        ({"who": "N"}, "who"),
        ({"number": {"a": 1}}, "number"),
    ],
)
def test_a_callers_type_refuses(given_: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidRecord) as caught:
        validate_human_record(NOTE, given_)
    assert list(caught.value.faults) == [path]


def test_no_fault_shows_a_value() -> None:
    with pytest.raises(InvalidRecord) as caught:
        validate_human_record(PASSPORT, {"date_of_birth": "L898902C3", "sex": "L898902C3"})
    assert "L898902C3" not in str(caught.value)


def test_a_record_nested_deeply_is_refused() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = {"name": deep}
    with pytest.raises(InvalidRecord):
        validate_human_record(NOTE, {"who": deep})
    with pytest.raises(InvalidRecord):
        validate_human_record(NOTE, {"number": [deep]})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*NOTE.field_names, "name", "age"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(NOTE.field_names), json_values, max_size=4))
def test_any_json_is_kept_or_refused(record: dict[str, Any]) -> None:
    try:
        kept = validate_human_record(NOTE, record)
    except InvalidRecord:
        return
    assert kept.keys() == record.keys()
    json.dumps(kept, allow_nan=False).encode()
    assert validate_human_record(NOTE, kept) == kept
