"""Records in entity tokens: what is written reads back equal, and nothing else reads at all."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction.document_types.base import DocumentType
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.custom import type_from_schema
from extraction.entity_tokens import can_write, parse_entity_tokens, write_entity_tokens
from extraction.errors import UnparseableRecord
from extraction.nesting import nested
from extraction.record import normalise_record
from tests.factories_lines import LOWER, UPPER
from tests.factories_records import as_read

PASSPORT, RECEIPT = BUILT_IN["passport"], BUILT_IN["receipt"]
NOTE = type_from_schema(
    "note",
    {
        "type": "object",
        "properties": {
            "mrz": {"type": "string"},
            "days": {"type": "array", "items": {"type": "string", "format": "date"}, "maxItems": 2},
            "paid": {"type": "boolean"},
        },
    },
    1,
)
OTHER_ZONE = type_from_schema(
    "card",
    {
        "type": "object",
        "properties": {
            "mrz": {"type": "object", "properties": {"code": {"type": "string"}}},
            "name": {"type": "string"},
        },
    },
    1,
)


def read(text: str, kind: DocumentType, *, allow_cut: bool = False) -> dict[str, str]:
    return {item.path: item.text for item in parse_entity_tokens(text, kind, allow_cut=allow_cut)}


@pytest.mark.parametrize(
    ("text", "expected", "why"),
    [
        ("", {}, "a page without any asked field"),
        (
            "<surname>ERIKSSON</surname>\n<sex>F</sex> ",
            {"surname": "ERIKSSON", "sex": "F"},
            "white space between tags",
        ),
        (
            f"<mrz>{UPPER}\n{LOWER}</mrz>",
            {"mrz.lines.0": UPPER, "mrz.lines.1": LOWER},
            "the zone whole, with its fillers right before the tag",
        ),
        ("<personal_number>12<34<</personal_number>", {"personal_number": "12<34<"}, "fillers"),
    ],
)
def test_what_reads(text: str, expected: dict[str, str], why: str) -> None:
    assert read(text, PASSPORT) == expected, why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ERIKSSON", "no tag"),
        ("<surname>ERIKSSON", "no end"),
        ("<surname>ERIKSSON</given_names>", "another end"),
        ("<surname>A</surname><surname>B</surname>", "twice"),
        (f"<mrz>{UPPER}</mrz><mrz>{LOWER}</mrz>", "the zone twice"),
        ("<surname>A<given_names>B</given_names></surname>", "a tag within another"),
        ("<surname>A<surname>B</surname>", "a tag within itself"),
        ("<colour>red</colour>", "unknown"),
        ("<surname>A</surname>.", "text behind"),
        ("<surname>A</surname><", "a lone bracket"),
        (">", "a closing bracket"),
        ("</surname>", "an end without a beginning"),
    ],
)
def test_what_does_not_read(text: str, why: str) -> None:
    with pytest.raises(UnparseableRecord):
        pytest.fail(f"{why}: {read(text, PASSPORT)}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("<surname>A</surname><given_na", "within a tag"),
        ("<surname>A</surname><", "at a bracket"),
        ("<surname>A</surname><given_names>", "behind a tag"),
        ("<surname>A</surname><given_names>AN", "within a value"),
        ("<surname>A</surname><given_names>ANNA</given_nam", "within an end"),
        ("<surname>A</surname>", "between two"),
    ],
)
def test_a_cut_answer_keeps_what_is_whole(text: str, why: str) -> None:
    assert read(text, PASSPORT, allow_cut=True) == {"surname": "A"}, why


@pytest.mark.parametrize("text", ["prose", "<surname>A</surname> and", "<colour", "<colour>r"])
def test_a_cut_does_not_excuse_other_text(text: str) -> None:
    with pytest.raises(UnparseableRecord):
        read(text, PASSPORT, allow_cut=True)


def test_dates_are_day_first_and_the_zone_keeps_its_lines() -> None:
    record = {
        "surname": "M\u00dcLLER",
        "date_of_birth": "1974-08-12",
        "sex": None,
        "mrz": {"lines": [UPPER, LOWER]},
    }
    assert write_entity_tokens(PASSPORT, record) == (
        "<surname>M\u00dcLLER</surname><date_of_birth>12-08-1974</date_of_birth>"
        f"<mrz>{UPPER}\n{LOWER}</mrz>"
    )


def test_lists_repeat_their_tag_and_are_bounded() -> None:
    record = {"mrz": "not a zone", "days": ["2018-12-25", "2019-01-02"], "paid": True}
    text = write_entity_tokens(NOTE, record)
    assert text == (
        "<mrz>not a zone</mrz><days>25-12-2018</days><days>02-01-2019</days><paid>true</paid>"
    )
    assert read(text, NOTE) == {
        "mrz": "not a zone",
        "days.0": "25-12-2018",
        "days.1": "02-01-2019",
        "paid": "true",
    }
    with pytest.raises(UnparseableRecord):
        read("<days>1-1-2018</days>" * 3, NOTE)


def test_a_callers_field_named_mrz_is_no_zone() -> None:
    assert write_entity_tokens(OTHER_ZONE, {"mrz": {"code": "A"}, "name": "B"}) == "<name>B</name>"
    assert [spec.name for spec in OTHER_ZONE.fields if can_write(spec)] == ["name"]
    assert can_write(PASSPORT.field("mrz"))
    assert not can_write(RECEIPT.field("items"))


def test_a_value_cannot_forge_a_tag() -> None:
    record = {"surname": "</surname><sex>M</sex><surname>", "given_names": "A<", "sex": "F"}
    found = read(write_entity_tokens(PASSPORT, record), PASSPORT)
    assert found["sex"] == "F"
    assert found["given_names"] == "A<"


words = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12
)
names = words.filter(lambda text: "<" not in text and "\uff1c" not in text)
zone_lines = st.lists(st.text("ABO019<", min_size=30, max_size=44), min_size=2, max_size=3)
passports = st.fixed_dictionaries(
    {},
    optional={
        "document_number": st.text("ABC019", min_size=1, max_size=9),
        "surname": names,
        "given_names": names,
        "date_of_birth": st.dates(date(1900, 1, 1), date(2049, 12, 31)).map(date.isoformat),
        "date_of_expiry": st.dates(date(1900, 1, 1), date(2049, 12, 31)).map(date.isoformat),
        "sex": st.sampled_from("MFX"),
        "personal_number": st.text("A0<", min_size=1, max_size=14),
        "mrz": zone_lines.map(lambda lines: {"lines": lines}),
    },
)


@given(passports)
def test_what_is_written_reads_back_equal(record: dict[str, Any]) -> None:
    text = write_entity_tokens(PASSPORT, record)
    texts = read(text, PASSPORT)
    values = normalise_record(PASSPORT, texts, day_first=True).values
    found = nested(PASSPORT, as_read(values))
    empty = dict.fromkeys(PASSPORT.field_names)
    assert {name: found[name] for name in record} == {
        name: _as_cleaned(name, value) for name, value in record.items()
    }
    assert found.keys() == empty.keys()
    assert write_entity_tokens(PASSPORT, found) == write_entity_tokens(PASSPORT, found | {})


def _as_cleaned(name: str, value: Any) -> Any:
    """Letters in their composed form, as every text is kept."""
    import unicodedata

    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value
