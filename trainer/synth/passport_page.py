"""The data page of a travel document: background, portrait, labelled fields, zone in OCR-B."""

import random
from dataclasses import dataclass

from PIL import Image

from extraction.lines import Line
from extraction.mrz import MrzFormat
from trainer.synth.dice import chance, weighted
from trainer.synth.fonts import choose_face, font, ocr_b
from trainer.synth.holders import VISAS, TravelDocument
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
# Share of the page's width that the zone takes: characters at 2.54 mm.
_ZONE_WIDTH = {form: form.width * 2.54 / size[0] for form, size in _SIZES.items()}
_GRIDS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (
        ("document_type", "issuing_country", "document_number"),
        ("surname",),
        ("given_names",),
        ("nationality", "personal_number"),
        ("date_of_birth", "height"),
        ("sex", "place_of_birth"),
        ("date_of_issue", "issuing_authority"),
        ("date_of_expiry", "place_of_issue"),
    ),
    (
        ("document_type", "issuing_country", "document_number"),
        ("surname",),
        ("given_names",),
        ("nationality",),
        ("date_of_birth", "personal_number"),
        ("sex", "place_of_birth"),
        ("date_of_issue", "date_of_expiry"),
        ("issuing_authority", "place_of_issue"),
    ),
    (
        ("document_type", "issuing_country", "document_number"),
        ("surname", "given_names"),
        ("nationality", "sex"),
        ("date_of_birth", "place_of_birth"),
        ("date_of_issue", "place_of_issue"),
        ("date_of_expiry", "personal_number"),
        ("issuing_authority",),
    ),
    (
        ("surname",),
        ("given_names",),
        ("sex", "nationality", "date_of_birth"),
        ("personal_number", "document_number"),
        ("date_of_expiry", "document_type", "issuing_country"),
        ("place_of_birth", "date_of_issue"),
        ("issuing_authority",),
        ("place_of_issue",),
    ),
)


@dataclass(frozen=True)
class _Look:
    """What all text of one page shares."""

    label_face: str
    value_face: str
    label_ink: tuple[int, int, int]
    value_ink: tuple[int, int, int]
    label_size: float
    value_size: float
    numbered: bool
    joint: str


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
    look = _look(rng)
    left = portrait(rng, page, zone_top)
    top = _heading(rng, page, document, look, left)
    printed = _fields(rng, page, document, look, (left, top, zone_top))
    if chance(rng, 0.12):
        overprint(rng, page)
    return page, printed


def _look(rng: random.Random) -> _Look:
    family = weighted(rng, {"sans": 0.7, "mono": 0.18, "serif": 0.12})
    regular, bold = choose_face(rng, family)
    label = choose_face(rng, weighted(rng, {"sans": 0.8, "serif": 0.2}))
    tint = rng.choice(((20, 20, 20), (30, 50, 120), (120, 30, 40), (20, 90, 70), (70, 70, 70)))
    dark = rng.randint(0, 45)
    return _Look(
        label_face=label[0],
        value_face=bold if chance(rng, 0.3) else regular,
        label_ink=tint,
        value_ink=(dark, dark, dark),
        label_size=rng.uniform(0.0125, 0.0165),
        value_size=rng.uniform(0.022, 0.028),
        numbered=chance(rng, 0.12),
        joint=rng.choice(("/", " / ", "/ ", " · ")),
    )


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
    rng: random.Random, page: Page, document: TravelDocument, look: _Look, left: float
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


def _fields(
    rng: random.Random,
    page: Page,
    document: TravelDocument,
    look: _Look,
    area: tuple[float, float, float],
) -> dict[str, str]:
    """Label above value, row by row; what finds no room is not printed."""
    left, top, bottom = area
    grid = rng.choice(_GRIDS)
    texts = dict(document.printed)
    if "sex" in texts:
        texts["sex"] = document.sex_text
    if chance(rng, 0.15):
        texts["height"] = f"{rng.randint(150, 199)} CM"
    if document.format in VISAS and chance(rng, 0.5):
        texts["height"] = rng.choice(("MULT", "01", "02"))
    wanted = [[name for name in row if name in texts] for row in grid]
    wanted = [row for row in wanted if row]
    pitch = (bottom - top) / len(wanted)
    two_lines = len(document.languages) > 1 and pitch > 0.062 and chance(rng, 0.2)  # noqa: PLR2004 - of the width
    label_size = min(look.label_size, pitch * 0.3)
    value_size = min(look.value_size, pitch * 0.52)
    printed: dict[str, str] = {}
    for number, row in enumerate(wanted):
        y = top + number * pitch
        starts = _starts(rng, row, left)
        for index, name in enumerate(row):
            x = starts[index]
            room = (starts[index + 1] if index + 1 < len(row) else 0.975) - x - 0.012
            labels = _labels(document, name, look, two_lines=two_lines)
            for place, text in enumerate(labels):
                page.write(
                    x,
                    y + place * label_size,
                    text,
                    face=look.label_face,
                    size=label_size,
                    ink=look.label_ink,
                    room=room,
                )
            below = y + label_size * (len(labels) + 0.12)
            page.write(
                x + 0.004,
                below,
                texts[name],
                face=look.value_face,
                size=value_size,
                ink=look.value_ink,
                room=room,
            )
            if name in document.printed:
                printed[name] = document.printed[name]
    return printed


def _starts(rng: random.Random, row: list[str], left: float) -> list[float]:
    space = 0.975 - left
    if len(row) == 3 and row[0] == "document_type":  # noqa: PLR2004 - the usual first row
        return [left, left + space * 0.22, left + space * 0.55]
    if len(row) == 2 and row[0] == "sex":  # noqa: PLR2004 - a pair
        return [left, left + space * rng.choice((0.25, 0.5))]
    return [left + space * number / len(row) for number in range(len(row))]


def _labels(document: TravelDocument, name: str, look: _Look, *, two_lines: bool) -> list[str]:
    words = []
    for language in document.languages:
        labels = bank("travel")["labels"][language]
        text = labels[name]
        if document.format in VISAS and name == "document_number":
            text = labels["visa"].title() + " No."
        elif document.format in VISAS and name == "height":
            text = "Entries"
        elif document.format is not MrzFormat.TD3 and name == "document_number":
            text = "Document No." if language == "en" else "No."
        words.append(text)
    words = list(dict.fromkeys(words))
    if look.numbered and name != "signature":
        number = list(bank("travel")["labels"]["en"]).index(name) + 1
        words[0] = f"{number:02} {words[0]}" if two_lines else f"{number}. {words[0]}"
    if two_lines and len(words) > 1:
        return [words[0], look.joint.join(words[1:])]
    return [look.joint.join(words)]
