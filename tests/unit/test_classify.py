"""`auto`: what a document is, how sure that is, and that nothing crashes it."""

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction.classify import SHIPPED, TypeClassifier
from extraction.lines import Box, Line, LineReader
from extraction.mrz import find_mrz
from extraction.page_features import FEATURES, features_of
from extraction.page_words import WORDS, folded
from extraction.pages import load_pages
from trainer.synth.ocr_noise import misread
from trainer.synth.other_pages import KINDS, make_other_page
from trainer.synth.passports import make_passport
from trainer.synth.receipts import make_receipt

SEED = "held out"  # the shipped classifier was fitted with seed 17


@pytest.fixture(scope="module")
def classifier() -> TypeClassifier:
    return TypeClassifier.load(None)


def page_of(*texts: str, page: int = 0) -> list[Line]:
    return [
        Line(text, Box(0.1, 0.05 + 0.03 * i, 0.1 + 0.012 * len(text), 0.07 + 0.03 * i), 0.99, page)
        for i, text in enumerate(texts)
    ]


def read_from(folder: str, names: str, reader: LineReader) -> dict[str, list[Line]]:
    found = sorted(Path(folder).rglob(names))
    assert found, f"{folder} holds no {names}"
    return {
        path.name: [
            line for page in load_pages(path.read_bytes())[:3] for line in reader.read(page)
        ]
        for path in found
    }


@pytest.mark.parametrize(
    ("group", "text", "is_hit", "why"),
    [
        ("total", "TOTALSALES INCL.", True, "OCR runs words together"),
        ("total", "Gesamtbetrag", True, "within a compound"),
        ("birth_date", "DATEOFBIRTH", True, "a space may be missing"),
        ("surname", "PRÉNOM", False, "a short word counts only as a word of its own"),
        ("given_names", "PRÉNOM", True, "accents do not matter"),
        ("cash", "Barbara", False, "`bar` is no part of a name"),
        ("total", "合計 ¥500", True, "a script without word breaks"),
        ("receipt_title", "レシート", True, "composed kana are folded on both sides"),
    ],
)
def test_words_match_what_ocr_reads(group: str, text: str, is_hit: bool, why: str) -> None:
    assert bool(WORDS[group].search(folded(text))) is is_hit, why


def test_nothing_to_read_is_unknown_for_sure(classifier: TypeClassifier) -> None:
    assert (classifier.decide([]).name, classifier.decide([]).confidence) == ("unknown", 1.0)


def test_a_proven_zone_is_a_passport_whatever_else_is_on_the_page(
    classifier: TypeClassifier,
) -> None:
    zone = (
        "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
        "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
    )
    receipt = make_receipt(random.Random(1)).lines
    assert classifier.decide(receipt).name == "receipt"
    decision = classifier.decide([*receipt, *page_of(*zone, page=1)])
    assert (decision.name, decision.confidence > 0.99) == ("passport", True)


def test_a_few_clear_lines_are_enough(classifier: TypeClassifier) -> None:
    receipt = page_of(
        *("KEDAI RUNCIT MAJU", "TEL 03-1234567", "TAX INVOICE", "12/03/2018 14:22"),
        *("Milk 2 x 4.50 9.00", "SUBTOTAL 9.00", "GST 6% 0.54", "TOTAL RM 9.54"),
        *("CASH 10.00", "CHANGE 0.46", "THANK YOU"),
    )
    letter = page_of(
        "Dear Ms Miller,",
        "thank you for your letter of last week about our offer, which we have",
        "read with great interest and would like to discuss with you in our next",
        "Yours sincerely",
    )
    assert classifier.decide(receipt).name == "receipt"
    assert classifier.decide(letter).name == "unknown"


@pytest.mark.parametrize(
    ("make", "name", "least"),
    [(make_receipt, "receipt", 0.95), (make_passport, "passport", 0.97)],
)
def test_new_generated_documents_are_recognised(
    classifier: TypeClassifier, make: Callable[..., object], name: str, least: float
) -> None:
    count = 40
    right = 0
    for index in range(count):
        rng = random.Random(f"{SEED}/{name}/{index}")
        lines = misread(make(rng).lines, rng, 0.15)  # type: ignore[attr-defined]
        right += classifier.decide(lines).name == name
    assert right / count >= least


