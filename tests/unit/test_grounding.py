"""An answer that is not on the page is brought back to it; one that is stays."""

import pytest

from extraction.document_types.receipt import RECEIPT
from extraction.evidence import EvidenceFinder
from extraction.grounding import copied, nearest_lines
from extraction.prompt import PromptStyle
from extraction.record import RawLeaf
from extraction.traits import ModelTraits
from tests.factories_lines import page_of

READS = ModelTraits("v", sees_images=False, capitals=True)
SEES = ModelTraits("v", sees_images=True)
# The default model's family with a tower: it was trained to copy lines where there are any.
SMALL = ModelTraits("v", sees_images=True, style=PromptStyle.COMPACT, capitals=True)
PAGE = page_of(
    ("7712", "V"),
    "Golden Harvest Noodles Sdn Bhd",
    "(770021-K)",
    "12, Jalan Kenanga 3,",
    "Taman Melati,",
    "53100 Kuala Lumpur",
    "Tel: 03-4107 2210",
    ("Date:", "14/05/2018 12:14"),
    ("Subtotal", "8.00"),
    ("Total", "8.50"),
    ("Cash", "10.00"),
)


def answer(traits: ModelTraits = READS, **texts: str) -> dict[str, str]:
    leaves = [RawLeaf(path, RECEIPT.field(path), raw, 0, len(raw)) for path, raw in texts.items()]
    finder = EvidenceFinder(PAGE)
    places = finder.find_all((leaf.path, leaf.raw, leaf.spec) for leaf in leaves)
    after, found = copied(leaves, places, finder, traits)
    assert set(found) == set(texts)
    return {leaf.path: leaf.raw for leaf in after}


@pytest.mark.parametrize(
    ("path", "raw", "expected", "why"),
    [
        ("merchant_name", "GOLDEN HAVANA MOODS SDN BHD", "GOLDEN HARVEST NOODLES SDN BHD",
         "half of it invented"),
        ("merchant_address", "12, JALAN KENANGA 3, 53100 KUALA LUMPUR",
         "12, JALAN KENANGA 3, 53100 KUALA LUMPUR", "lines that are all there stay"),
        ("merchant_address", "12, JALAN KENANGA KENANGA, TAMAN KENANGA 53100 KUALA LUMPUR",
         "12, JALAN KENANGA 3, TAMAN MELATI, 53100 KUALA LUMPUR", "words that nobody printed"),
        ("merchant_name", "SOMETHING ELSE", "SOMETHING ELSE", "nothing on the page is like it"),
        ("merchant_name", "(770021-K)", "GOLDEN HARVEST NOODLES SDN BHD", "a registration"),
        ("merchant_name", "12, Jalan Kenanga 3,", "GOLDEN HARVEST NOODLES SDN BHD", "an address"),
        ("transaction_date", "118", "14/05/2018", "no date"),
        ("transaction_date", "15/06/2018", "14/05/2018", "a date that is not there"),
        ("transaction_date", "14/05/2018", "14/05/2018", "the date"),
        ("total", "8.75", "8.50", "an amount that is not there"),
        ("total", "8.00", "8.00", "an amount of the page, whichever"),
    ],
)  # fmt: skip
def test_brought_back(path: str, raw: str, expected: str, why: str) -> None:
    assert answer(**{path: raw})[path] == expected, why


def test_an_address_twice_gives_the_name_above() -> None:
    address = "12, JALAN KENANGA 3, TAMAN MELATI, 53100 KUALA LUMPUR"
    read = answer(merchant_name=address, merchant_address=address)
    assert read["merchant_name"] == "GOLDEN HARVEST NOODLES SDN BHD"
    assert read["merchant_address"] == address


def test_a_model_that_sees_is_overruled_only_where_it_cannot_be_right() -> None:
    assert answer(SEES, merchant_name="Golden Havana Moods")["merchant_name"].endswith("Moods")
    assert answer(SEES, transaction_date="15/06/2018")["transaction_date"] == "15/06/2018"
    assert answer(SEES, transaction_date="118")["transaction_date"] == "14/05/2018"


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("merchant_name", "GOLDEN HAVANA MOODS SDN BHD"),
        ("merchant_name", "Golden Harvast Noodles Sdn Bhd"),
        ("merchant_address", "12, JALAN KENANGA KENANGA, TAMAN KENANGA 53100 KUALA LUMPUR"),
        ("transaction_date", "15/06/2018"),
        ("total", "8.75"),
        ("total", "8.00"),
    ],
)
def test_a_small_model_that_sees_copies_lines_as_one_that_does_not(path: str, raw: str) -> None:
    assert answer(SMALL, **{path: raw}) == answer(READS, **{path: raw})


def test_without_lines_a_model_that_sees_is_believed() -> None:
    leaf = RawLeaf("total", RECEIPT.field("total"), "8.75", 0, 4)
    name = RawLeaf("merchant_name", RECEIPT.field("merchant_name"), "Metra", 5, 10)
    after, _ = copied(
        [leaf, name], {"total": None, "merchant_name": None}, EvidenceFinder(()), SMALL
    )
    assert [leaf.raw for leaf in after] == ["8.75", "METRA"], "capitals are its own, lines or none"


def test_the_place_of_a_replaced_value_is_only_as_similar_as_the_answer_was() -> None:
    leaf = RawLeaf("transaction_date", RECEIPT.field("transaction_date"), "118", 0, 3)
    finder = EvidenceFinder(PAGE)
    (after,), places = copied([leaf], {leaf.path: None}, finder, READS)
    place = places[leaf.path]
    assert after.raw == "14/05/2018"
    assert place is not None
    assert place.text == "14/05/2018"
    assert place.similarity < 0.6


def test_a_line_with_a_telephone_number_is_no_part_of_an_address() -> None:
    texts = ["12 Jalan A", "50000 KL", "Tel: 03-4107 2210", "Thank you"]
    assert nearest_lines("12 JALAN A 50000 KLM Tel", texts, 7, 60) == "12 Jalan A 50000 KL"


def test_other_documents_are_left_alone() -> None:
    leaf = RawLeaf("merchant_phone", RECEIPT.field("merchant_phone"), "999", 0, 3)
    (after,), _ = copied([leaf], {leaf.path: None}, EvidenceFinder(PAGE), READS)
    assert after.raw == "999"
