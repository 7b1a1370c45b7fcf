"""Values of a travel document that its print does not support."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from extraction.document_types.passport import PASSPORT
from extraction.evidence import EvidenceFinder, ReadField, Source
from extraction.lines import Line
from extraction.mrz import find_mrz
from extraction.normalize import normalize
from extraction.printed_values import printed_only, with_own_dates
from extraction.prompt import PromptStyle
from extraction.record import RawLeaf
from extraction.traits import ModelTraits
from extraction.zone import with_zone
from tests.factories_lines import LOWER, UPPER, page_of

COPIES = ModelTraits("v1", sees_images=False)
SEES = ModelTraits("v1", style=PromptStyle.DESCRIBED)
PRINT = (
    ("Surname", "ERIKSSON"),
    ("Date of birth", "12 AUG 1974"),
    ("Date of expiry", "15 APR 2012"),
    ("Place of birth", "ZENITH"),
)


def page(*more: Sequence[str], has_zone: bool = True) -> list[Line]:
    return page_of(*PRINT, *more, *((UPPER, LOWER) if has_zone else ()))


def read(
    lines: Sequence[Line], traits: ModelTraits = COPIES, **answer: str | tuple[str, float]
) -> dict[str, ReadField]:
    """What is left of an answer, the zone laid over it; a value may come with its confidence."""
    finder, fields = EvidenceFinder(lines), {}
    for name, given in answer.items():
        raw, confidence = given if isinstance(given, tuple) else (given, 0.5)
        spec = PASSPORT.field(name)
        value = normalize(spec.kind, raw)
        assert value is not None
        place = finder.find(raw, spec)
        fields[name] = ReadField(name, str(value), raw, confidence, place, Source.MODEL)
    zone = find_mrz(lines)
    if zone is not None:
        fields = with_zone(fields, zone, PASSPORT)
    return printed_only(fields, lines, zone, traits)


def test_printed_values_stay() -> None:
    lines = page(("Date of issue", "15 APR 2002"), ("Authority", "POLICE"))
    kept = read(
        lines, place_of_birth="ZENITH", date_of_issue="15 APR 2002", issuing_authority="POLICE"
    )
    assert {"place_of_birth", "date_of_issue", "issuing_authority", "surname"} <= kept.keys()


@pytest.mark.parametrize("traits", [COPIES, SEES])
def test_a_piece_of_the_zone_is_no_printed_value(traits: ModelTraits) -> None:
    kept = read(page(), traits, issuing_authority="UTOERIKSSON", place_of_birth="ZENITH")
    assert "issuing_authority" not in kept
    assert kept["place_of_birth"].value == "ZENITH"


def test_a_zone_that_could_not_be_read_is_no_print_either() -> None:
    lines = page_of(*PRINT, "P<UTOERIKSSON<<ANNA<MARIA<")
    assert find_mrz(lines) is None
    assert "issuing_authority" not in read(lines, issuing_authority="UTOERIKSSON")


def test_what_stands_nowhere_is_dropped_of_a_model_that_copies_lines() -> None:
    assert "issuing_authority" not in read(page(), issuing_authority="MINISTRY OF TRUTH")
    assert "issuing_authority" in read(page(), SEES, issuing_authority="MINISTRY OF TRUTH")


def test_what_the_zone_carries_is_left_to_it() -> None:
    kept = read(page(), personal_number="ZE184226B")
    assert kept["personal_number"].value == "ZE184226B"


def test_a_date_of_another_field_is_no_date_of_issue() -> None:
    kept = read(page(), date_of_issue="15 APR 2012", date_of_expiry="15 APR 2012")
    assert "date_of_issue" not in kept
    assert kept["date_of_expiry"].value == "2012-04-15"


def test_a_date_that_is_printed_twice_serves_two_fields() -> None:
    kept = read(page(("Date of issue", "15 APR 2012")), date_of_issue="15 APR 2012")
    assert kept["date_of_issue"].value == "2012-04-15"


def test_the_surest_of_two_fields_keeps_the_one_print() -> None:
    kept = read(page(), place_of_birth=("ZENITH", 0.9), place_of_issue=("ZENITH", 0.4))
    assert "place_of_issue" not in kept
    assert "place_of_birth" in kept
    kept = read(page(), place_of_birth=("ZENITH", 0.4), place_of_issue=("ZENITH", 0.9))
    assert "place_of_birth" not in kept
    assert "place_of_issue" in kept


def test_a_name_is_no_place() -> None:
    kept = read(page(), place_of_birth=("ERIKSSON", 0.99), surname=("ERIKSSON", 0.3))
    assert "place_of_birth" not in kept
    assert kept["surname"].value == "ERIKSSON"


def test_fields_of_the_zone_are_never_dropped() -> None:
    both = read(page(), nationality="UTO", issuing_country="UTO")
    assert both["nationality"].value == both["issuing_country"].value == "UTO"


def test_without_lines_nothing_is_known() -> None:
    read_field = ReadField("place_of_birth", "X", "X", 0.5, None, Source.MODEL)
    assert printed_only({"place_of_birth": read_field}, [], None, COPIES)


def test_what_a_human_said_stays() -> None:
    said = replace(
        ReadField("issuing_authority", "NOWHERE", "NOWHERE", 1.0, None, Source.MODEL),
        source=Source.HUMAN,
    )
    assert printed_only({"issuing_authority": said}, page(), None, COPIES)


def test_a_count_is_of_whole_places() -> None:
    finder = EvidenceFinder(page_of("A12 A12", "A123", "12 AUG 1974 / 12.08.1974"))
    number, birth = PASSPORT.field("document_number"), PASSPORT.field("date_of_birth")
    assert finder.count("A12", number) == 2
    assert finder.count("B7", number) == 0
    assert finder.count("", number) == 0
    assert finder.count("1974-08-12", birth) == 1


@pytest.mark.parametrize(
    ("more", "expected", "why"),
    [
        ([("Date of issue", "16 APR 2002")], "16 APR 2002", "the date that no field has"),
        ([("Date of issue", "16 APR/AVR 02")], "16 APR/AVR 02", "as it is printed"),
        ([], "15 APR 2012", "no other date: left to the rule of one print"),
        ([("Issue", "16 APR 2002"), ("Valid", "17 APR 2002")], "15 APR 2012", "which of two"),
        ([("Date of issue", "16 APR 2022")], "15 APR 2012", "after the expiry"),
        ([("Date of issue", "16 APR 1952")], "15 APR 2012", "before the birth"),
        ([("Issue", "15 APR 2012"), ("Valid", "17 APR 2002")], "15 APR 2012", "printed twice"),
    ],
)
@pytest.mark.parametrize("has_zone", [True, False])
def test_a_date_of_issue_that_is_the_expiry(
    more: list[tuple[str, str]], expected: str, why: str, has_zone: bool
) -> None:
    lines = page(*more, has_zone=has_zone)
    texts = {"date_of_birth": "12 AUG 1974", "date_of_expiry": "15 APR 2012"}
    texts["date_of_issue"] = texts["date_of_expiry"]
    leaves = [RawLeaf(name, PASSPORT.field(name), raw, 0, 1) for name, raw in texts.items()]
    finder = EvidenceFinder(lines)
    places = finder.find_all((leaf.path, leaf.raw, leaf.spec) for leaf in leaves)
    after, found = with_own_dates(leaves, places, finder, find_mrz(lines))
    assert [leaf.path for leaf in after] == list(texts)
    assert after[-1].raw == expected, why
    place = found["date_of_issue"]
    assert place is not None
    assert place.text == expected
    assert (place.similarity < 1) == (expected != "15 APR 2012"), "what the confidence sees"


def test_a_date_of_issue_of_its_own_stays() -> None:
    lines = page(("Date of issue", "16 APR 2002"), ("Valid from", "17 APR 2002"))
    leaf = RawLeaf("date_of_issue", PASSPORT.field("date_of_issue"), "17 APR 2002", 0, 1)
    finder = EvidenceFinder(lines)
    after, _ = with_own_dates([leaf], {leaf.path: None}, finder, find_mrz(lines))
    assert after == [leaf]


@pytest.mark.parametrize(
    ("field", "text"), [("issuing_authority", "UTO"), ("personal_number", "F")]
)
def test_the_print_of_a_code_is_no_other_value(field: str, text: str) -> None:
    lines = page(("Sex", "F"), ("Country", "UTO"), ("Personal", ""))
    zone = find_mrz(lines)
    assert zone is not None
    answer = {"issuing_country": "UTO", "sex": "F", field: text}
    fields = {
        name: ReadField(name, raw, raw, 0.9, None, Source.MODEL) for name, raw in answer.items()
    }
    assert field not in printed_only(fields, lines, None, COPIES)


def test_a_place_of_birth_that_is_a_state_is_printed_beside_it() -> None:
    lines = page(("Country", "UTO"), ("Born in", "UTO"), ("Nationality", "UTOPIAN"))
    kept = read(lines, place_of_birth="UTO")
    assert kept["place_of_birth"].value == "UTO"
    assert kept["issuing_country"].value == kept["nationality"].value == "UTO"


def test_a_date_goes_to_the_date() -> None:
    lines = page(("Date of issue", "16 APR 2002"))
    kept = read(lines, date_of_issue=("16 APR 2002", 0.2), place_of_issue=("16 APR 2002", 0.9))
    assert "place_of_issue" not in kept
    assert kept["date_of_issue"].value == "2002-04-16"
