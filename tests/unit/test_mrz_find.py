"""Finding zones among OCR lines, and repairing what something proves."""

from datetime import date

import pytest

from extraction.lines import Box, Line
from extraction.mrz import MrzFormat, Proof, build_mrz, find_mrz
from extraction.mrz.find import zone_text

TODAY = date(2026, 11, 22)
UPPER = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<"
LOWER = "L898902C36UTO7408122F1204159ZE184226B<<<<<10"


def page(*texts: str, top: float = 0.8) -> list[Line]:
    return [
        Line(text, Box(0.05, top + 0.05 * i, 0.95, top + 0.05 * i + 0.04), 0.9, 0)
        for i, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ((UPPER, LOWER), "as it is"),
        ((UPPER.replace("O", "0"), LOWER.replace("O", "0")), "names and states hold no digits"),
        ((UPPER.replace("S", "5").replace("I", "1"), LOWER), "5 for S and 1 for I in a name"),
        ((UPPER.lower().replace("i", "1"), LOWER), "lower case"),
        ((UPPER, LOWER.replace("7408122F1204159", "74O8I22F12O4IS9")), "letters in dates"),
        ((UPPER.replace("<", "‹"), LOWER.replace("<", "〈")), "fillers read as angle quotes"),  # noqa: RUF001
        ((UPPER.replace("<<", "«"), LOWER.replace("<<", "«")), "two fillers read as one sign"),
        ((UPPER[:-7], LOWER), "fillers missing at the end of the names"),
        ((UPPER + "<<<", LOWER), "surplus fillers behind the names"),
        ((UPPER[:25], LOWER), "no filler seen behind the names"),
        ((UPPER, LOWER.replace("<<<<<", "<<<")), "fillers missing in the personal number"),
        ((UPPER, LOWER.replace("<<<<<", "<<<<<<<<")), "surplus fillers there"),
        ((" ".join(UPPER), " ".join(LOWER)), "spaces between the characters"),
        ((LOWER, UPPER), "in the wrong order"),
        (("REPUBLIC OF UTOPIA", "12 AUG/AOUT 1974", UPPER, LOWER, "Not to scale"), "among others"),
        ((UPPER + LOWER,), "both lines in one"),
        ((UPPER[:30] + "K<<<C<<<<<<<<<"[:14], LOWER), "fillers read as letters behind the names"),
        (("PK" + UPPER[2:], LOWER), "no passport has the code PK"),
        ((UPPER, LOWER.replace("F1204159", "11204159")), "of M, F and the filler 1 is like F"),
        ((UPPER.replace("I", "\u30a8"), LOWER), "a Katakana letter for I"),
        ((UPPER.replace("P", "\u03a1", 1), LOWER), "a Greek rho for P"),
        ((UPPER, LOWER.replace("O", "\u041e")), "a Cyrillic O"),
        (("Pla<<of issue HELSINKI", UPPER, LOWER), "a label whose letters look like fillers"),
        (("|" + UPPER, LOWER), "an edge of the card before the line"),
        ((UPPER, LOWER.replace("L898902C3", "L8989O2C3")), "check digits prove the 0"),
        ((UPPER, LOWER.replace("L898902C3", "L8989OZC3")), "check digits prove both"),
    ],
)
def test_found_and_repaired(texts: tuple[str, ...], why: str) -> None:
    found = find_mrz(page(*texts), today=TODAY)
    assert found is not None, why
    assert found.mrz.lines == (UPPER, LOWER), why
    assert found.mrz.is_proven


@pytest.mark.parametrize(
    "texts",
    [
        (
            "IDCHES0002068<8<<<<<<<<<<<<<<<",
            "8102287F1301014CHE<<<<<<<<<<<4",
            "VADIS<<QU0<<<<<<<<<<",
        ),
        (
            "1DCHES0002068<8<<<<<<<<<<<<<<<<<",
            "8102287F1301014CHE<<<<<<<<4",
            "VAD1S<<QUO<<<<<<<<<<<<<",
        ),
        (
            "10CHES00020688<<<<<<<<<<<<<<<",
            "8102287F1301014CHE<<<<<<<<<<<4",
            "VADIS<<QUO<<<<<<<<<<<<<",
        ),
    ],
)
def test_td1(texts: tuple[str, ...]) -> None:
    found = find_mrz(page(*texts), today=TODAY)
    assert found is not None
    assert found.mrz.lines == (
        "IDCHES0002068<8<<<<<<<<<<<<<<<",
        "8102287F1301014CHE<<<<<<<<<<<4",
        "VADIS<<QUO<<<<<<<<<<<<<<<<<<<<",
    )


@pytest.mark.parametrize("format_", [MrzFormat.TD2, MrzFormat.MRV_A, MrzFormat.MRV_B])
def test_other_formats(format_: MrzFormat) -> None:
    zone = build_mrz(
        format_,
        document_code="I" if format_ is MrzFormat.TD2 else "V",
        issuing_state="D",
        surname="Mustermann",
        given_names="Erika",
        document_number="T22000129",
        nationality="D",
        date_of_birth=date(1964, 8, 12),
        sex="X",
        date_of_expiry=date(2027, 10, 31),
    )
    found = find_mrz(page(zone[0].replace("S", "5"), zone[1][:-3] + zone[1][-1]), today=TODAY)
    assert found is not None
    assert (found.mrz.format, found.mrz.lines) == (format_, zone)


