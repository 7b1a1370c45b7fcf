"""Travel documents are judged by what they print and by what their zone writes."""

from accuracy_travel import Truth, judged, summary
from travel_pages import FORMATS, held_out

TRUTH = Truth(
    0,
    "TD3",
    "000.png",
    {"surname": "M\u00fcller", "date_of_birth": "01 FEB 80", "place_of_birth": "ULM"},
    (),
    {"surname": "MUELLER", "date_of_birth": "1980-02-01", "sex": "F"},
)


def right(**record: str) -> dict[str, bool]:
    return {verdict.name: verdict.right for verdict in judged(TRUTH, {"record": record})}


def test_the_printed_form_and_the_zones_are_both_right() -> None:
    for surname in ("M\u00dcLLER", "MUELLER"):
        assert right(
            surname=surname, date_of_birth="1980-02-01", sex="F", place_of_birth="Ulm"
        ) == {
            "surname": True,
            "date_of_birth": True,
            "sex": True,
            "place_of_birth": True,
        }
    assert not right(surname="MULLER")["surname"]


def test_an_invented_value_and_a_missing_answer_are_wrong() -> None:
    assert not right(issuing_authority="POLICE")["issuing_authority"]
    assert not any(right().values())
    found = list(judged(TRUTH, {"record": {"issuing_authority": "POLICE"}}))
    assert [verdict.name for verdict in found if verdict.invented] == ["issuing_authority"]
    assert {v.name for v in found if v.carried} == {"surname", "date_of_birth", "sex"}


def test_shares() -> None:
    row = {"format": "TD3", "zone_equal": True, "fields": []}
    fields = [
        {"name": "sex", "carried": True, "right": True, "as_printed": False, "invented": False},
        {"name": "sex", "carried": True, "right": False, "as_printed": False, "invented": False},
        {"name": "place_of_birth", "carried": False, "right": True, "as_printed": True,
         "invented": False},
    ]  # fmt: skip
    result = summary([{**row, "fields": fields}])
    assert result["carried"]["sex"] == {"documents": 2, "exact": 50.0, "as_printed": 0.0}
    assert result["printed_only"]["place_of_birth"]["exact"] == 100.0
    assert result["by_format"] == {"TD3": 50.0}


def test_the_same_number_draws_the_same_page_and_formats_take_turns() -> None:
    document, page = held_out(3)
    assert document.format is FORMATS[3]
    assert page.record["mrz"]["lines"] == list(document.mrz)
    assert held_out(3)[1].image.tobytes() == page.image.tobytes()
