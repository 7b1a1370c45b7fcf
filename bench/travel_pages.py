"""Data pages of travel documents in layouts that training never draws.

The generator of the training set (`trainer/synth/passport_layouts.py`) puts a label above its
value, around it, in the corner of its cell or in brackets behind it. Here the label stands beside
the value in a column of its own, below it, or before a colon, and the portrait at the right or at
the foot of the fields. The seeds begin with "held-out", as none of training's.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from PIL import Image

from extraction.mrz import MrzFormat
from trainer.synth.degrade import degrade
from trainer.synth.document import SyntheticDocument
from trainer.synth.fonts import choose_face, font, ocr_b
from trainer.synth.holders import TravelDocument, make_travel_document
from trainer.synth.passport_paper import Page, background
from trainer.synth.words import bank

FORMATS = (MrzFormat.TD3, MrzFormat.TD1, MrzFormat.TD2, MrzFormat.MRV_A, MrzFormat.MRV_B)
# Width by height in millimetres, Doc 9303 parts 4 to 7; a card's two sides stand as one page.
_SIZES = {
    MrzFormat.TD3: (125.0, 88.0),
    MrzFormat.TD1: (85.6, 70.0),
    MrzFormat.TD2: (105.0, 74.0),
    MrzFormat.MRV_A: (120.0, 80.0),
    MrzFormat.MRV_B: (105.0, 74.0),
}
_PITCH_MILLIMETRES = 2.54  # of the zone's characters
_RIGHT = 0.965
_ORDER = (
    "surname",
    "given_names",
    "document_number",
    "date_of_birth",
    "place_of_birth",
    "nationality",
    "sex",
    "personal_number",
    "issuing_authority",
    "date_of_expiry",
    "date_of_issue",
    "place_of_issue",
    "issuing_country",
    "document_type",
)
_DARK, _FACED = (28, 28, 30), (70, 74, 92)


@dataclass(frozen=True)
class _Sheet:
    """What a layout writes on, and where it may: lengths are ratios of the page's width."""

    page: Page
    top: float
    bottom: float
    labels: str
    values: str


