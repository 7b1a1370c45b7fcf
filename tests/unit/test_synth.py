"""Generated documents carry the truth about themselves."""

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from PIL import Image

from extraction.checks import Verdict, check_receipt
from extraction.document_types.passport import PASSPORT
from extraction.document_types.receipt import RECEIPT, Receipt
from extraction.lines import Box, Line
from extraction.mrz import MrzFormat
from extraction.mrz.parse import parse_mrz
from extraction.record import normalise_record
from trainer.synth import words
from trainer.synth.countries import choose_country, countries, label
from trainer.synth.degrade import degrade
from trainer.synth.document import SyntheticDocument, true_line
from trainer.synth.goods import choose_trade
from trainer.synth.holders import make_travel_document
from trainer.synth.ocr_noise import misread
from trainer.synth.passports import make_passport
from trainer.synth.receipts import make_receipt
from trainer.synth.sale import make_sale

FORMATS = (MrzFormat.TD1, MrzFormat.TD2, MrzFormat.TD3, MrzFormat.MRV_A, MrzFormat.MRV_B)


@pytest.fixture(scope="module")
def receipts() -> list[SyntheticDocument]:
    return [make_receipt(random.Random(seed)) for seed in range(60)]


@pytest.fixture(scope="module")
def passports() -> list[SyntheticDocument]:
    return [
        make_passport(random.Random(seed), mrz_format=FORMATS[seed % len(FORMATS)])
        for seed in range(30)
    ]


