"""The machine-readable zone beside the model's reading of the printed one."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from extraction.document_types.catalogue import BUILT_IN
from extraction.evidence import Evidence, ReadField, Source
from extraction.mrz import FoundMrz, MrzFormat, build_mrz, find_mrz, parse_mrz
from extraction.nesting import nested
from extraction.zone import as_sure_as_read, with_zone
from tests.factories_lines import LOWER, UPPER, page_of
from tests.factories_records import as_read

PASSPORT = BUILT_IN["passport"]
HOLDER: dict[str, Any] = {
    "document_code": "P",
    "issuing_state": "UTO",
    "surname": "ERIKSSON",
    "given_names": "ANNA MARIA",
    "document_number": "L898902C3",
    "nationality": "UTO",
    "date_of_birth": date(1974, 8, 12),
    "sex": "F",
    "date_of_expiry": date(2012, 4, 15),
    "optional_data": "ZE184226B",
}


def found(lines: tuple[str, ...] = (UPPER, LOWER)) -> FoundMrz:
    """The zone as it is, digits that fail included: no repair has a say here."""
    read = page_of(*lines, top=0.8)
    return FoundMrz(parse_mrz(lines), tuple((line,) for line in read), ())


def zone_of(format_: MrzFormat = MrzFormat.TD3, **changes: Any) -> FoundMrz:
    return found(build_mrz(format_, **{**HOLDER, **changes}))


def merged(printed: dict[str, Any], zone: FoundMrz, *names: str) -> dict[str, ReadField]:
    return with_zone(as_read(printed), zone, PASSPORT.select(names))


def test_a_zone_alone_fills_what_it_holds() -> None:
    fields = merged({}, found())
    record = nested(PASSPORT, fields)
    assert record == {
        "document_type": "P",
        "document_number": "L898902C3",
        "issuing_country": "UTO",
        "surname": "ERIKSSON",
        "given_names": "ANNA MARIA",
        "nationality": "UTO",
        "date_of_birth": "1974-08-12",
        "sex": "F",
        "place_of_birth": None,
        "date_of_issue": None,
        "date_of_expiry": "2012-04-15",
        "place_of_issue": None,
        "issuing_authority": None,
        "personal_number": "ZE184226B",
        "mrz": {"lines": [UPPER, LOWER]},
    }
    assert {read.source for read in fields.values()} == {Source.MRZ}
    assert all(read.evidence is not None for read in fields.values())
    assert {read.evidence.text for read in fields.values() if read.evidence} == {UPPER, LOWER}
    assert fields["surname"].raw == "ERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<"
    assert fields["personal_number"].raw == "ZE184226B<<<<<"
    assert fields["date_of_birth"].raw == "740812"


def test_only_what_is_asked_is_added() -> None:
    assert set(merged({}, found(), "surname")) == {"surname"}
    assert set(merged({}, found(), "mrz")) == {"mrz.lines.0", "mrz.lines.1"}
    assert merged({"place_of_birth": "X"}, found(), "place_of_birth").keys() == {"place_of_birth"}


@pytest.mark.parametrize(
    ("name", "printed", "zone", "value", "source", "why"),
    [
        ("document_number", "L898902G3", found(), "L898902C3", "mrz", "a proven field wins"),
        ("date_of_birth", "1974-08-13", found(), "1974-08-12", "mrz", "a proven date wins"),
        ("personal_number", "ZE184226", found(), "ZE184226B", "mrz", "TD3 protects it"),
        ("sex", "M", found(), "F", "mrz", "OCR-B is read more surely"),
        ("sex", "M", zone_of(sex="X"), "M", "model", "a filler may be an unread letter"),
        ("sex", "X", zone_of(sex="X"), "X", "model", "they agree"),
        ("nationality", "UGA", found(), "UTO", "mrz", "the zone's state"),
        ("surname", "ERIKSON", found(), "ERIKSSON", "mrz", "the zone spells another name"),
        ("surname", None, found(), "ERIKSSON", "mrz", "nothing was printed"),
        ("surname", "M\u00dcLLER", zone_of(surname="M\u00dcLLER"), "M\u00dcLLER", "model", "UE"),
        (
            "surname",
            "M\u00fcller",
            zone_of(surname="MULLER"),
            "M\u00fcller",
            "model",
            "U for \u00dc",
        ),
        (
            "surname",
            "MULLER",
            zone_of(surname="M\u00dcLLER"),
            "MUELLER",
            "mrz",
            "the mark was lost",
        ),
        ("surname", "STRA\u00dfE", zone_of(surname="STRASSE"), "STRA\u00dfE", "model", "SS"),
        (
            "surname",
            "O'NEIL-SMITH",
            zone_of(surname="ONEIL SMITH"),
            "O'NEIL-SMITH",
            "model",
            "marks",
        ),
        ("given_names", "ANNA<MARIA", found(), "ANNA MARIA", "mrz", "copied from the zone"),
        ("surname", "\u5c71\u7530", zone_of(surname="YAMADA"), "YAMADA", "mrz", "another script"),
        (
            "surname",
            "\u0414\u041c\u0418\u0422\u0420\u0418\u0415\u0412",
            zone_of(surname="DMITRIEV"),
            "\u0414\u041c\u0418\u0422\u0420\u0418\u0415\u0412",
            "model",
            "a script that the zone transliterates",
        ),
        ("issuing_country", "GERMANY", zone_of(issuing_state="D"), "DEU", "mrz", "Germany is D"),
        ("nationality", "DEU", zone_of(nationality="D"), "DEU", "mrz", "Germany is D"),
    ],
)
def test_which_value_wins(
    name: str, printed: str | None, zone: FoundMrz, value: str, source: str, why: str
) -> None:
    read = merged({} if printed is None else {name: printed}, zone)[name]
    assert (read.value, read.source.value) == (value, source), why


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("MARIA ALEXANDRINA", True),
        ("PETRA", False),
    ],
)
def test_names_that_fill_their_line_are_cut(given: str, kept: bool) -> None:
    zone = zone_of(surname="WOLFESCHLEGELSTEINHAUSENBERGERDORF", given_names="MARIA ALEXANDRINA")
    assert not zone.mrz.lines[0].endswith("<")
    read = merged({"given_names": given}, zone)["given_names"]
    assert (read.value == given) is kept


def test_a_failed_digit_leaves_the_printed_value() -> None:
    wrong = LOWER.replace("L898902C3", "L898902G3")
    zone = found((UPPER, wrong))
    assert "document_number" not in zone.mrz.proven_fields
    read = merged({"document_number": "L898902C3"}, zone)["document_number"]
    assert (read.value, read.source) == ("L898902C3", Source.MODEL)
    alone = merged({}, zone)["document_number"]
    assert (alone.value, alone.source) == ("L898902G3", Source.MRZ)
    assert alone.confidence < 0.5
    proven = merged({}, zone)["date_of_birth"]
    assert proven.confidence > 0.99
    assert merged({}, zone)["sex"].confidence < merged({}, found())["sex"].confidence


def test_an_empty_personal_number_leaves_the_printed_one() -> None:
    read = merged({"personal_number": "123"}, zone_of(optional_data=""))["personal_number"]
    assert (read.value, read.source) == ("123", Source.MODEL)


def test_other_sizes_have_no_personal_number() -> None:
    zone = zone_of(MrzFormat.TD1, document_code="I", optional_data="12345")
    fields = merged({"personal_number": "99"}, zone)
    assert fields["personal_number"].value == "99"
    assert [fields[f"mrz.lines.{index}"].value for index in range(3)] == list(zone.mrz.lines)


def test_a_date_that_the_zone_leaves_open_leaves_the_printed_one() -> None:
    zone = zone_of(date_of_birth="74<<<<")
    assert merged({"date_of_birth": "1974-08-12"}, zone)["date_of_birth"].source == Source.MODEL


def test_the_old_french_card_has_its_names_apart() -> None:
    lines = ("IDFRABERTHIER<<<<<<<<<<<<<<<<<<<<<<<", "9409923102854CORINNE<<<<<<<6512068F4")
    fields = merged({}, found(lines))
    assert (fields["surname"].raw or "").startswith("BERTHIER<")
    assert (fields["given_names"].raw or "").startswith("CORINNE<")
    assert fields["given_names"].evidence is not None


def test_lines_that_the_model_made_up_give_way() -> None:
    fields = merged({"mrz.lines.0": "A", "mrz.lines.2": "B"}, found())
    assert nested(PASSPORT, fields)["mrz"] == {"lines": [UPPER, LOWER]}


def test_a_line_that_was_read_in_pieces_has_one_box() -> None:
    pieces = page_of((UPPER[:20], UPPER[20:]), LOWER, top=0.8)
    zone = find_mrz(pieces)
    assert zone is not None
    read = merged({}, zone)["surname"].evidence
    assert read is not None
    assert read.box == pieces[0].box.union(pieces[1].box)


def test_the_given_fields_stay_as_they_were() -> None:
    printed = as_read({"surname": "X"})
    with_zone(printed, found(), PASSPORT)
    assert printed == as_read({"surname": "X"})
    assert replace(printed["surname"], value="Y").value == "Y"


@pytest.mark.parametrize(
    ("names", "page", "expected", "why"),
    [
        (("OECALAN", "MUEVEDDET"), ["Öcalan", "Müveddet"], ("ÖCALAN", "MÜVEDDET"), "diacritics"),
        (
            ("SYKOROVA", "JOSEF DOMINIK SVATOPLUK KAREL"),
            ["SÝKOROVÁ", ("Names", "Josef Dominik Svatopluk Karel")],
            ("SÝKOROVÁ", "JOSEF DOMINIK SVATOPLUK KAREL"),
            "the zone had no room for the last names",
        ),
        (
            ("SYKOROVA", "JOSEF DOMINIK SVATOPLUK KAREL"),
            ["Given names: Josef Dominik Svatopluk Karel", "Surname: Sýkorová (5)"],
            ("SÝKOROVÁ", "JOSEF DOMINIK SVATOPLUK KAREL"),
            "behind a label",
        ),
        (("MARS", "ANN"), ["MARSHALL", "ANNE"], ("MARS", "ANN"), "longer names of the print"),
    ],
)
def test_a_name_that_the_model_misread_is_looked_for_in_the_print(
    names: tuple[str, str], page: list[Any], expected: tuple[str, str], why: str
) -> None:
    surname, given = names
    zone = zone_of(MrzFormat.TD2, optional_data="", surname=surname, given_names=given)
    printed = as_read({"surname": "SOMEBODY", "given_names": "ELSE"})
    asked = PASSPORT.select(("surname", "given_names"))
    lines = [*page_of(*page), *(line for parts in zone.lines for line in parts)]
    fields = with_zone(printed, zone, asked, lines)
    assert (fields["surname"].value, fields["given_names"].value) == expected, why
    for field in fields.values():
        assert (field.source is Source.LINES) == (why != "longer names of the print")
        assert field.evidence is not None


def test_a_name_of_which_the_zone_has_but_a_letter_is_not_guessed() -> None:
    zone = zone_of(
        MrzFormat.TD2, optional_data="", surname="PAPANDROPOULOUPOULOSIDISAKIS", given_names="MARIA"
    )
    asked = PASSPORT.select(("given_names",))
    fields = with_zone({}, zone, asked, page_of("MINISTRY OF INTERIOR", "Maria"))
    assert fields["given_names"].source is Source.MRZ


def test_without_the_ocr_a_zone_is_no_surer_than_its_characters() -> None:
    fields = merged({"issuing_authority": "HOME OFFICE"}, zone_of(), "issuing_authority", "surname")
    fields["surname"] = replace(
        fields["surname"], evidence=replace(evidence_of(fields["surname"]), score=0.5)
    )
    weaker = as_sure_as_read(fields)
    assert weaker["surname"].confidence == pytest.approx(fields["surname"].confidence / 2, abs=1e-4)
    assert weaker["issuing_authority"] == fields["issuing_authority"]


def evidence_of(read: ReadField) -> Evidence:
    assert read.evidence is not None
    return read.evidence
