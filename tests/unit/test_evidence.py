"""Where a value was read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction.document_types.base import FieldSpec, Kind
from extraction.document_types.catalogue import BUILT_IN
from extraction.evidence import Evidence, EvidenceFinder, evidence_json
from extraction.lines import Box, Line
from tests.factories_lines import LOWER, UPPER, page_of

RECEIPT, PASSPORT = BUILT_IN["receipt"], BUILT_IN["passport"]

TILL = page_of(
    "SYARIKAT GIN KEE SDN BHD",
    "NO 290, JALAN AIR PANAS,",
    ("SETAPAK,", "TEL: 03-40210276"),
    "53200 KUALA LUMPUR.",
    ("Date: 04/12/2017", "16:15:00"),
    ("MILK", "1", "4.50", "4.50"),
    ("BREAD 1.5KG", "2", "2.25", "4.50"),
    ("MILK", "1", "4.50", "4.50"),
    ("Total Qty: 4", "13.50"),
    ("SUB TOTAL", "13.50"),
    ("TOTAL GST", "0.76"),
    ("TOTAL (INCL GST)", "RM13.50"),
    ("CASH", "20.00"),
    ("CHANGE", "6.50"),
    ("Rounding", "0.00"),
)
PAGE = page_of(
    "REPUBLIC OF MALTA",
    ("Type", "Code", "Passport No"),
    ("P", "MLT", "L898902C3"),
    "Nationality / Nazzjonalit\u00e0",
    "MALTA",
    ("Sex", "Place of birth"),
    ("M", "MSIDA"),
    "Date of birth",
    "12 AUG/AWW 1974",
    "Date of issue",
    "03 JAN 2012",
    "Date of expiry",
    "03.01.2022",
    UPPER,
    LOWER,
)


def find(raw: str, path: str, lines: list[Line] = TILL) -> Evidence | None:
    kind = PASSPORT if lines is PAGE else RECEIPT
    return EvidenceFinder(lines).find(raw, kind.field(path))


def row_of(found: Evidence | None) -> int:
    assert found is not None
    return round((found.box.top - 0.02) / 0.03)


@pytest.mark.parametrize(
    ("raw", "path", "row", "text", "why"),
    [
        ("13.50", "total", 11, "13.50", "the row that names the total and nothing else"),
        ("13.50", "subtotal", 9, "13.50", "two words that name one field"),
        ("0.76", "tax_total", 10, "0.76", "the only place"),
        ("20.00", "amount_paid", 12, "20.00", "0.00 of another row is no part of it"),
        ("0.00", "rounding", 14, "0.00", "20.00 does not hold 0.00"),
        ("6.50", "change_due", 13, "6.50", "the only place"),
        ("13.5", "total", 11, "13.50", "the same amount in another form"),
        ("RM 13.50", "total", 11, "13.50", "with its currency"),
        ("2017-12-04", "transaction_date", 4, "04/12/2017", "the same day in another form"),
        ("04-12-2017", "transaction_date", 4, "04/12/2017", "as entity tokens write it"),
        ("04/12/2017", "transaction_date", 4, "04/12/2017", "as printed"),
        ("16:15:00", "transaction_time", 4, "16:15:00", "a time"),
        ("syarikat gin kee sdn bhd", "merchant_name", 0, "SYARIKAT GIN KEE SDN BHD", "case"),
        ("SYARIKAT G1N KEE SDN BHD", "merchant_name", 0, "SYARIKAT GIN KEE SDN BHD", "misread"),
        ("03-40210276", "merchant_phone", 2, "03-40210276", "behind a label in its line"),
    ],
)
def test_the_place_on_a_receipt(raw: str, path: str, row: int, text: str, why: str) -> None:
    found = find(raw, path)
    assert row_of(found) == row, why
    assert found is not None
    assert text in found.text


@pytest.mark.parametrize(
    ("raw", "path", "row", "text", "why"),
    [
        ("M", "sex", 6, "M", "a word of its own, not a letter of MALTA"),
        ("P", "document_type", 2, "P", "not the first letter of a place"),
        ("MALTA", "nationality", 4, "MALTA", "below its label, not in the title"),
        ("12-08-1974", "date_of_birth", 8, "12 AUG/AWW 1974", "entity tokens have another form"),
        ("03-01-2012", "date_of_issue", 10, "03 JAN 2012", "one digit is another date"),
        ("03-01-2022", "date_of_expiry", 12, "03.01.2022", "the same"),
        ("MSIDA", "place_of_birth", 6, "MSIDA", "a text"),
        ("L898902C3", "document_number", 2, "L898902C3", "the whole code, not in the zone"),
    ],
)
def test_the_place_on_a_passport(raw: str, path: str, row: int, text: str, why: str) -> None:
    found = find(raw, path, PAGE)
    assert row_of(found) == row, why
    assert found is not None
    assert found.text == text


@pytest.mark.parametrize(
    ("raw", "path", "why"),
    [
        ("", "total", "nothing"),
        (" ", "total", "nothing but a space"),
        ("3.50", "total", "a part of 13.50"),
        ("13.58", "total", "another amount, however alike"),
        ("05/12/2017", "transaction_date", "another day, however alike"),
        ("16:15:09", "transaction_time", "another second"),
        ("290, J", "currency", "short of a word"),
        ("ACME TRADING", "merchant_name", "not on the page"),
        ("7", "items.0.quantity", "not on the page"),
        ("402", "receipt_number", "a part of a longer number"),
    ],
)
def test_no_place_is_better_than_a_wrong_one(raw: str, path: str, why: str) -> None:
    found = find(raw, path)
    assert found is None or found.similarity < 0.95, why
    if path != "currency":
        assert found is None, why


@pytest.mark.parametrize(
    ("raw", "kind", "texts", "text"),
    [
        ("1234.56", Kind.MONEY, ("1,234.50", "EUR 1.234,56"), "1.234,56"),
        ("1234.56", Kind.MONEY, ("Summe 1 234,56 EUR",), "1 234,56"),
        ("1234.56", Kind.MONEY, ("1'234.56",), "1'234.56"),
        ("12-08-1974", Kind.DATE, ("Born on 12 August 1974 in Malta",), "12 August 1974"),
        ("12-08-1974", Kind.DATE, ("1974-08-12",), "1974-08-12"),
        ("13-12-2018", Kind.DATE, ("12/13/2018",), "12/13/2018"),
        ("12-08-1974", Kind.DATE, ("12 \u0410\u0432\u0433\u0443\u0441\u0442 1974",), None),
        ("kg", Kind.TEXT, ("BAKGOOD", "2kg"), "kg"),
        ("0438", Kind.CODE, ("AB0438", "XXXXXXXX0438"), "0438"),
    ],
)
def test_another_form_of_the_same_value(
    raw: str, kind: Kind, texts: tuple[str, ...], text: str | None
) -> None:
    found = EvidenceFinder(page_of(*texts)).find(raw, FieldSpec("x", kind))
    assert found is not None
    assert found.text == (text or texts[-1])


def test_a_misread_place_of_a_date_is_still_its_place() -> None:
    found = EvidenceFinder(page_of("1S MARS/MAR 2013")).find(
        "15 MARS/MAR 2013", FieldSpec("date_of_issue", Kind.DATE)
    )
    assert found is not None
    assert 0.85 < found.similarity < 1


def test_an_address_of_several_lines_has_one_box_around_them() -> None:
    raw = "NO 290, JALAN AIR PANAS, SETAPAK, 53200 KUALA LUMPUR."
    found = find(raw, "merchant_address")
    assert found is not None
    lines = [line for line in TILL if len(line.text) > 4 and line.text in raw]
    assert len(lines) == 3
    assert found.box == lines[0].box.union(*(line.box for line in lines[1:]))
    assert "TEL" not in found.text


def test_a_value_over_two_lines_of_one_row() -> None:
    lines = page_of(("BOOK TA .K (TAMAN", "DAYA) SDN BHD"), "TOTAL")
    found = EvidenceFinder(lines).find(
        "BOOK TA .K (TAMAN DAYA) SDN BHD", FieldSpec("merchant_name", Kind.TEXT)
    )
    assert found is not None
    assert found.similarity == 1
    assert found.box == lines[0].box.union(lines[1].box)


def test_no_value_runs_over_two_pages() -> None:
    lines = [*page_of("JALAN AIR PANAS"), *page_of("KUALA LUMPUR", page=1)]
    found = EvidenceFinder(lines).find(
        "JALAN AIR PANAS KUALA LUMPUR", FieldSpec("merchant_address", Kind.TEXT)
    )
    assert found is None or found.text == "JALAN AIR PANAS"


def test_a_part_of_a_line_has_a_part_of_its_box() -> None:
    line = Line("ABCD 9.00", Box(0.1, 0.2, 1.0, 0.3), 0.8, 3)
    found = EvidenceFinder([line]).find("9.00", FieldSpec("total", Kind.MONEY))
    assert found is not None
    assert (found.page, found.score, found.text) == (3, 0.8, "9.00")
    assert found.box.left == pytest.approx(0.6)
    assert (found.box.top, found.box.right, found.box.bottom) == (0.2, 1.0, 0.3)


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_line_on_its_side_has_its_whole_box(quarter_turns: int) -> None:
    upright = page_of(("TOTAL", "RM 9.00"), ("SUBTOTAL", "9.00"))
    lines = [
        Line(line.text, line.box.turned(-quarter_turns), line.score, 0, quarter_turns)
        for line in upright
    ]
    found = EvidenceFinder(lines).find("9.00", FieldSpec("total", Kind.MONEY))
    assert found is not None
    assert found.box == lines[1].box
    assert found.labelled


def test_equal_places_are_counted() -> None:
    lines = page_of("9.00", "9.00", "9.00")
    found = EvidenceFinder(lines).find("9.00", FieldSpec("total", Kind.MONEY))
    assert found is not None
    assert (found.alternatives, found.labelled, row_of(found)) == (2, False, 2)
    labelled = find("13.50", "total")
    assert labelled is not None
    assert (labelled.alternatives, labelled.labelled) == (0, True)


def test_elements_of_a_list_stand_in_their_own_rows() -> None:
    values = [
        ("items.0.description", "MILK"),
        ("items.0.quantity", "1"),
        ("items.0.unit_price", "4.50"),
        ("items.0.total_price", "4.50"),
        ("items.1.description", "BREAD 1.5KG"),
        ("items.1.total_price", "4.50"),
        ("items.2.description", "MILK"),
        ("items.2.quantity", "1"),
        ("items.2.total_price", "4.50"),
        ("total", "13.50"),
    ]
    found = EvidenceFinder(TILL).find_all((path, raw, RECEIPT.field(path)) for path, raw in values)
    rows = {path: row_of(evidence) for path, evidence in found.items()}
    assert {path: row for path, row in rows.items() if path.startswith("items.0")} == {
        "items.0.description": 5,
        "items.0.quantity": 5,
        "items.0.unit_price": 5,
        "items.0.total_price": 5,
    }
    assert (rows["items.1.description"], rows["items.1.total_price"]) == (6, 6)
    assert {row for path, row in rows.items() if path.startswith("items.2")} == {7}
    assert rows["total"] == 11
    unit, whole = found["items.0.unit_price"], found["items.0.total_price"]
    assert unit is not None
    assert whole is not None
    assert unit.box.left < whole.box.left


def test_leaves_of_a_list_are_found_by_the_kind_of_its_elements() -> None:
    spec = FieldSpec("days", Kind.LIST, element=Kind.DATE)
    lines = page_of("25/12/2018", "26 DEC 2018")
    found = EvidenceFinder(lines).find_all(
        [("days.0", "25-12-2018", spec), ("days.1", "26-12-2018", spec)]
    )
    assert [row_of(evidence) for evidence in found.values()] == [0, 1]


def test_evidence_in_a_response() -> None:
    found = Evidence(1, Box(0.123456, 0.2, 0.3, 0.4), "9.00", 0.97, 0.9, 2, labelled=True)
    assert evidence_json(found) == {"page": 1, "box": [0.1235, 0.2, 0.3, 0.4], "text": "9.00"}
    assert evidence_json(None) is None


texts = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=15)


@given(
    st.lists(texts.filter(str.strip), max_size=6),
    texts,
    st.sampled_from([kind for kind in Kind if kind is not Kind.OBJECT]),
)
def test_any_text_is_looked_for(rows: list[str], raw: str, kind: Kind) -> None:
    spec = FieldSpec("total", kind, choices=("A",))
    lines = page_of(*rows)
    found = EvidenceFinder(lines).find(raw, spec)
    (listed,) = EvidenceFinder(lines).find_all([("items.0.total", raw, spec)]).values()
    for evidence in (found, listed):
        if evidence is not None:
            assert 0.5 <= evidence.similarity <= 1
            assert 0 <= evidence.box.left <= evidence.box.right <= 1
            assert evidence.text


@given(
    st.lists(st.text("ABC 19.", min_size=4, max_size=12).filter(str.strip), min_size=1, max_size=5)
)
def test_a_line_is_found_as_it_is(rows: list[str]) -> None:
    lines = page_of(*rows)
    for row in rows:
        found = EvidenceFinder(lines).find(row, FieldSpec("name", Kind.TEXT))
        assert found is not None
        assert found.similarity == 1
