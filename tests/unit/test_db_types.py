import time
from datetime import date
from decimal import Decimal

import pytest

from db.types import clean_text, dump_json, signed64, uuid7


def test_ids_sort_by_the_time_of_their_making() -> None:
    made = []
    for _ in range(2_000):
        made.append(uuid7())
        time.sleep(0.000_001)
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_are_version_7_and_carry_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid7()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, 0), (2**63 - 1, 2**63 - 1), (2**63, -(2**63)), (2**64 - 1, -1)],
)
def test_hashes_fit_a_bigint(number: int, expected: int) -> None:
    assert signed64(number) == expected


def test_what_postgres_cannot_hold_is_replaced() -> None:
    assert clean_text("a\0b\ud800c\U0001f600") == "a\ufffdb\ufffdc\U0001f600"
    assert dump_json({"k\0": ["\0", "\\u0000"]}) == '{"k\ufffd":["\ufffd","\\\\u0000"]}'


def test_money_and_dates_are_strings() -> None:
    assert (
        dump_json({"t": Decimal("9.00"), "d": date(2026, 1, 2)}) == '{"t":"9.00","d":"2026-01-02"}'
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_json_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_json(value)
