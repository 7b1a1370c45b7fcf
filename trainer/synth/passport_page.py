"""The data page of a travel document: background, portrait, labelled fields, zone in OCR-B."""

import random

from PIL import Image

from extraction.lines import Line
from extraction.mrz import MrzFormat
from trainer.synth.dice import chance, weighted
from trainer.synth.fonts import font, ocr_b
from trainer.synth.holders import VISAS, TravelDocument
from trainer.synth.passport_layouts import Area, Look, choose_look, write_fields
from trainer.synth.passport_paper import Page, background, overprint, portrait
from trainer.synth.words import bank

# Width by height in millimetres, Doc 9303 parts 4 to 7; a TD1 card's two sides stand as one page.
_SIZES = {
    MrzFormat.TD3: (125, 88),
    MrzFormat.TD1: (85.6, 54 * 1.25),
    MrzFormat.TD2: (105, 74),
    MrzFormat.MRV_A: (120, 80),
    MrzFormat.MRV_B: (105, 74),
}
_WIDTHS_PIXELS = {560: 1.0, 700: 2.0, 850: 2.0, 1000: 2.0, 1250: 1.5, 1500: 0.7}
_HEADING_LEFT = 0.3  # of the title, where the portrait is at the right
# Share of the page's width that the zone takes: characters at 2.54 mm.
_ZONE_WIDTH = {form: form.width * 2.54 / size[0] for form, size in _SIZES.items()}


def draw_page(
    rng: random.Random, document: TravelDocument
) -> tuple[Image.Image, list[Line], dict[str, str]]:
    """The page, its true lines, and the fields that found room on it."""
    page, printed = write_page(rng, document)
    return page.image, page.read(), printed


def write_page(rng: random.Random, document: TravelDocument) -> tuple[Page, dict[str, str]]:
    """The written page, and the fields that found room on it."""
    across, down = _SIZES[document.format]
    width = round(weighted(rng, _WIDTHS_PIXELS) * rng.uniform(0.9, 1.1))
    height = round(width * down / across)
    page = Page(background(rng, width, height))
    tall = height / width
    zone_top = _zone(rng, page, document, tall)
    look = choose_look(rng)
    left, right = portrait(rng, page, zone_top)
    top = _heading(rng, page, document, look, max(left, _HEADING_LEFT))
    printed = write_fields(rng, page, document, look, Area(left, top, right, zone_top))
    if chance(rng, 0.12):
        overprint(rng, page)
    return page, printed


def _zone(rng: random.Random, page: Page, document: TravelDocument, tall: float) -> float:
    """Writes the zone at the foot; returns where it begins."""
    share = min(0.94, _ZONE_WIDTH[document.format] * rng.uniform(0.96, 1.03))
    face = ocr_b(rng)
    columns = document.format.width
    sample = font(face, 100).getlength("0" * columns)
    size = share * 100 / sample
    pitch = size * rng.uniform(1.25, 1.75)
    count = len(document.mrz)
    top = tall - rng.uniform(0.025, 0.055) - count * pitch
    left = (1 - share) / 2 + rng.uniform(-0.015, 0.015)
    if chance(rng, 0.45):
        shade = rng.randint(232, 255)
        width = page.image.width
        page.pen.rectangle(
            (0, (top - 0.02) * width, width, page.image.height), fill=(shade, shade, shade - 4)
        )
    dark = rng.randint(0, 50)
    for number, line in enumerate(document.mrz):
        page.write(
            max(0.012, left),
            top + number * pitch,
            line,
            face=face,
            size=size,
            ink=(dark, dark, dark),
            room=0.975,
        )
    return top - 0.015


def _heading(
    rng: random.Random, page: Page, document: TravelDocument, look: Look, left: float
) -> float:
    """State and kind of document; returns where the fields may begin."""
    kind = (
        "visa"
        if document.format in VISAS
        else "passport"
        if document.format is MrzFormat.TD3
        else "card"
    )
    names = list(
        dict.fromkeys(bank("travel")["labels"][language][kind] for language in document.languages)
    )
    y, x = rng.uniform(0.018, 0.03), rng.choice((0.04, left))
    face, ink = look.value_face, look.label_ink
    size = rng.uniform(0.024, 0.034)
    title = document.title
    if x == left or len(names) == 1:
        page.write(x, y, title, face=face, size=size, ink=ink, room=0.96 - x)
        y += size * 1.35
        page.write(
            0.04 if x == left else x,
            y,
            look.joint.join(names),
            face=face,
            size=size * 0.7,
            ink=ink,
            room=left - 0.06,
        )
    else:
        for number, name in enumerate(names):
            page.write(
                0.04,
                y + number * size * 0.95,
                name,
                face=face,
                size=size * 0.72,
                ink=ink,
                room=left - 0.06,
            )
        page.write(left, y, title, face=face, size=size, ink=ink, room=0.96 - left)
    return y + size * 1.25