def test_other_pages_get_no_type(classifier: TypeClassifier) -> None:
    wrong: Counter[tuple[str, str]] = Counter()
    each = 6
    for kind in KINDS:
        for index in range(each):
            rng = random.Random(f"{SEED}/{kind}/{index}")
            decision = classifier.decide(misread(make_other_page(kind, rng), rng, 0.15))
            wrong[kind, decision.name] += decision.name != "unknown"
    assert sum(wrong.values()) <= 0.06 * each * len(KINDS), wrong.most_common(8)


def test_pages_of_one_document_are_weighed_together(classifier: TypeClassifier) -> None:
    pages = [make_receipt(random.Random(seed)).lines for seed in (3, 5, 8)]
    lines = [replace(line, page=index) for index, page in enumerate(pages) for line in page]
    assert classifier.decide(lines).name == "receipt"
    contract = [make_other_page("contract", random.Random(seed)) for seed in range(9)]
    pages = [pages[0], *contract]
    lines = [replace(line, page=index) for index, page in enumerate(pages) for line in page]
    assert classifier.decide(lines).name == "unknown"


@given(
    st.lists(
        st.builds(
            Line,
            text=st.text(min_size=1, max_size=60),
            box=st.builds(Box, *[st.floats(0, 1)] * 4),
            score=st.floats(0, 1),
            page=st.integers(0, 2),
            quarter_turns=st.integers(0, 3),
        ),
        max_size=12,
    )
)
@settings(max_examples=150, deadline=None)
def test_any_lines_get_a_decision(lines: list[Line]) -> None:
    decision = TypeClassifier.load(None).decide(lines)
    assert decision.name in {"receipt", "passport", "unknown"}
    assert 0.0 <= decision.confidence <= 1.0


def test_probabilities_sum_to_one(classifier: TypeClassifier) -> None:
    lines = make_receipt(random.Random(2)).lines
    features = features_of(lines, find_mrz(lines))
    assert features.shape == (len(FEATURES),)
    probabilities = classifier.probabilities(np.stack([features, features * 1e6, -features]))
    assert np.allclose(probabilities.sum(axis=1), 1.0)


def test_a_giant_page_costs_little(classifier: TypeClassifier) -> None:
    lines = page_of(*["Total 1.00 " * 200] * 5000)
    assert classifier.decide(lines).name in {"receipt", "unknown"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": ["other"]}, "other features"),
        ({"bias": [0.0]}, "wrong shapes"),
        ({"thresholds": {}}, "threshold"),
        ({"bias": [0.0, float("nan"), 0.0]}, "not finite"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "classifier.json"
    path.write_text(json.dumps({**json.loads(SHIPPED.read_text()), **change}))
    with pytest.raises(ValueError, match=message):
        TypeClassifier.load(path)


@pytest.mark.skipif(
    "DOCLOOP_PASSPORTS" not in os.environ, reason="DOCLOOP_PASSPORTS names no folder of specimens"
)
@pytest.mark.timeout(600)
def test_real_passports_are_passports(classifier: TypeClassifier) -> None:
    read = read_from(os.environ["DOCLOOP_PASSPORTS"], "*.[jp][pn]g", LineReader(1))
    wrong = {name: classifier.decide(lines) for name, lines in read.items()}
    wrong = {name: decision for name, decision in wrong.items() if decision.name != "passport"}
    assert not wrong


@pytest.mark.skipif("DOCLOOP_OLMOCR" not in os.environ, reason="DOCLOOP_OLMOCR names no folder")
@pytest.mark.timeout(900)
def test_real_pages_of_other_kinds_are_unknown(classifier: TypeClassifier) -> None:
    read = read_from(os.environ["DOCLOOP_OLMOCR"], "*.pdf", LineReader(1))
    wrong = {name: classifier.decide(lines) for name, lines in read.items()}
    wrong = {name: decision for name, decision in wrong.items() if decision.name != "unknown"}
    assert len(wrong) <= 0.05 * len(read), wrong


@pytest.mark.skipif("DOCLOOP_SROIE" not in os.environ, reason="DOCLOOP_SROIE names no folder")
@pytest.mark.timeout(900)
def test_real_receipts_that_were_not_trained_on_are_receipts(classifier: TypeClassifier) -> None:
    folder = Path(os.environ["DOCLOOP_SROIE"])
    rows = [json.loads(row) for row in (folder / "receipts.jsonl").read_text().splitlines()]
    held_out = rows[400:500:5]
    reader = LineReader(1)
    decisions = [
        classifier.decide(reader.read(load_pages((folder / row["image"]).read_bytes())[0]))
        for row in held_out
    ]
    assert sum(decision.name == "receipt" for decision in decisions) >= 0.95 * len(decisions)
