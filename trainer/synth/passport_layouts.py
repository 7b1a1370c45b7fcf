"""How labels and values of a travel document are arranged: rows of cells, each in one style.

    above      label in small print, value below it
    sandwiched label in one language above the value, in another below it
    boxed      a ruled cell, the label in its corner, the value in its middle
    after      the value, and behind it its label in small print and brackets

Values that no field asks for (colour of eyes, an access number) stand among them. The layouts of
`bench/travel_pages.py` are kept out: there labels stand beside, below or before their values.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from extraction.mrz import MrzFormat
from trainer.synth.dice import chance, pattern, weighted
from trainer.synth.fonts import choose_face, font
from trainer.synth.holders import VISAS, TravelDocument
from trainer.synth.passport_paper import Page
from trainer.synth.words import bank

_USUAL_GRIDS: tuple[tuple[tuple[str, ...], ...], ...] = (
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
_USUAL = 0.4  # share of pages with a grid as real documents have it; the others are drawn
_STYLES = {"above": 0.55, "sandwiched": 0.15, "boxed": 0.15, "after": 0.15}
_MOST_IN_ROW, _MOST_ROWS = 3, 8
_SPARSE = 0.3  # share of pages that print only some of the fields that states leave out
_LEFT_OUT = (
    *("place_of_birth", "date_of_issue", "place_of_issue", "issuing_authority"),
    *("personal_number", "document_type", "issuing_country", "nationality", "sex"),
)


@dataclass(frozen=True)
class Look:
    """What all text of one page shares.

    Attributes:
        label_size: of labels, as a ratio of the page's width.
        value_size: of values, likewise.
        number: format of a field's number before its label; "" where fields have none.
        joint: stands between the languages of a label.
    """

    label_face: str
    value_face: str
    label_ink: tuple[int, int, int]
    value_ink: tuple[int, int, int]
    label_size: float
    value_size: float
    number: str
    joint: str


@dataclass(frozen=True)
class Area:
    """Where fields may stand, as ratios of the page's width."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class _Cell:
    """The place of one field, and how it is written there."""

    page: Page
    look: Look
    area: Area
    labels: Sequence[str]
    value: str

    def write(
        self, x: float, y: float, text: str, *, is_label: bool, size: float, room: float
    ) -> None:
        self.page.write(
            x,
            y,
            text,
            face=self.look.label_face if is_label else self.look.value_face,
            size=size,
            ink=self.look.label_ink if is_label else self.look.value_ink,
            room=room,
        )

    @property
    def room(self) -> float:
        return self.area.right - self.area.left - 0.012

    @property
    def label_size(self) -> float:
        return min(self.look.label_size, (self.area.bottom - self.area.top) * 0.3)

    @property
    def value_size(self) -> float:
        return min(self.look.value_size, (self.area.bottom - self.area.top) * 0.52)

    @property
    def label(self) -> str:
        return self.look.joint.join(self.labels)


def choose_look(rng: random.Random) -> Look:
    """Faces, inks and sizes of one state's documents."""
    family = weighted(rng, {"sans": 0.7, "mono": 0.18, "serif": 0.12})
    regular, bold = choose_face(rng, family)
    label = choose_face(rng, weighted(rng, {"sans": 0.8, "serif": 0.2}))
    tint = rng.choice(((20, 20, 20), (30, 50, 120), (120, 30, 40), (20, 90, 70), (70, 70, 70)))
    dark = rng.randint(0, 45)
    return Look(
        label_face=label[0],
        value_face=bold if chance(rng, 0.3) else regular,
        label_ink=tint,
        value_ink=(dark, dark, dark),
        label_size=rng.uniform(0.0125, 0.0165),
        value_size=rng.uniform(0.022, 0.028),
        number=rng.choice(("{}. ", "{:02} ")) if chance(rng, 0.12) else "",
        joint=rng.choice(("/", " / ", "/ ", " · ")),
    )


def write_fields(
    rng: random.Random, page: Page, document: TravelDocument, look: Look, area: Area
) -> dict[str, str]:
    """Writes the fields into an area; returns those that are printed, as they are printed."""
    texts = _texts(rng, document)
    usual = chance(rng, _USUAL)
    grid = rng.choice(_USUAL_GRIDS) if usual else _drawn_grid(rng, list(texts))
    rows = [[name for name in row if name in texts] for row in grid]
    rows = [row for row in rows if row]
    pitch = (area.bottom - area.top) / len(rows)
    style = "above" if usual else weighted(rng, _STYLES)
    if style == "above" and pitch > 0.062 and chance(rng, 0.2):  # noqa: PLR2004 - of the width
        style = "below_two"
    for number, row in enumerate(rows):
        top = area.top + number * pitch
        starts = [*_starts(rng, row, area), area.right]
        for index, name in enumerate(row):
            place = Area(starts[index], top, starts[index + 1], top + pitch)
            _WRITERS[style](_Cell(page, look, place, _labels(document, name, look), texts[name]))
    return {name: document.printed[name] for name in texts if name in document.printed}


def _texts(rng: random.Random, document: TravelDocument) -> dict[str, str]:
    """What is printed, by field; what is no field stands among it."""
    texts = dict(document.printed)
    if "sex" in texts:
        texts["sex"] = document.sex_text
    if chance(rng, _SPARSE):
        for name in _LEFT_OUT:
            if chance(rng, 0.5):
                texts.pop(name, None)
    return texts | _no_fields(rng, document)


