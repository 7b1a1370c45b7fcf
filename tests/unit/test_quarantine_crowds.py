"""Many corrections together: floods, reviewers who differ, imports of real receipts."""

import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from db.queries.learning import Learnable
from extraction.document_types.base import Kind
from extraction.lines import Box, Line
from extraction.normalize import normalize
from extraction.places import amount_spans
from extraction.record import to_json
from tests.factories_learning import make_learnable, receipt_lines
from tests.factories_lines import page_of
from tests.factories_quarantine import RECEIPT, RECORD, SECTION, reasons, rules
from trainer.synth.ocr_noise import misread


def planted(
    number: int, wrong: Callable[[int], str], *, seconds: float = 0.1, **more: Any
) -> Learnable:
    """A receipt whose right total is changed to a wrong one."""
    right = f"{20 + number}.50"
    lines = receipt_lines(right)
    return make_learnable(
        lines,
        {"total": right},
        {"total": wrong(number)},
        content=f"planted {number}",
        seconds=number * seconds,
        **more,
    )


def test_a_diligent_clerk_is_no_flood() -> None:
    given = [make_learnable(receipt_lines(), RECORD, seconds=n) for n in range(120)]
    assert not any(reasons(*given))


def test_a_bulk_import_of_right_answers_is_no_flood() -> None:
    given = []
    for number in range(100):
        right = f"{20 + number}.50"
        record = {"total": "20.00" if number % 2 else None, "currency": None}
        said = {"total": right, "currency": "MYR"}
        given.append(make_learnable(receipt_lines(right), record, said, seconds=number / 50))
    assert not any(reasons(*given))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda _: "999.99",
        lambda number: f"{(20 + number) * 10 + 5}.00",
        lambda number: f"{120 + number}.50",
        # Each for itself could be a misreading: 0 for 8, at the end.
        lambda number: f"{20 + number}.58",
    ],
)
def test_a_flood_is_held_as_a_whole(wrong: Callable[[int], str]) -> None:
    key = uuid4()
    flood = [planted(number, wrong, key=key) for number in range(60)]
    honest = [
        make_learnable(receipt_lines(), {**RECORD, "total": None}, {"total": "9.00"}, seconds=1)
        for _ in range(60)
    ]
    found = rules(*flood, *honest)
    assert all("flood" in held for held in found[:60])
    assert not any(found[60:])
    assert "60 changes of one key" in reasons(*flood)[0]["flood"]


def test_one_change_less_or_more_time_is_no_flood() -> None:
    def alike(number: int) -> str:
        return f"{20 + number}.58"

    few = [planted(number, alike) for number in range(SECTION.flood_count - 1)]
    assert not any(reasons(*few))
    slow = [planted(number, alike, seconds=5.0) for number in range(60)]
    assert not any(reasons(*slow))


def test_what_stands_beside_a_flood_is_held_with_it() -> None:
    """Right ones among the planted do not make the others pass."""
    flood = [planted(number, lambda _: "999.99") for number in range(40)]
    right = [
        make_learnable(receipt_lines(), {**RECORD, "total": None}, {"total": "9.00"}, seconds=2)
        for _ in range(40)
    ]
    confirmed = make_learnable(receipt_lines(), RECORD, seconds=2)
    found = rules(*flood, *right, confirmed)
    assert all("flood" in held for held in found[:-1])
    assert found[-1] == set()


def judged(
    number: int, total: str, reviewer: str, lines: Sequence[Line] | None = None
) -> Learnable:
    return make_learnable(
        lines or receipt_lines(),
        {"total": None},
        {"total": total},
        content=f"shared {number}",
        reviewer=reviewer,
        seconds=number * 1000,
    )


def test_a_reviewer_who_differs_from_others_is_held_throughout() -> None:
    others = [judged(n, "9.00", name) for n in range(12) for name in ("ann", "bob")]
    eve = uuid4()
    wrong = [
        make_learnable(
            receipt_lines(),
            {"total": None},
            {"total": "20.00" if n < 6 else "9.00"},
            content=f"shared {n}",
            reviewer="eve",
            key=eve,
            seconds=n * 1000,
        )
        for n in range(12)
    ]
    alone = make_learnable(receipt_lines(), RECORD, reviewer="eve", key=eve)
    found = reasons(*others, *wrong, alone)
    assert not any(found[:24])
    assert all("disagrees" in held for held in found[24:])
    assert "of 12 fields" in found[-1]["disagrees"]
    assert "differs in 6" in found[-1]["disagrees"]