def held_out(number: int) -> tuple[TravelDocument, SyntheticDocument]:
    """Document `number` and its page; the formats take turns, so do the layouts.

    The record has the fields that are printed, as they are printed, and the true zone.
    """
    rng = random.Random(f"held-out/travel/{number}")
    form = FORMATS[number % len(FORMATS)]
    layout = _LAYOUTS[number // len(FORMATS) % len(_LAYOUTS)]
    document = make_travel_document(rng, form)
    across, down = _SIZES[form]
    width = rng.choice((720, 900, 1100, 1300))
    page = Page(background(rng, width, round(width * down / across)))
    sheet = _Sheet(
        page,
        _heading(rng, page, document),
        _zone(rng, page, document),
        choose_face(rng, rng.choice(("sans", "serif")))[0],
        choose_face(rng, rng.choice(("sans", "sans", "mono")))[rng.random() < 0.4],  # noqa: PLR2004
    )
    layout(rng, sheet, document)
    image, lines = degrade(page.image, page.read(), rng, strength=0.8)
    record = {**document.printed, "mrz": {"lines": list(document.mrz)}}
    return document, SyntheticDocument("passport", image, lines, record)


def _heading(rng: random.Random, page: Page, document: TravelDocument) -> float:
    face = choose_face(rng, "serif")[1]
    size = rng.uniform(0.022, 0.03)
    length = font(face, 100).getlength(document.title) * size / 100
    page.write(
        max(0.03, 0.5 - length / 2), 0.02, document.title, face=face, size=size, ink=_DARK, room=0.9
    )
    return 0.025 + size * 1.3


def _zone(rng: random.Random, page: Page, document: TravelDocument) -> float:
    """Writes the zone at the foot; returns where it begins."""
    across, down = _SIZES[document.format]
    columns = document.format.width
    share = min(0.94, columns * _PITCH_MILLIMETRES / across)
    face = ocr_b(rng)
    size = share * 100 / font(face, 100).getlength("0" * columns)
    pitch = size * rng.uniform(1.35, 1.7)
    top = down / across - 0.035 - len(document.mrz) * pitch
    for number, line in enumerate(document.mrz):
        page.write(
            (1 - share) / 2,
            top + number * pitch,
            line,
            face=face,
            size=size,
            ink=(15, 15, 15),
            room=0.975,
        )
    return top - 0.015


def _texts(document: TravelDocument) -> Iterator[tuple[str, str]]:
    """Label and value of each printed field, in an order that training does not use."""
    words = bank("travel")["labels"]
    for name in _ORDER:
        if name in document.printed:
            languages = (document.languages[0], "en")
            label = " / ".join(dict.fromkeys(words[language][name] for language in languages))
            yield label, document.sex_text if name == "sex" else document.printed[name]


def _picture(page: Page, left: float, top: float, bottom: float, width: float) -> None:
    """A portrait that is nobody's."""
    pixels = page.image.width
    bottom = min(bottom, top + width * 1.28)
    box = tuple(round(edge * pixels) for edge in (left, top, left + width, bottom))
    page.pen.rectangle(box, fill=(206, 210, 218))
    middle, high = (box[0] + box[2]) // 2, box[3] - box[1]
    reach = (box[2] - box[0]) // 5
    page.pen.ellipse(
        (middle - reach, box[1] + high // 5, middle + reach, box[1] + high * 3 // 5),
        fill=(150, 122, 104),
    )
    page.pen.rectangle(
        (middle - 2 * reach, box[1] + high * 3 // 4, middle + 2 * reach, box[3]), fill=_FACED
    )


def _beside(rng: random.Random, sheet: _Sheet, document: TravelDocument) -> None:
    """One field a row, its label at the left of its value; the portrait at the right."""
    texts = list(_texts(document))
    pitch = min((sheet.bottom - sheet.top) / len(texts), 0.05)
    edge = rng.uniform(0.27, 0.31)
    _picture(sheet.page, 0.745, sheet.top + 0.01, sheet.bottom, 0.22)
    for row, (label, value) in enumerate(texts):
        y = sheet.top + row * pitch
        _put(
            sheet, sheet.labels, (0.04, y + pitch * 0.15), label, pitch * 0.42, edge - 0.06, _FACED
        )
        _put(sheet, sheet.values, (edge, y), value, pitch * 0.62, 0.725 - edge, _DARK)


def _below(rng: random.Random, sheet: _Sheet, document: TravelDocument) -> None:
    """Two columns, each value with its label in small print below it; the portrait at the right."""
    texts = list(_texts(document))
    height = (len(texts) + 1) // 2
    pitch = min((sheet.bottom - sheet.top) / height, 0.075)
    _picture(sheet.page, 0.77, sheet.top + 0.01, sheet.bottom, 0.195)
    second = rng.uniform(0.4, 0.42)
    for index, (label, value) in enumerate(texts):
        x = 0.04 if index < height else second
        room = (second if index < height else 0.755) - x - 0.02
        y = sheet.top + index % height * pitch
        _put(sheet, sheet.values, (x, y), value, pitch * 0.42, room, _DARK)
        _put(sheet, sheet.labels, (x, y + pitch * 0.5), label, pitch * 0.26, room, _FACED)


def _colon(rng: random.Random, sheet: _Sheet, document: TravelDocument) -> None:
    """Label, colon and value in one run of text, across the page; the portrait far down at left."""
    texts = list(_texts(document))
    pitch = min((sheet.bottom - sheet.top) / len(texts), 0.046)
    left = rng.uniform(0.3, 0.33)
    _picture(sheet.page, 0.04, max(sheet.top, sheet.bottom - 0.32), sheet.bottom - 0.01, 0.22)
    for row, (label, value) in enumerate(texts):
        y = sheet.top + row * pitch
        text = f"{label}: {value}"
        _put(sheet, sheet.values, (left, y), text, pitch * 0.6, _RIGHT - left, _DARK)


def _put(
    sheet: _Sheet,
    face: str,
    place: tuple[float, float],
    text: str,
    size: float,
    room: float,
    ink: tuple[int, int, int],
) -> None:
    size = min(size, 0.03)
    sheet.page.write(*place, text, face=face, size=size, ink=ink, room=room)


_Layout = Callable[[random.Random, _Sheet, TravelDocument], None]
_LAYOUTS: tuple[_Layout, ...] = (_beside, _below, _colon)


def sheet_of(pages: list[Image.Image], columns: int = 4, width: int = 420) -> Image.Image:
    """Pages side by side, to look at."""
    small = [page.resize((width, round(page.height * width / page.width))) for page in pages]
    height = max(page.height for page in small)
    rows = (len(small) + columns - 1) // columns
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    for index, page in enumerate(small):
        sheet.paste(page, (index % columns * width, index // columns * height))
    return sheet
