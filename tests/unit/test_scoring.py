"""The one score: what is right scores 1, what is missing 0, what has no reference None."""

from datetime import date
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.receipt import RECEIPT, Receipt
from extraction.scoring import (
    assign,
    invented_shares,
    score_confirmed,
    score_field,
    score_record,
    sroie_score,
)

ITEMS = RECEIPT.field("items")
GOLD: dict[str, Any] = {
    "merchant_name": "KEDAI PAPAN YEW CHUAN",
    "transaction_date": "2018-04-19",
    "total": "170.00",
    "items": [
        {"description": "SCREW", "total_price": "70.00"},
        {"description": "PLANK", "total_price": "100.00"},
    ],
}


@pytest.mark.parametrize(
    ("kind", "reference", "value", "score", "why"),
    [
        (Kind.MONEY, Decimal("31.60"), "RM31.60", 1.0, "equal after normalisation"),
        (Kind.MONEY, "31.60", Decimal("31.6"), 1.0, "trailing zeros are no difference"),
        (Kind.MONEY, "31.60", "31.61", 0.0, "nearly is not equal"),
        (Kind.MONEY, "31.60", "many", 0.0, "no amount"),
        (Kind.DATE, date(2018, 4, 19), "19/04/2018", 1.0, "another way to print it"),
        (Kind.DATE, "2018-04-19", "2018-04-20", 0.0, "another day"),
        (Kind.COUNTRY, "DEU", "Deutschland", 1.0, "one country"),
        (Kind.CODE, "CA 00-1", "ca00-1", 1.0, "white space and case are no difference"),
        (Kind.CODE, "CA001", "CA00I", 0.0, "a code is right or wrong"),
        (Kind.TEXT, "ABCD", "abcd", 1.0, "case is no difference"),
        (Kind.TEXT, "ABCD", "ABXD", 0.75, "fuzzy"),
        (Kind.TEXT, "ABCD", None, 0.0, "missing"),
        (Kind.TEXT, "ABCD", "", 0.0, "empty is missing"),
        (Kind.TEXT, "ABCD", {"a": 1}, 0.0, "an object where text belongs"),
        (Kind.TEXT, None, "ABCD", None, "no reference"),
        (Kind.TEXT, "", "ABCD", None, "an empty reference is none"),
        (Kind.MONEY, "n/a", "N/A", 1.0, "a reference that is no amount equals itself"),
        (Kind.BOOLEAN, False, "no", 1.0, "False is a reference"),
        (Kind.BOOLEAN, False, None, 0.0, "and has to be answered"),
    ],
)
def test_leaves(kind: Kind, reference: Any, value: Any, score: float | None, why: str) -> None:
    assert score_field(FieldSpec("f", kind), reference, value) == score, why


@pytest.mark.parametrize(
    ("value", "score", "why"),
    [
        (GOLD["items"], 1.0, "gold"),
        (GOLD["items"][::-1], 1.0, "order is no difference"),
        (GOLD["items"][:1], 0.5, "one of two"),
        ([*GOLD["items"], {"description": "X"}, {"description": "Y"}], 0.5, "two too many"),
        ([], 0.0, "none"),
        (None, 0.0, "missing"),
        ("SCREW", 0.0, "no list"),
    ],
)
def test_lists(value: Any, score: float, why: str) -> None:
    assert score_field(ITEMS, GOLD["items"], value) == pytest.approx(score), why


def test_lists_without_reference() -> None:
    assert score_field(ITEMS, [], GOLD["items"]) is None
    assert score_field(ITEMS, [{"description": None}], GOLD["items"]) is None


def test_gold_scores_one_in_every_form() -> None:
    for record in (GOLD, Receipt.model_validate(GOLD)):
        scored = score_record(RECEIPT, GOLD, record)
        assert scored.mean == 1.0
        assert set(scored.fields.values()) == {1.0}


def test_no_record_scores_zero_and_no_reference_none() -> None:
    scored = score_record(RECEIPT, GOLD, None)
    assert scored.mean == 0.0
    assert scored.fields["items.0.description"] == 0.0
    assert score_record(RECEIPT, {}, GOLD).mean is None


def test_paths_follow_the_reference() -> None:
    record = GOLD | {"items": [{"description": "PLANK", "total_price": "99.00"}]}
    fields = score_record(RECEIPT, GOLD, record).fields
    assert fields["items.1.description"] == 1.0
    assert fields["items.1.total_price"] == 0.0
    assert fields["items.0.description"] == 0.0
    assert fields["items"] == pytest.approx(0.25)


def test_a_selection_scores_what_it_asks() -> None:
    scored = score_record(RECEIPT.select(("total",)), GOLD, {"total": "170.00"})
    assert (scored.fields, scored.mean) == ({"total": 1.0}, 1.0)


