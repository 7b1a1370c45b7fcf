"""Each miss has the cause that a person would give it."""

import pytest
from error_causes import Cause, Mender, misses, why

LINES = [
    "GOLDEN NOODLES",
    "Owned by Harvest Trading Sdn Bhd",
    "12, JALAN A,",
    "TAMAN B,",
    "50000 KL",
]
ADDRESS = "12, JALAN A, TAMAN B, 50000 KL"


@pytest.mark.parametrize(
    ("field", "expected", "read", "cause", "detail"),
    [
        ("company", "GOLDEN NOODLES", "GOLDENNOODLES", Cause.FORMAT, "spaces"),
        ("company", "GOLDEN NOODLES", "Golden Noodles", Cause.FORMAT, "case"),
        ("address", ADDRESS, "12 JALAN A, TAMAN B, 50000 KL.", Cause.FORMAT, "punctuation"),
        ("total", "RM 9.00", "9.00", Cause.FORMAT, "currency sign"),
        ("date", "05 MAY 18", "05/05/2018", Cause.FORMAT, "the same day, written otherwise"),
        ("company", "OWNED BY HARVEST TRADING SDN BHD", "GOLDEN NOODLES",
         Cause.WRONG_LINE, "another text of the page"),
        ("company", "GOLDEN NOODLES", None, Cause.WRONG_LINE, "nothing was answered"),
        ("address", ADDRESS, "12, JALAN A, 50000 KL", Cause.WRONG_LINE, "a part of the value"),
        ("address", "TAMAN B, 50000 KL", ADDRESS, Cause.WRONG_LINE, "more than the value"),
        ("company", "HARVEST TRADING SDN BHD", "HARLAN GIANT SDN BHD",
         Cause.CHARACTERS, "written by the model, not on the page"),
        ("company", "GOLDEN NOODIES", "GOLDEN NOODLES", Cause.CHARACTERS, "misread by the OCR"),
        ("company", "WESTERN STATIONERS", "GOLDEN NOODLES",
         Cause.NOT_READ, "the OCR has nothing like it"),
    ],
)  # fmt: skip
def test_cause(field: str, expected: str, read: str | None, cause: Cause, detail: str) -> None:
    verdict = why(field, expected, read, LINES, [expected, *LINES])
    assert (verdict.cause, verdict.detail) == (cause, detail)


def test_an_answer_sheet_that_its_own_transcript_contradicts() -> None:
    verdict = why("company", "GOLDEN FOODS LTD", "GOLDEN NOODLES", LINES, LINES)
    assert verdict.cause is Cause.GROUND_TRUTH
    assert verdict.mender is Mender.NOBODY


def test_points_add_up_to_what_is_lost() -> None:
    rows = [
        {
            "id": "1",
            "scores": {"company": 50.0, "total": 100.0, "overall": 75.0},
            "read": {"company": "GOLDEN", "total": "9.00"},
        },
        {
            "id": "2",
            "scores": {"company": 100.0, "total": 0.0, "overall": 50.0},
            "read": {"company": "A", "total": None},
        },
    ]
    reference = {"fields": {"company": "GOLDEN NOODLES", "total": "9.00"}, "lines": []}
    found = misses(rows, {"1": reference, "2": reference}, {"1": LINES, "2": LINES})
    assert [(miss.id, miss.field) for miss in found] == [("2", "total"), ("1", "company")]
    assert sum(miss.points for miss in found) == pytest.approx(100 - (75 + 50) / 2)
