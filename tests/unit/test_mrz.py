"""Writing and parsing zones: Doc 9303's own examples, round trips, what check digits can see."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction.errors import InvalidMrz
from extraction.mrz import MrzFormat, build_mrz, check_digit, parse_mrz, transliterate

TODAY = date(2026, 11, 22)
ERIKSSON: dict[str, Any] = {
    "issuing_state": "UTO",
    "surname": "Eriksson",
    "given_names": "Anna Maria",
    "nationality": "UTO",
    "date_of_birth": date(1974, 8, 12),
    "sex": "F",
    "date_of_expiry": date(2012, 4, 15),
}
LETTERS = st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
NAME = st.lists(st.text(LETTERS, min_size=1, max_size=6), min_size=1, max_size=2).map(" ".join)
NUMBER = st.text(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"), min_size=1, max_size=9)
BIRTH = st.dates(date(1927, 1, 1), TODAY)
ICAO_FORMATS = [f for f in MrzFormat if f is not MrzFormat.FRA_ID]


@pytest.mark.parametrize(
    ("text", "digit"),
    [
        ("520727", "3"),  # Doc 9303-3, 4.9, example 1
        ("AB2134<<<", "5"),  # example 2
        ("L898902C3", "6"),  # Doc 9303-4, appendix B
        ("", "0"),
        ("<<<", "0"),
    ],
)
def test_check_digit_of_the_specification(text: str, digit: str) -> None:
    assert check_digit(text) == digit


@pytest.mark.parametrize("text", ["a", "É", "1 2", "\uff11"])
def test_check_digit_refuses_what_a_zone_cannot_hold(text: str) -> None:
    with pytest.raises(InvalidMrz):
        check_digit(text)


def test_td3_example() -> None:
    zone = build_mrz(
        MrzFormat.TD3,
        document_code="P",
        document_number="L898902C3",
        optional_data="ZE184226B",
        **ERIKSSON,
    )
    assert zone == (
        "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
        "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
    )


def test_td2_and_td1_examples() -> None:
    number = {"document_code": "I", "document_number": "D23145890", **ERIKSSON}
    assert build_mrz(MrzFormat.TD2, **number) == (
        "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<",
        "D231458907UTO7408122F1204159<<<<<<<6",
    )
    assert build_mrz(MrzFormat.TD1, **number) == (
        "I<UTOD231458907<<<<<<<<<<<<<<<",
        "7408122F1204159UTO<<<<<<<<<<<6",
        "ERIKSSON<<ANNA<MARIA<<<<<<<<<<",
    )


def test_a_long_number_runs_on_in_the_optional_data() -> None:
    """Doc 9303-5, note j, with the specification's own number."""
    zone = build_mrz(MrzFormat.TD1, document_code="I", document_number="D23145890734", **ERIKSSON)
    assert zone[0] == "I<UTOD23145890<7349<<<<<<<<<<<"
    mrz = parse_mrz(zone, today=TODAY)
    assert mrz.fields.document_number == "D23145890734"
    assert mrz.fields.optional_data is None
    assert mrz.is_proven


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Müller", "MUELLER"),
        ("Þórðardóttir", "THORDARDOTTIR"),
        ("Ægir Øst", "AEGIR<OEST"),
        ("D'Artagnan", "DARTAGNAN"),  # apostrophes vanish
        ("Smith-Jones", "SMITH<JONES"),  # hyphens are fillers
        ("Weiß", "WEISS"),
        ("Łódź", "LODZ"),
        ("Щукина", "SHCHUKINA"),
        ("İnci Iş\u0131k", "INCI<ISIK"),
    ],
)
def test_transliteration(name: str, letters: str) -> None:
    assert transliterate(name) == letters


@pytest.mark.parametrize(
    ("surname", "given", "field"),
    [
        # Doc 9303-4, appendix: the line is full and ends in a letter.
        (
            "Nilavadhanananda",
            "Chayapa Dejthamrong Krasuang",
            "NILAVADHANANANDA<<CHAYAPA<DEJTHAMRONG<K",
        ),
        ("A" * 50, "Bea", "A" * 36 + "<<B"),  # one letter of the given names stays
        ("A" * 50, "", "A" * 39),
        ("Papandropoulous", "", "PAPANDROPOULOUS".ljust(39, "<")),
    ],
)
def test_truncation(surname: str, given: str, field: str) -> None:
    person = ERIKSSON | {"surname": surname, "given_names": given}
    zone = build_mrz(MrzFormat.TD3, document_code="P", document_number="1", **person)
    assert zone[0][5:] == field


@pytest.mark.parametrize(
    "wrong",
    [
        {"document_number": "1234567890"},  # ten characters, and a passport has no place for them
        {"sex": "Q"},
        {"issuing_state": "U1"},
        {"optional_data": "1" * 15},
        {"surname": "", "given_names": ""},
        {"date_of_birth": "19740812"},
        {"surname": "山田"},  # no table for it in Doc 9303
    ],
)
def test_build_refuses_what_does_not_fit(wrong: dict[str, str]) -> None:
    person: dict[str, Any] = {
        "document_code": "P",
        "document_number": "1",
        **ERIKSSON,
        **wrong,
    }
    with pytest.raises(InvalidMrz):
        build_mrz(MrzFormat.TD3, **person)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["P<UTO"],
        ["P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<"],
        [
            "p<utoeriksson<<anna<maria<<<<<<<<<<<<<<<<<<<",
            "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
        ],
        ["<" * 44, "L898902C36UTO7408122F1204159ZE184226B<<<<<10"],
    ],
)
def test_parse_is_strict(lines: list[str]) -> None:
    with pytest.raises(InvalidMrz):
        parse_mrz(lines)


