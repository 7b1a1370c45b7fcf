"""What a recogniser of many scripts reads wrongly is mended; what is meant stays."""

import pytest

from extraction.misreadings import mended
from tests.factories_lines import page_of

TILL = ("TAX INVOICE", "CASH 10.00", "CHANGE 1.00", "TOTAL 9.00")


def read(*texts: str) -> list[str]:
    return [line.text for line in mended(page_of(*texts))]


@pytest.mark.parametrize(
    ("text", "expected", "why"),
    [
        ("\u03a1OLAND", "POLAND", "a Greek rho in a Latin word"),
        ("S\u03bfNIA", "SoNIA", "a small omicron"),
        ("\u0420ASS\u0420ORT", "PASSPORT", "a Cyrillic er"),
        ("\u03a3\u03a5\u039d\u039fLO", "\u03a3\u03a5\u039d\u039fLO", "a letter that Latin lacks"),
        ("\u0418\u0422\u041e\u0413\u041e", "\u0418\u0422\u041e\u0413\u041e", "a Cyrillic word"),
        ("M\u00dcLLER \u00c5SA", "M\u00dcLLER \u00c5SA", "accents of a page that is not English"),
        ("TEL\uff1a03-4142", "TEL:03-4142", "a full-width colon"),
        ("\uff34\uff2f\uff34\uff21\uff2c", "TOTAL", "full-width letters"),
        ("\u5408\u8a08\uff1a500", "\u5408\u8a08\uff1a500", "a Japanese line keeps its own"),
        ("KMF FO0DICIOUS", "KMF FOODICIOUS", "a zero among capitals"),
        ("Clo0thing", "Cloothing", "among small letters"),
        ("0ct 3, 2016", "Oct 3, 2016", "October"),
        ("P0S022881", "P0S022881", "a code"),
        ("G30 RM0.20 10:00pm", "G30 RM0.20 10:00pm", "codes, amounts and times"),
        ("V<ESTTAMM<<J00K<<<<<<", "V<ESTTAMM<<J00K<<<<<<", "a zone has its own repairs"),
        ("12\u03a1OL<<<", "12POL<<<", "but no Greek"),
    ],
)
def test_a_line_is_mended(text: str, expected: str, why: str) -> None:
    assert read(text) == [expected], why


def test_a_stray_accent_goes_from_an_english_page() -> None:
    assert read(*TILL, "40170 SETIA \u00c1LAM")[-1] == "40170 SETIA ALAM"


@pytest.mark.parametrize(
    "texts",
    [
        (*TILL, "CAF\u00c9 \u00c0 LA CR\u00c8ME", "TH\u00c9"),
        ("FACTURE", "TOTAL 9,00", "CAF\u00c9"),
    ],
    ids=["many accents", "another language"],
)
def test_accents_that_belong_there_stay(texts: tuple[str, ...]) -> None:
    assert read(*texts) == list(texts)


def test_places_stay() -> None:
    before = page_of("TEL\uff1a1", "B")
    after = mended(before)
    assert [(line.box, line.score) for line in after] == [(line.box, line.score) for line in before]