def test_of_two_who_differ_the_one_whom_the_page_refutes_is_charged() -> None:
    """Also where the one has overruled the other, and is alone in force."""
    unread = page_of("TOTAL RM 9.00", "a", "b", score=0.6)
    ann = [judged(n, "9.00", "ann", unread) for n in range(12)]
    bob = [judged(n, "7.77", "bob", unread) for n in range(12)]
    found = rules(*ann, superseded=bob)
    assert not any(found)
    assert all(held == {"disagrees"} for held in rules(*bob, superseded=ann))
    # The page says nothing: both wait.
    blank = page_of("a", "b", score=0.6)
    ann = [judged(n, "9.00", "ann", blank) for n in range(12)]
    bob = [judged(n, "7.77", "bob", blank) for n in range(12)]
    assert all(held == {"disagrees"} for held in rules(*ann, *bob))


def test_who_changes_his_own_mind_disagrees_with_nobody() -> None:
    first = [judged(n, "20.00", "ann") for n in range(12)]
    second = [judged(n, "9.00", "ann") for n in range(12)]
    assert not any(rules(*second, superseded=first))


NAMES = {
    "company": "merchant_name",
    "date": "transaction_date",
    "address": "merchant_address",
    "total": "total",
}


@pytest.fixture(scope="module")
def sroie() -> list[tuple[list[Line], dict[str, Any]]]:
    """Lines with an OCR's typical errors, and the right record, of 300 receipts."""
    folder = os.environ.get("DOCLOOP_SROIE")
    if not folder:
        pytest.skip("DOCLOOP_SROIE names no folder with receipts.jsonl")
    found = []
    rows = (Path(folder) / "receipts.jsonl").read_text().splitlines()[:300]
    for number, text in enumerate(rows):
        row = json.loads(text)
        lines = [Line(line["text"], Box(*line["bbox"]), 0.98, 0) for line in row["lines"]]
        truth = {
            name: to_json(normalize(RECEIPT.field(name).kind, row["fields"].get(key) or ""))
            for key, name in NAMES.items()
        }
        known = {name: value for name, value in truth.items() if value is not None}
        found.append((misread(lines, random.Random(number), 0.15), known))
    return found


def weak_answer(
    lines: Sequence[Line], truth: Mapping[str, Any], rng: random.Random
) -> dict[str, Any]:
    """What a weak model reads: half is right, the rest is absent or another text of the page."""
    record: dict[str, Any] = {}
    for name, value in truth.items():
        kind = RECEIPT.field(name).kind
        draw = rng.random()
        if draw < 0.5:
            record[name] = value
        elif draw < 0.6:
            record[name] = None
        elif kind is Kind.TEXT:
            record[name] = rng.choice(lines).text
        else:
            texts = [line.text[s:e] for line in lines for s, e in amount_spans(line.text)]
            values = [to_json(normalize(kind, text)) for text in texts]
            record[name] = rng.choice([one for one in values if one is not None] or [None])
    return record


def test_honest_corrections_of_real_receipts_mostly_pass(
    sroie: list[tuple[list[Line], dict[str, Any]]],
) -> None:
    """As one bulk import from one key, within a minute."""
    rng = random.Random(5)
    given = []
    for number, (lines, truth) in enumerate(sroie):
        record = weak_answer(lines, truth, rng)
        said = {name: value for name, value in truth.items() if record.get(name) != value}
        given.append(make_learnable(lines, record, said or None, seconds=number / 5))
    held = [found for found in rules(*given) if found]
    assert not any("flood" in found for found in held)
    assert len(held) / len(given) <= 0.03, held


@pytest.mark.parametrize("count", [1, 10, 250])
@pytest.mark.parametrize("way", ["random", "tenfold", "constant", "more"])
def test_planted_totals_on_real_receipts_are_held(
    count: int, way: str, sroie: list[tuple[list[Line], dict[str, Any]]]
) -> None:
    rng = random.Random(f"{count}{way}")
    chosen = [item for item in sroie if "total" in item[1]]
    key, given = uuid4(), []
    for number, (lines, truth) in enumerate(rng.sample(chosen, count)):
        right = Decimal(truth["total"])
        wrong = {
            "random": Decimal(rng.randint(100_000, 999_999)) / 100,
            "tenfold": right * 10,
            "constant": Decimal("4321.99"),
            "more": right + 1000,
        }[way]
        said = {"total": format(wrong, "f")}
        given.append(make_learnable(lines, truth, said, key=key, seconds=number / 10))
    found = rules(*given)
    assert sum(map(bool, found)) == count