@given(
    format_=st.sampled_from(ICAO_FORMATS),
    surname=NAME,
    given_names=st.one_of(st.just(""), NAME),
    number=NUMBER,
    birth=BIRTH,
    sex=st.sampled_from("MFX"),
    optional=st.text(st.sampled_from("0123456789ABC"), max_size=7),
)
def test_what_is_built_is_parsed(
    format_: MrzFormat,
    surname: str,
    given_names: str,
    number: str,
    birth: date,
    sex: str,
    optional: str,
) -> None:
    code = {MrzFormat.TD3: "P", MrzFormat.MRV_A: "V", MrzFormat.MRV_B: "V"}.get(format_, "I")
    expiry = date(2030, 2, 28)
    zone = build_mrz(
        format_,
        document_code=code,
        issuing_state="D",
        surname=surname,
        given_names=given_names,
        document_number=number,
        nationality="UTO",
        date_of_birth=birth,
        sex=sex,
        date_of_expiry=expiry,
        optional_data=optional,
    )
    mrz = parse_mrz(zone, today=TODAY)
    assert mrz.format is format_
    assert mrz.is_proven
    fields = mrz.fields
    assert (fields.document_code, fields.issuing_state, fields.nationality) == (code, "D", "UTO")
    assert (fields.surname, fields.given_names) == (surname, given_names or None)
    assert (fields.document_number, fields.optional_data) == (number, optional or None)
    assert (fields.date_of_birth, fields.sex, fields.date_of_expiry) == (birth, sex, expiry)


@given(number=NUMBER, position=st.integers(0, 8), other=st.sampled_from("0123456789ABCDEFGHIJK<"))
def test_one_changed_character_is_seen_unless_equal_modulo_ten(
    number: str, position: int, other: str
) -> None:
    field = number.ljust(9, "<")
    changed = field[:position] + other + field[position + 1 :]

    def weight(character: str) -> int:
        return 0 if character == "<" else int(character, 36) % 10

    # 7, 3 and 1 have no common factor with 10, so only such pairs (6/G, 0/U, </K) hide.
    hidden = weight(field[position]) == weight(other)
    assert (check_digit(changed) == check_digit(field)) is hidden


@pytest.mark.parametrize("digit", ["<", "0"])
def test_an_empty_personal_number_has_either_digit(digit: str) -> None:
    zone = build_mrz(
        MrzFormat.TD3, document_code="P", document_number="1", empty_check=digit, **ERIKSSON
    )
    assert zone[1][42] == digit
    assert parse_mrz(zone, today=TODAY).is_proven


@pytest.mark.parametrize(
    ("birth", "today", "read"),
    [
        ("260101", date(2026, 11, 22), date(2026, 1, 1)),  # a child of this year
        ("261231", date(2026, 11, 22), date(1926, 12, 31)),  # not yet born otherwise
        ("740812", date(2026, 11, 22), date(1974, 8, 12)),
        ("74<<<<", date(2026, 11, 22), None),  # day and month unknown
        ("740230", date(2026, 11, 22), None),  # no such day
    ],
)
def test_century_of_birth(birth: str, today: date, read: date | None) -> None:
    person = ERIKSSON | {"date_of_birth": birth}
    zone = build_mrz(MrzFormat.TD3, document_code="P", document_number="1", **person)
    assert parse_mrz(zone, today=today).fields.date_of_birth == read


@pytest.mark.parametrize(
    ("expiry", "read"),
    [("950401", date(1995, 4, 1)), ("420401", date(2042, 4, 1)), ("<<<<<<", None)],
)
def test_century_of_expiry(expiry: str, read: date | None) -> None:
    person = ERIKSSON | {"date_of_expiry": expiry}
    zone = build_mrz(MrzFormat.TD3, document_code="P", document_number="1", **person)
    mrz = parse_mrz(zone, today=TODAY)
    assert mrz.fields.date_of_expiry == read
    assert mrz.is_proven


def test_each_digit_has_its_own_verdict() -> None:
    upper = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<"
    wrong_birth = "L898902C36UTO7408132F1204159ZE184226B<<<<<10"
    mrz = parse_mrz([upper, wrong_birth], today=TODAY)
    failed = {digit.name for digit in mrz.digits if not digit.passed}
    assert failed == {"date_of_birth", "composite"}
    assert mrz.proven_fields == {"document_number", "date_of_expiry", "personal_number"}


def test_frances_former_identity_card() -> None:
    """Its own layout: names in both lines, no expiry; the card of the decree's example."""
    upper = "IDFRABERTHIER<<<<<<<<<<<<<<<<<<<<<<<"
    lower = "8806923102858CORINNE<<<<<<<6512068F"
    lines = [upper, lower + check_digit(upper + lower)]
    mrz = parse_mrz(lines, today=TODAY)
    assert mrz.format is MrzFormat.FRA_ID
    assert mrz.is_proven
    assert (mrz.fields.surname, mrz.fields.given_names) == ("BERTHIER", "CORINNE")
    assert mrz.fields.document_number == "880692310285"
    assert mrz.fields.date_of_birth == date(1965, 12, 6)