def test_a_nested_object() -> None:
    inner = FieldSpec(
        "o", Kind.OBJECT, children=(FieldSpec("a", Kind.TEXT), FieldSpec("b", Kind.INTEGER))
    )
    kind = DocumentType("t", 1, (inner,))
    scored = score_record(kind, {"o": {"a": "x", "b": 2}}, {"o": {"a": "x", "b": 3}})
    assert scored.fields == {"o": 0.5, "o.a": 1.0, "o.b": 0.0}
    assert score_record(kind, {"o": {"a": "x"}}, {"o": "x"}).mean == 0.0


def test_a_wrong_reference_is_our_bug() -> None:
    with pytest.raises(TypeError):
        score_field(ITEMS, "SCREW", [])


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(st.floats(0, 1), min_size=width, max_size=width), min_size=1, max_size=4
        )
    )
)
def test_the_assignment_is_the_best(scores: list[list[float]]) -> None:
    pairs = assign(scores)
    rows, columns = len(scores), len(scores[0])
    assert len(pairs) == min(rows, columns)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    if rows <= columns:
        options = permutations(range(columns), rows)
        best = max(sum(scores[r][c] for r, c in enumerate(option)) for option in options)
    else:
        options = permutations(range(rows), columns)
        best = max(sum(scores[r][c] for c, r in enumerate(option)) for option in options)
    assert sum(scores[row][column] for row, column in pairs) == pytest.approx(best)


@pytest.mark.parametrize(
    ("reference", "record", "score", "why"),
    [
        (GOLD, GOLD, 1.0, "right"),
        (GOLD | {"tip": None}, GOLD, 1.0, "and nothing invented"),
        (GOLD | {"tip": None}, GOLD | {"tip": "1.00"}, 4 / 5, "one field of five is invented"),
        (GOLD, GOLD | {"tip": "1.00"}, 1.0, "nobody has said that there is no tip"),
        (GOLD | {"tip": None}, {"tip": "1.00"}, 0.0, "nothing but an invention"),
        (GOLD | {"tip": None}, None, 0.0, "no record"),
        (GOLD | {"payments": []}, GOLD | {"payments": [{"method": "CASH"}]}, 4 / 5, "a list"),
        (GOLD | {"payments": []}, GOLD | {"payments": []}, 1.0, "an empty list is absent"),
        ({"tip": None}, {}, 1.0, "rightly nothing"),
        ({"tip": None}, {"tip": ""}, 1.0, "an empty text is nothing"),
        ({"tip": None}, {"tip": "1.00"}, 0.0, "wrongly something"),
        ({"tip": None}, None, 0.0, "nothing confirmed is there, and no record is none"),
        ({}, {"tip": "1.00"}, None, "nothing is confirmed"),
    ],
)
def test_inventions_lessen_the_mean(
    reference: dict[str, Any], record: dict[str, Any] | None, score: float | None, why: str
) -> None:
    assert score_confirmed(RECEIPT, reference, record) == pytest.approx(score), why


def test_without_inventions_it_is_the_mean() -> None:
    record = GOLD | {"total": "1.00", "items": GOLD["items"][:1], "merchant_name": "KEDAI"}
    assert score_confirmed(RECEIPT, GOLD, record) == score_record(RECEIPT, GOLD, record).mean
    typed = (Receipt.model_validate(GOLD), Receipt.model_validate(record))
    assert score_confirmed(RECEIPT, *typed) == score_record(RECEIPT, GOLD, record).mean


def test_inventions_inside_a_list_count_once_a_name() -> None:
    items = [item | {"discount": None} for item in GOLD["items"]]
    reference = {"items": items, "tip": None, "total": "170.00"}
    record = {"items": [item | {"discount": "1.00", "unit": "kg"} for item in items], "tip": "1"}
    # Of four answered names one is denied; nobody has said anything of units.
    assert invented_shares(RECEIPT, reference, record) == {"items": 1 / 4, "tip": 1.0}
    assert score_confirmed(RECEIPT, reference, record) == pytest.approx(1 / (2 + 1.25))
    assert invented_shares(RECEIPT, reference, {"items": "x", "tip": None}) == {}
    assert invented_shares(RECEIPT, reference, None) == {}


def test_a_name_that_one_element_has_is_not_denied() -> None:
    reference = {"items": [{"description": "A", "unit": None}, {"description": "B", "unit": "kg"}]}
    record = {"items": [{"description": "A", "unit": "kg"}, {"description": "B", "unit": "kg"}]}
    assert invented_shares(RECEIPT, reference, record) == {}


def test_sroie() -> None:
    reference = {"company": "ABC SDN BHD", "date": "25/12/2018", "address": "X", "total": "9.00"}
    scores = sroie_score(reference, reference)
    assert scores == {"company": 100, "date": 100, "address": 100, "total": 100, "overall": 100}
    scores = sroie_score(reference, {"company": "ABC SDN", "date": None, "total": "9.00"})
    assert scores["company"] == fuzz.ratio("ABC SDN BHD", "ABC SDN")
    assert (scores["date"], scores["address"], scores["total"]) == (0, 0, 100)
    assert scores["overall"] == pytest.approx((scores["company"] + 100) / 4)