def leaves(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from leaves(child, f"{path}.{key}")
    elif isinstance(value, list):
        for child in value:
            yield from leaves(child, path)
    else:
        assert isinstance(value, str)
        yield path.removeprefix("."), value


def squeezed(document: SyntheticDocument) -> str:
    return " ".join(line.text for line in document.lines)


@pytest.mark.parametrize("make", [make_receipt, make_passport])
def test_the_same_seed_makes_the_same_page_and_answer(make: Any) -> None:
    first, second = make(random.Random(7)), make(random.Random(7))
    assert np.array_equal(np.asarray(first.image), np.asarray(second.image))
    assert (first.record, first.lines) == (second.record, second.lines)
    assert make(random.Random(8)).record != first.record


def test_another_process_makes_the_same_text() -> None:
    code = """
import random
from trainer.synth.addresses import seeded_faker
for locale in ("it_IT", "de_DE", "en_US", "tr_TR"):
    faker = seeded_faker(random.Random(3), locale)
    print([(faker.city(), faker.street_name(), faker.last_name()) for _ in range(9)])
"""
    made = {
        subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(made) == 1


def test_every_answer_of_a_receipt_is_printed_on_it(receipts: list[SyntheticDocument]) -> None:
    for document in receipts:
        text = squeezed(document)
        for path, raw in leaves(document.record):
            assert raw
            if path == "items.description":  # may go on below, after the figures of its first row
                assert all(word in text for word in raw.split())
            else:
                assert raw in text, (path, raw)


def test_every_answer_of_a_passport_is_printed_on_it(passports: list[SyntheticDocument]) -> None:
    for document in passports:
        texts = [line.text for line in document.lines]
        for path, raw in leaves(document.record):
            if path == "sex":
                assert any(raw in text.split("/") for text in texts)
            else:
                assert raw in texts, (path, raw)


def test_boxes_lie_on_the_page_and_have_ink(
    receipts: list[SyntheticDocument], passports: list[SyntheticDocument]
) -> None:
    for document in (*receipts, *passports):
        assert document.image.mode == "RGB"
        for line in document.lines:
            box = line.box
            assert 0 <= box.left < box.right <= 1, line
            assert 0 <= box.top < box.bottom <= 1, line
            assert line.text == line.text.strip() != ""


def test_no_text_of_a_receipt_lies_on_another(receipts: list[SyntheticDocument]) -> None:
    touching = 0
    for document in receipts:
        lines = document.lines
        touching += sum(
            lines[i].box.overlap(lines[j].box) > 0.2
            for i in range(len(lines))
            for j in range(i + 1, len(lines))
        )
    assert touching == 0


def texts_by_path(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path.removeprefix("."), value
        return
    assert isinstance(value, dict | list)
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        yield from texts_by_path(child, f"{path}.{key}")


def test_printed_amounts_pass_the_checks_that_callers_see(
    receipts: list[SyntheticDocument],
) -> None:
    verdicts: Counter[tuple[str, Verdict]] = Counter()
    for document in receipts:
        found = normalise_record(RECEIPT, dict(texts_by_path(document.record)))
        assert set(found.misfits) <= {"currency"}  # a bare $ belongs to many countries
        record = Receipt.model_validate(found.record.model_dump())
        for check in check_receipt(record, date(2026, 12, 31)):
            assert check.verdict is not Verdict.FAIL, (check, document.record)
            verdicts[check.name, check.verdict] += 1
    assert verdicts["items_sum", Verdict.PASS] > 40
    assert verdicts["total_identity", Verdict.PASS] > 15
    assert verdicts["payments", Verdict.PASS] > 40


def field_names(fields: Any) -> set[str]:
    return {field.name for field in fields}


def test_records_have_only_fields_of_their_type(
    receipts: list[SyntheticDocument], passports: list[SyntheticDocument]
) -> None:
    specs = {field.name: field for field in RECEIPT.fields}
    for document in receipts:
        assert set(document.record) <= set(specs)
        for name in ("items", "taxes", "payments"):
            for element in document.record.get(name, []):
                assert set(element) <= field_names(specs[name].children)
    for document in passports:
        assert set(document.record) <= field_names(PASSPORT.fields) | {"mrz"}


def test_a_tenth_of_the_receipts_lacks_something() -> None:
    documents = [make_receipt(random.Random(seed)).record for seed in range(300)]
    asked = {"merchant_name", "merchant_address", "transaction_date", "total"}
    share = sum(not asked <= set(record) for record in documents) / len(documents)
    assert 0.05 < share < 0.2


def test_sales_add_up() -> None:
    for seed in range(400):
        rng = random.Random(seed)
        country = choose_country(rng)
        sale = make_sale(rng, country, choose_trade(rng, country.language))
        for item in sale.items:
            gross = country.round(item.unit_price * item.quantity)
            assert gross - item.discount == item.total
        assert sum(item.total for item in sale.items) == sale.subtotal
        added = Decimal(0) if sale.inclusive else sale.tax_total
        assert (
            sale.subtotal - sale.discount + sale.service + sale.tip + added + sale.rounding
            == sale.total
        )
        assert sale.paid - sale.change == sale.total
        assert sale.change >= 0
        assert abs(sale.rounding) <= Decimal(country.cash_step) / 2


def test_malaysia_leads_and_every_country_occurs() -> None:
    drawn = Counter(choose_country(random.Random(seed)).code for seed in range(1500))
    assert 0.5 < drawn["MY"] / 1500 < 0.7
    assert set(drawn) == set(countries())


def test_every_label_exists_in_every_language() -> None:
    tills = words.bank("tills")
    for country in countries().values():
        for key in tills["en"]:
            assert label(random.Random(1), country, key)
        assert len(tills["months"][country.language]) == 12


@pytest.mark.parametrize("form", FORMATS)
def test_the_zone_is_valid_and_agrees_with_the_printed_fields(form: MrzFormat) -> None:
    for seed in range(60):
        document = make_travel_document(random.Random(seed), form)
        zone = parse_mrz(document.mrz)
        assert zone.format is form
        assert zone.is_proven
        assert zone.fields.issuing_state == document.printed.get(
            "issuing_country", zone.fields.issuing_state
        )
        number = document.printed["document_number"].replace(" ", "")
        assert zone.fields.document_number == number
        assert zone.fields.sex == document.printed.get("sex", zone.fields.sex)


def test_formats_occur_and_can_be_chosen() -> None:
    drawn = Counter(make_travel_document(random.Random(s), None).format for s in range(300))
    assert set(drawn) == set(FORMATS)
    assert drawn[MrzFormat.TD3] > 150


def test_states_include_germany_and_utopia_by_their_zone_codes() -> None:
    states = {
        make_travel_document(random.Random(seed), MrzFormat.TD3).mrz[0][2:5].strip("<")
        for seed in range(1200)
    }
    assert {"D", "UTO"} <= states
    assert "DEU" not in states
    assert len(states) > 120


def page_with_line() -> tuple[Image.Image, list[Line]]:
    image = Image.new("RGB", (400, 300), "white")
    image.paste((0, 0, 0), (100, 100, 220, 130))
    return image, [true_line("INK", (100, 100, 220, 130), 400, 300)]


def test_boxes_follow_the_ink_through_every_noise() -> None:
    for seed in range(60):
        image, lines = degrade(*page_with_line(), random.Random(seed), strength=1.6)
        box = lines[0].box
        width, height = image.size
        grey = np.asarray(image.convert("L"), dtype=float)
        inside = grey[
            round((box.top + box.height * 0.35) * height) : round(
                (box.bottom - box.height * 0.35) * height
            ),
            round((box.left + box.width * 0.1) * width) : round(
                (box.right - box.width * 0.1) * width
            ),
        ]
        assert np.median(inside) < 150


def test_strength_zero_leaves_the_page_alone() -> None:
    image, lines = page_with_line()
    same, kept = degrade(image, lines, random.Random(1), strength=0)
    assert np.array_equal(np.asarray(image), np.asarray(same))
    assert kept == lines


def test_misread_at_rate_zero_reads_the_truth(receipts: list[SyntheticDocument]) -> None:
    for document in receipts[:10]:
        read = misread(document.lines, random.Random(1), 0)
        assert sorted(line.text for line in read) == sorted(line.text for line in document.lines)


def test_misread_is_seeded_and_stays_close(receipts: list[SyntheticDocument]) -> None:
    wrong = total = 0
    for document in receipts:
        read = misread(document.lines, random.Random(3), 0.25)
        assert read == misread(document.lines, random.Random(3), 0.25)
        assert all(0 <= line.score <= 1 and line.text for line in read)
        truth = {line.text for line in document.lines}
        wrong += sum(line.text not in truth for line in read)
        total += len(read)
    assert 0.1 < wrong / total < 0.45


def test_misread_joins_neighbours_into_their_common_box() -> None:
    left = Line("TOTAL", Box(0.1, 0.5, 0.3, 0.53), 1.0, 0)
    right = replace(left, text="9.00", box=Box(0.32, 0.5, 0.4, 0.53))
    joined = [
        read[0].box
        for seed in range(40)
        if len(read := misread([left, right], random.Random(seed), 1.0)) == 1
    ]
    assert Box(0.1, 0.5, 0.4, 0.53) in joined
