"""A copied text takes the page's spelling where the two nearly agree."""

import pytest

from extraction.document_types.base import FieldSpec, Kind
from extraction.evidence import Evidence
from extraction.lines import Box
from extraction.prompt import PromptStyle
from extraction.record import RawLeaf
from extraction.spelling import spelled
from extraction.traits import ModelTraits

READS = ModelTraits("v", sees_images=False, capitals=True)
SEES = ModelTraits("v", sees_images=True)
SMALL = ModelTraits("v", sees_images=True, style=PromptStyle.COMPACT)


def leaf(raw: str, kind: Kind = Kind.TEXT) -> RawLeaf:
    return RawLeaf("name", FieldSpec("name", kind), raw, 3, 3 + len(raw))


def place(text: str) -> Evidence:
    return Evidence(0, Box(0, 0, 1, 1), text)


@pytest.mark.parametrize(
    ("raw", "on_page", "kind", "traits", "expected", "why"),
    [
        ("25, JALAN MARTER PERDANA BARAT 2", "25, Jalan Metro Perdana Barat 2", Kind.TEXT, READS,
         "25, JALAN METRO PERDANA BARAT 2",
         "a slip of the copy"),
        ("MAXIMUM THAI", "MALLAN GIANT", Kind.TEXT, READS, "MAXIMUM THAI", "another text"),
        ("Aneka Sdn BHD", None, Kind.TEXT, READS, "ANEKA SDN BHD", "capitals without a place"),
        ("SANYU STATIONERY SHOP", "SANYU STATIONERYSHOP", Kind.TEXT, READS,
         "SANYU STATIONERY SHOP", "a space that the recogniser lost"),
        ("GRAND CITYHALL HOTEL", "Grand City Hall Hotel", Kind.TEXT, READS,
         "GRAND CITY HALL HOTEL", "a space that the model lost"),
        ("01-Nov-2017", None, Kind.DATE, READS, "01-NOV-2017", "a month in capitals"),
        ("24/5/18", "24/5/19", Kind.DATE, READS, "24/5/18", "dates are not spelled"),
        ("Metra", "Metro", Kind.TEXT, SEES, "Metra", "a model that sees is believed"),
        ("Aneka Interior Metra", "Aneka Interior Metro", Kind.TEXT, SMALL, "Aneka Interior Metro",
         "a small one is not"),
    ],
)  # fmt: skip
def test_spelling(
    raw: str, on_page: str | None, kind: Kind, traits: ModelTraits, expected: str, why: str
) -> None:
    found = spelled(leaf(raw, kind), place(on_page) if on_page else None, traits)
    assert found.raw == expected, why
    assert (found.start, found.end) == (3, 3 + len(raw))
