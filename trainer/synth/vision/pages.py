"""Whole pages with the place of every glyph: receipts, travel documents, letters and forms."""

import random

import cv2
import numpy as np
from PIL import Image

from trainer.synth.dice import weighted
from trainer.synth.holders import make_travel_document
from trainer.synth.passport_page import write_page
from trainer.synth.receipts import print_receipt
from trainer.synth.vision.measured import reading_order, writing_of
from trainer.synth.vision.paper import RECEIPT_PAPERS, ink_on_paper
from trainer.synth.vision.photo import photograph
from trainer.synth.vision.plate import Glyphs, Writing
from trainer.synth.vision.sheets import form, invoice, letter, mixed, ticket
from trainer.synth.vision.warp import Pixels
from trainer.synth.vision.wear import wear_lightly

MOST_PIXELS = 1600
_LEAST_RECEIPT_TYPE = 0.55  # below, the letters of a long receipt cannot be read
_SHEETS = {"letter": letter, "form": form, "invoice": invoice, "ticket": ticket, "mixed": mixed}
_KINDS = {
    "receipt": 4.5,
    "travel": 2.0,
    "form": 1.1,
    "letter": 0.9,
    "mixed": 0.9,
    "invoice": 0.8,
    "ticket": 0.8,
}
_WEAR = {"none": 0.12, "light": 0.66, "photo": 0.22}


def make_page(rng: random.Random) -> Glyphs:
    """A whole page of any proportions, at most 1600 pixels high and wide.

    Clean, as a scanner sends it, or as a telephone takes it.

    Args:
        rng: the only source of randomness.
    """
    pixels, writing = drawn_page(rng)
    wear = weighted(rng, _WEAR)
    image = Image.fromarray(pixels)
    if wear == "light":
        image, writing = wear_lightly(pixels, writing, rng)
    elif wear == "photo":
        image, writing = photograph(image, writing, rng)
    return writing.within(image.width, image.height).on(image)


def drawn_page(rng: random.Random) -> tuple[Pixels, Writing]:
    """A page as it leaves the printer."""
    kind = weighted(rng, _KINDS)
    if kind == "receipt":
        return receipt(rng)
    if kind == "travel":
        return travel(rng)
    plate = _SHEETS[kind](rng)
    return ink_on_paper(rng, plate.ink, colour=True), plate.writing


def receipt(rng: random.Random) -> tuple[Pixels, Writing]:
    """A till's receipt, mostly on thermal paper."""
    while True:
        strip = print_receipt(rng).sheet.lay_out(rng)
        share = min(rng.uniform(0.6, 1.0), MOST_PIXELS / strip.height, MOST_PIXELS / strip.width)
        if share > _LEAST_RECEIPT_TYPE:
            break
    ink = np.asarray(strip.printed(0, 255))
    writing = writing_of(reading_order(strip.runs, strip.width, strip.height))
    ink, writing = _smaller(ink, writing, share, narrow=rng.choice((1, 1, 1, 0.8, 0.88, 1.1)))
    return ink_on_paper(rng, ink, RECEIPT_PAPERS, colour=True), writing


def travel(rng: random.Random) -> tuple[Pixels, Writing]:
    """A data page with its zone, in colour."""
    page, _ = write_page(rng, make_travel_document(rng, None))
    width, height = page.image.size
    writing = writing_of(reading_order(page.runs, width, height))
    share = min(1.0, MOST_PIXELS / width, MOST_PIXELS / height)
    return _smaller(np.asarray(page.image.convert("RGB")), writing, share)


def _smaller(
    pixels: Pixels, writing: Writing, share: float, narrow: float = 1.0
) -> tuple[Pixels, Writing]:
    """The picture with sides `share` as long (at most 1), its width times `narrow` besides."""
    if share * narrow >= 1:
        return pixels, writing
    height, width = pixels.shape[:2]
    size = max(1, int(width * share * narrow)), max(1, int(height * share))
    scale = np.array([size[0] / width, size[1] / height] * 2, dtype=np.float32)
    small: Pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return small, Writing(writing.characters, writing.gaps, writing.boxes * scale)
