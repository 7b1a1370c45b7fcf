"""Whole pages, photographs of them, and pages that are something else."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from tests.factories_glyphs import ink_shares
from trainer.synth.passports import make_passport
from trainer.synth.receipts import make_receipt, print_receipt
from trainer.synth.vision.__main__ import contact_sheet
from trainer.synth.vision.measured import reading_order, writing_of
from trainer.synth.vision.odd_pages import KINDS, make_odd_page
from trainer.synth.vision.pages import MOST_PIXELS, make_page, receipt, travel
from trainer.synth.vision.photo import photograph, photograph_document
from trainer.synth.vision.plate import Writing
from trainer.synth.vision.sheets import SHEETS
from trainer.synth.vision.warp import Pixels


def test_pages_agree_with_their_text_and_stay_small_enough() -> None:
    for seed in range(6):
        glyphs = make_page(random.Random(seed))
        assert glyphs.characters == "".join(glyphs.text.split())
        assert glyphs.boxes.shape == (len(glyphs.characters), 4)
        assert len(glyphs.characters) > 60
        assert max(glyphs.image.size) < 1.4 * MOST_PIXELS  # a photograph shows the table too


def test_a_seed_makes_one_page() -> None:
    first, again = (make_page(random.Random(11)) for _ in "ab")
    assert np.array_equal(np.asarray(first.image), np.asarray(again.image))
    assert first.text == again.text


@pytest.mark.parametrize("make", [receipt, travel])
def test_boxes_of_generated_documents_lie_on_ink_before_and_after_a_photograph(
    make: Callable[[random.Random], tuple[Pixels, Writing]],
) -> None:
    for seed in (1, 2):
        rng = random.Random(seed)
        pixels, writing = make(rng)
        image = Image.fromarray(pixels)
        flat = writing.within(*image.size).on(image)
        taken, moved = photograph(image, writing, rng)
        for glyphs in (flat, moved.within(*taken.size).on(taken)):
            inside, outside = ink_shares(glyphs)
            assert inside > 0.15
            assert inside > 2 * outside  # a portrait is dark too
        assert len(moved.within(*taken.size).characters) > 0.8 * len(writing.characters)


def test_a_receipts_text_is_what_the_till_printed() -> None:
    strip = print_receipt(random.Random(4)).sheet.lay_out(random.Random(5))
    writing = writing_of(reading_order(strip.runs, strip.width, strip.height))
    printed = "".join("".join(run.text.split()) for run in strip.runs)
    assert sorted(writing.characters) == sorted(printed)
    ink = strip.printed(0, 255)
    drawn = writing.within(*ink.size).on(ink)
    inside, outside = ink_shares(drawn)
    assert inside > 0.2
    assert inside > 3 * outside  # the ruled rows are no text


def test_a_photographed_document_keeps_its_record_and_its_lines() -> None:
    for make in (make_receipt, make_passport):
        document = make(random.Random(3))
        taken = photograph_document(document, random.Random(4))
        assert taken.record == document.record
        assert [line.text for line in taken.lines] == [line.text for line in document.lines]
        assert [line.box for line in taken.lines] != [line.box for line in document.lines]
        assert taken.image.size != document.image.size
        again = photograph_document(document, random.Random(4))
        assert np.array_equal(np.asarray(taken.image), np.asarray(again.image))


@pytest.mark.parametrize("number", range(len(SHEETS)))
def test_every_sheet_is_written_in_full(number: int) -> None:
    writing = SHEETS[number](random.Random(number)).writing
    assert len(writing.characters) > 80
    assert writing.text


@pytest.mark.parametrize("kind", KINDS)
def test_odd_pages(kind: str) -> None:
    glyphs = make_odd_page(kind, random.Random(6))
    assert glyphs.characters == "".join(glyphs.text.split())
    assert min(glyphs.image.size) > 400
    assert (len(glyphs.characters) == 0) == (kind in {"blank", "noise"})
    taken = make_odd_page(kind, random.Random(6), photo=True)
    assert taken.image.mode == "RGB"


def test_the_contact_sheet_shows_them_all() -> None:
    sheet = contact_sheet(2, fewer=10)
    assert sheet.width == 2400
    assert sheet.height > 2000
