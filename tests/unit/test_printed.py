"""How the page prints a corrected value."""

from typing import Any

import pytest

from extraction.document_types.base import FieldSpec, Kind
from extraction.document_types.catalogue import BUILT_IN
from extraction.record import to_json, value_of
from tests.factories_lines import LOWER, UPPER, page_of
from trainer.printed import Predicted, Printer, predicted_of, printed

RECEIPT, PASSPORT = BUILT_IN["receipt"], BUILT_IN["passport"]


@pytest.mark.parametrize(
    ("path", "value", "rows", "expected"),
    [
        ("transaction_date", "2018-12-25", ["Date: 25/12/2018 20:13"], "25/12/2018"),
        ("transaction_date", "2018-12-25", ["25/12/201820:13:39"], "25/12/2018"),
        ("transaction_date", "2018-12-25", ["Tarikh", "25.12.18"], "25.12.18"),
        ("transaction_date", "2018-12-25", ["25 DEC 2018"], "25 DEC 2018"),
        ("transaction_date", "2016-10-03", ["OCT 3, 2016 10:15 AM"], "OCT 3, 2016"),
        ("transaction_date", "2018-12-25", ["2018-12-25T20:13:39"], "2018-12-25"),
        ("transaction_date", "2018-12-25", ["25 - 12 - 2018"], "25 - 12 - 2018"),
        ("transaction_date", "2018-12-25", ["26/12/2018"], "2018-12-25"),
        ("transaction_time", "20:13:39", ["25/12/2018 8:13:39 PM"], "8:13:39 PM"),
        ("total", "9.00", ["TOTAL RM 9.00"], "9.00"),
        ("total", "9.00", ["TOTAL 9.0O"], "9.00"),
        ("total", "1234.56", ["Summe 1.234,56 EUR"], "1.234,56"),
        ("total", "1234.50", ["CHF 1'234.50"], "1'234.50"),
        ("total", "-5.00", ["Refund (5.00)"], "(5.00)"),
        ("total", "-5.00", ["Refund 5.00-"], "5.00-"),
        ("total", "25000", ["Rp 25.000"], "25.000"),
        ("total", "1.234", ["nothing"], "1.2340"),
        ("currency", "MYR", ["TOTAL RM9.00"], "RM"),
        ("currency", "EUR", ["9,00 \u20ac"], "\u20ac"),
        ("country", "MYS", ["81100 JOHOR, MALAYSIA"], "MALAYSIA"),
        ("receipt_number", "TD01167104", ["Document No: TD 0116 7104"], "TD 0116 7104"),
        ("receipt_number", "td01167104", ["No:TD01167104"], "TD01167104"),
        ("receipt_number", "0116", ["No:TD01167104"], "0116"),
        ("merchant_name", "Corner Store", ["CORNER STORE SDN BHD"], "Corner Store"),
        ("taxes.0.rate", "0.06", ["GST 6% 0.51"], "6%"),
        ("taxes.0.rate", "0.06", ["SR @ 6.00 %  0.51"], "6.00 %"),
        ("items.0.quantity", "2", ["Milk 2 x 4.20"], "2"),
        ("total", None, ["TOTAL 9.00"], None),
    ],
)
def test_a_value_as_the_page_prints_it(
    path: str, value: str | None, rows: list[str], expected: str | None
) -> None:
    spec = RECEIPT.field(path)
    found = printed(spec, value, page_of(*rows))
    assert found == expected
    if found is not None and spec.kind is not Kind.CODE:
        read = to_json(value_of(spec.kind, spec, found))
        assert read == value or float(read) == float(value or "")


@pytest.mark.parametrize(
    ("value", "raw", "expected"),
    [
        ("9.00", "RM 9.00", "RM 9.00"),
        ("9.00", "RM 8.00", "9.00"),
        ("9.00", "9", "9"),
        ("9.00", "", "9.00"),
    ],
)
def test_the_models_own_text_is_kept_where_it_is_read_as_the_value(
    value: str, raw: str, expected: str
) -> None:
    lines = page_of(("TOTAL", "RM 9.00"))
    assert printed(RECEIPT.field("total"), value, lines, raw) == expected


def test_a_row_that_names_the_field_comes_first() -> None:
    lines = page_of("Printed 25 DEC 2018", ("Transaction date", "25/12/2018"), "until 25-12-18")
    spec = RECEIPT.field("transaction_date")
    assert printed(spec, "2018-12-25", lines) == "25/12/2018"


def test_then_the_place_where_the_model_looked() -> None:
    lines = page_of("25 DEC 2018", "a", "b", "c", "25/12/18")
    spec = RECEIPT.field("transaction_date")
    for line in (lines[0], lines[4]):
        near = Predicted("nothing", 0, (line.box.top + line.box.bottom) / 2)
        printer = Printer(lines, {"transaction_date": near})
        assert printer.printed(spec, "2018-12-25") == line.text


def test_the_zone_is_no_print_of_the_model() -> None:
    lines = page_of("Date of birth", "12 AUG/AOUT 1974", UPPER, LOWER)
    fields = {"date_of_birth": {"value": "1974-08-12", "raw": "740812", "source": "mrz"}}
    printer = Printer(lines, predicted_of(fields))
    assert printer.printed(PASSPORT.field("date_of_birth"), "1974-08-12") == "12 AUG/AOUT 1974"


def test_lists_and_objects_keep_their_structure() -> None:
    lines = page_of(("Tea", "1 x RM 4,50", "RM 4,50"), ("Milk", "2 x RM 2,00", "RM 4,00"))
    value = [
        {"description": "Milk", "quantity": "2", "unit_price": "2.00", "total_price": "4.00"},
        {"description": "Tea", "discount": None, "total_price": "4.50"},
    ]
    # The human took out the model's first element: its texts are found under another position.
    fields = {
        "items.1.total_price": {"value": "4.00", "raw": "RM 4,00", "source": "model"},
        "items.0.total_price": {"value": "9", "raw": "9", "source": "model"},
    }
    found = Printer(lines, predicted_of(fields)).printed(RECEIPT.field("items"), value)
    assert found == [
        {"description": "Milk", "quantity": "2", "unit_price": "2,00", "total_price": "RM 4,00"},
        {"description": "Tea", "discount": None, "total_price": "4,50"},
    ]
    assert printed(RECEIPT.field("items"), [], lines) == []


LEAVES = [
    (FieldSpec("paid", Kind.BOOLEAN), True, True),
    (FieldSpec("class", Kind.CHOICE, choices=("first", "second")), "first", "first"),
    (FieldSpec("tags", Kind.LIST, element=Kind.MONEY), ["9.00", "4.50"], ["9,00", "4.50"]),
    (FieldSpec("party", Kind.OBJECT, children=(FieldSpec("due", Kind.DATE),)), None, None),
    (
        FieldSpec("party", Kind.OBJECT, children=(FieldSpec("due", Kind.DATE),)),
        {"due": "2018-12-25"},
        {"due": "25/12/2018"},
    ),
    (FieldSpec("share", Kind.RATE), "1", "100%"),
    (FieldSpec("total", Kind.MONEY, max_length=5), "1234.56", "1234.56"),
]


@pytest.mark.parametrize(("spec", "value", "expected"), LEAVES)
def test_fields_of_a_callers_own_type(spec: FieldSpec, value: Any, expected: Any) -> None:
    lines = page_of("9,00", "First class", "25/12/2018", "1.234,56")
    assert printed(spec, value, lines) == expected