def test_pieces_of_a_row_are_joined() -> None:
    def piece(text: str, left: float, right: float, top: float) -> Line:
        return Line(text, Box(left, top, right, top + 0.04), 0.9, 0)

    lines = [
        piece(LOWER[20:], 0.45, 0.95, 0.86),
        piece(UPPER[:18], 0.05, 0.42, 0.8),
        piece(LOWER[:20], 0.05, 0.43, 0.86),
        piece(UPPER[18:], 0.44, 0.95, 0.8),
    ]
    found = find_mrz(lines, today=TODAY)
    assert found is not None
    assert found.mrz.lines == (UPPER, LOWER)
    assert [[line.text for line in row] for row in found.lines] == [
        [UPPER[:18], UPPER[18:]],
        [LOWER[:20], LOWER[20:]],
    ]


def test_each_repair_says_what_proves_it() -> None:
    lower = LOWER.replace("L898902C3", "L8989O2C3")
    found = find_mrz(page(UPPER.replace("ERIKSSON", "ERIKSS0N"), lower), today=TODAY)
    assert found is not None
    assert found.mrz.repaired
    told = {(r.line, r.position, r.before, r.after, r.proof) for r in found.repairs}
    assert told == {(0, 11, "0", "O", Proof.ALPHABET), (1, 5, "O", "0", Proof.CHECK_DIGIT)}


def test_names_printed_on_the_page_tell_fillers_from_letters() -> None:
    noisy = "P<UTOERIKSSON<EANNACMARIACC<C<<<<<<<<<<<<<<<"
    assert len(noisy) == len(UPPER)
    printed = ("ERIKSSON", "ANNA MARIA")
    alone = find_mrz(page(noisy, LOWER), today=TODAY)
    found = find_mrz([*page(*printed, top=0.2), *page(noisy, LOWER)], today=TODAY)
    assert alone is not None
    assert found is not None
    assert alone.mrz.lines[0] != UPPER
    assert found.mrz.lines[0] == UPPER
    assert Proof.PRINTED in {repair.proof for repair in found.repairs}


def test_what_nothing_proves_stays_and_fails() -> None:
    wrong = LOWER.replace("L898902C3", "L898907C3")  # no look-alike leads back to the 2
    found = find_mrz(page(UPPER, wrong), today=TODAY)
    assert found is not None
    assert found.mrz.lines == (UPPER, wrong)
    assert {d.name for d in found.mrz.digits if not d.passed} == {"document_number", "composite"}
    assert not found.mrz.repaired


def test_6_and_g_are_equal_modulo_ten_and_stay_as_read() -> None:
    lower = LOWER.replace("ZE184226B", "ZE18422GB")
    found = find_mrz(page(UPPER, lower), today=TODAY)
    assert found is not None
    assert found.mrz.lines[1] == lower


@pytest.mark.parametrize(
    "texts",
    [
        (),
        ("TOTAL 12.00", "CASH 20.00", "CHANGE 8.00"),
        ("<<<<<<<<", "P<UTO"),
        ("<script>alert(1)</script>" * 3, "0123456789" * 5),
        (UPPER,),  # half a zone is none
        (LOWER,),
        ("P<" + "A" * 42, "1" * 44),
    ],
)
def test_no_zone(texts: tuple[str, ...]) -> None:
    assert find_mrz(page(*texts), today=TODAY) is None


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("P<UTO «ANNA", "P<UTO<<ANNA"),
        ("p<utol", "P<UTOI"),  # a small l is never a capital L
        ("P＜UTO", "P<UTO"),  # noqa: RUF001 - full width
        ("A<c<e<<", "A<<<<<<"),  # small letters between fillers are fillers
        ("\u200fP<\x00", "P<"),
        ("PヘCZE", "P<CZE"),
    ],
)
def test_zone_text(raw: str, text: str) -> None:
    assert zone_text(raw) == text


def test_an_empty_field_proves_nothing() -> None:
    """A passport has a digit more than a visa; that of an empty personal number says nothing."""
    upper = "V<ZMBMIRO<<AITANA<<<<<<<<<<<<<<<<<<<<<<<<<<<"
    lower = "UT7672G067ECU1705313F2110042<<<<<<<<<<<<<<<<"
    found = find_mrz(page("Place of issue: HUELVA", upper.replace("O", "0"), lower), today=TODAY)
    assert found is not None
    assert found.mrz.format is MrzFormat.MRV_A
    assert found.mrz.lines == (upper, lower)


def test_a_printed_number_mends_what_a_digit_alone_leaves_open() -> None:
    upper = "VCCLSOPONS<<MARYSE<CONSTANCE<<<<<<<<<<<<<<<<"
    lower = "S44B81J421ZAF6912048F0810016<<<<<<<<<<<<<<<<"
    misread = lower.replace("81J4", "8114")
    found = find_mrz(page("Visa No. S44B 81J42", upper, misread), today=TODAY)
    assert found is not None
    assert found.mrz.lines[1] == lower
    assert [repair.proof for repair in found.repairs] == [Proof.PRINTED]
    other = find_mrz(page("Visa No. S44B 99J42", upper, misread), today=TODAY)
    assert other is not None
    assert other.mrz.lines[1] != lower