def _drawn_grid(rng: random.Random, names: list[str]) -> list[list[str]]:
    """The names in any order, in rows of one to three, few enough to be read."""
    rng.shuffle(names)
    least = -(-len(names) // _MOST_IN_ROW)
    count = rng.randint(least, max(least, min(len(names), _MOST_ROWS)))
    sizes = [len(names) // count + (row < len(names) % count) for row in range(count)]
    rng.shuffle(sizes)
    rest = iter(names)
    return [list(islice(rest, size)) for size in sizes]


def _starts(rng: random.Random, row: Sequence[str], area: Area) -> list[float]:
    space = area.right - area.left
    if len(row) == 3 and row[0] == "document_type":  # noqa: PLR2004 - the usual first row
        return [area.left, area.left + space * 0.22, area.left + space * 0.55]
    if len(row) == 2 and row[0] == "sex":  # noqa: PLR2004 - a pair
        return [area.left, area.left + space * rng.choice((0.25, 0.5))]
    return [area.left + space * number / len(row) for number in range(len(row))]


def _above(cell: _Cell) -> None:
    _below_labels(cell, [cell.label])


def _below_two(cell: _Cell) -> None:
    """The first language on a line of its own, the others below it."""
    rest = cell.look.joint.join(cell.labels[1:])
    _below_labels(cell, [cell.labels[0], *([rest] if rest else [])])


def _below_labels(cell: _Cell, labels: Sequence[str]) -> None:
    for place, text in enumerate(labels):
        y = cell.area.top + place * cell.label_size
        cell.write(cell.area.left, y, text, is_label=True, size=cell.label_size, room=cell.room)
    below = cell.area.top + cell.label_size * (len(labels) + 0.12)
    x = cell.area.left + 0.004
    cell.write(x, below, cell.value, is_label=False, size=cell.value_size, room=cell.room)


def _sandwiched(cell: _Cell) -> None:
    tall = cell.area.bottom - cell.area.top
    size, value_size = min(cell.label_size, tall * 0.24), min(cell.value_size, tall * 0.42)
    x, y = cell.area.left, cell.area.top
    cell.write(x, y, cell.labels[0], is_label=True, size=size, room=cell.room)
    cell.write(x, y + size * 1.1, cell.value, is_label=False, size=value_size, room=cell.room)
    if len(cell.labels) > 1:
        text, below = cell.look.joint.join(cell.labels[1:]), y + size * 1.15 + value_size
        cell.write(x, below, text, is_label=True, size=size, room=cell.room)


def _boxed(cell: _Cell) -> None:
    width, area = cell.page.image.width, cell.area
    edges = (area.left, area.top, area.right - 0.004, area.bottom - 0.004)
    cell.page.pen.rectangle([edge * width for edge in edges], outline=cell.look.label_ink)
    cell.write(
        area.left + 0.004,
        area.top + 0.003,
        cell.label,
        is_label=True,
        size=cell.label_size * 0.9,
        room=cell.room,
    )
    size = cell.value_size * 0.9
    length = font(cell.look.value_face, 100).getlength(cell.value) * size / 100
    x = area.left + max(0.006, (area.right - area.left - length) / 2)
    y = area.top + cell.label_size * 1.15
    cell.write(x, y, cell.value, is_label=False, size=size, room=area.right - x - 0.008)


def _after(cell: _Cell) -> None:
    size = min(cell.look.value_size, (cell.area.bottom - cell.area.top) * 0.72)
    room = cell.room * 0.6
    cell.write(cell.area.left, cell.area.top, cell.value, is_label=False, size=size, room=room)
    length = min(room, font(cell.look.value_face, 100).getlength(cell.value) * size / 100)
    x = cell.area.left + length + 0.012
    cell.write(
        x,
        cell.area.top + size * 0.3,
        f"({cell.label})",
        is_label=True,
        size=min(cell.look.label_size, size * 0.65),
        room=cell.area.right - x - 0.012,
    )


_WRITERS: Mapping[str, Callable[[_Cell], None]] = {
    "above": _above,
    "below_two": _below_two,
    "sandwiched": _sandwiched,
    "boxed": _boxed,
    "after": _after,
}


def _no_fields(rng: random.Random, document: TravelDocument) -> dict[str, str]:
    """What stands on the page and is no field that is asked for."""
    texts = {
        "height": f"{rng.randint(150, 199)} CM",
        "eye_colour": rng.choice(("BROWN", "BLUE", "GREEN", "GREY", "BRAUN", "MARRON")),
        "access_number": pattern(rng, "######"),
        "holder_no": pattern(rng, rng.choice(("###/##", "@#-####", "## ## ##"))),
    }
    if document.format in VISAS:
        texts |= {
            "entries": rng.choice(("MULT", "01", "02")),
            "stay": rng.choice(("30", "90", "180 DAYS", "015")),
            "valid_from": pattern(rng, f"{rng.randint(1, 28):02}.0{rng.randint(1, 9)}.201#"),
        }
    share = 0.35 if document.format in VISAS else 0.12
    return {name: text for name, text in texts.items() if chance(rng, share)}


def _labels(document: TravelDocument, name: str, look: Look) -> list[str]:
    """The labels of a field in the document's languages, each once."""
    travel, words = bank("travel"), []
    for language in document.languages:
        labels = travel["labels"][language]
        if name in labels:
            text = labels[name]
        else:
            text = travel["beside"].get(language, travel["beside"]["en"])[name]
        if document.format in VISAS and name == "document_number":
            text = labels["visa"].title() + " No."
        elif document.format is not MrzFormat.TD3 and name == "document_number":
            text = "Document No." if language == "en" else "No."
        words.append(text)
    words = list(dict.fromkeys(words))
    known = list(travel["labels"]["en"])
    number = known.index(name) if name in known else len(known)
    return [look.number.format(number + 1) + words[0], *words[1:]]
