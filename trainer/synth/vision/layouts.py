"""Blocks of text as documents set them: paragraphs, columns, pairs, tables, items with prices."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trainer.synth.dice import chance, weighted
from trainer.synth.fonts import choose_face, ocr_b
from trainer.synth.vision import words
from trainer.synth.vision.plate import Plate
from trainer.synth.vision.typeface import Typeface, typeface, typeface_of_height

_FAMILIES = {"sans": 0.44, "mono": 0.33, "serif": 0.17, "italic": 0.05, "hand": 0.01}
LEAST_CAPITAL_PIXELS, MOST_CAPITAL_PIXELS = 9.0, 28.0
_USUAL = (10.5, 18.0, 12.0)  # least, most, commonest
_STRETCHES = (0.65, 0.75, 0.85, 1.2, 1.5, 1.8)
_ZONE_LENGTHS = (30, 36, 44)
_LINE_ABOVE_CAPITALS = (1.5, 2.3, 1.75)


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Across, in pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Down, in pixels."""
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class Style:
    """The type of a block.

    Attributes:
        regular: of running text.
        bold: of heads.
        pitch: from baseline to baseline, in pixels.
        spread: pixels more between characters.
    """

    regular: Typeface
    bold: Typeface
    pitch: float
    spread: float

    @property
    def character(self) -> float:
        """The usual width of a character, in pixels."""
        return self.regular.length("etaoin TOTAL 0123") / 17 + self.spread

    def room(self, width: float) -> int:
        """How many usual characters fit `width` pixels; at least one."""
        return max(1, int(width / self.character))


def choose_style(
    rng: random.Random, capital_pixels: float | None = None, family: str | None = None
) -> Style:
    """A style whose capitals have this height, or a height that reading resolution has.

    Args:
        rng: the only source of randomness.
        capital_pixels: the height of a capital; drawn from 9 to 28, mostly 11 to 18, where None.
        family: of the face; drawn where None.
    """
    if capital_pixels is None:
        capital_pixels = rng.triangular(*_USUAL)
        if chance(rng, 0.16):
            capital_pixels = rng.uniform(LEAST_CAPITAL_PIXELS, MOST_CAPITAL_PIXELS)
    regular, bold = choose_face(rng, family or weighted(rng, _FAMILIES), all_accents=False)
    if chance(rng, 0.12):
        regular = bold
    spread = rng.uniform(-0.05, 0.15) * capital_pixels if chance(rng, 0.15) else 0.0
    stretch = rng.choice(_STRETCHES) if chance(rng, 0.14) else 1.0
    return Style(
        typeface_of_height(regular, capital_pixels, stretch),
        typeface_of_height(bold, capital_pixels, stretch),
        capital_pixels * rng.triangular(*_LINE_ABOVE_CAPITALS),
        spread,
    )


class Setter:
    """Sets lines one below the other in an area of a plate.

    Args:
        rng: the only source of randomness.
        plate: to write on.
        area: that the lines fill.
        style: of the lines.
    """

    def __init__(self, rng: random.Random, plate: Plate, area: Area, style: Style) -> None:
        self.rng = rng
        self.plate = plate
        self.area = area
        self.style = style
        self.baseline = area.top + 0.75 * style.pitch

    def restyle(self, style: Style) -> None:
        """Goes on in another style, clear of the line above."""
        self.baseline += max(0.0, style.pitch - self.style.pitch)
        self.style = style

    @property
    def full(self) -> bool:
        """No further line fits."""
        return self.baseline > self.area.bottom

    def row(self, *cells: tuple[float, str, str], bold: bool = False) -> None:
        """Cells of (anchor as a ratio of the width, "l", "c" or "r", text) on one baseline.

        A cell that would touch the one before it is left out.
        """
        face = self.style.bold if bold else self.style.regular
        self.plate.line()
        end, space = float("-inf"), face.advance("n")
        for ratio, align, text in cells:
            written = face.write(text)
            length = face.length(written) + self.style.spread * len(written)
            anchor = self.area.left + ratio * self.area.width
            x = anchor - length * {"l": 0.0, "c": 0.5, "r": 1.0}[align]
            if x > end:
                stop = self.plate.write(x, self.baseline, written, face, spread=self.style.spread)
                end = stop + space
        self.baseline += self.style.pitch

    def fit(self, width: float, draw: Callable[[random.Random], str] = words.any_text) -> str:
        """A phrase that fits `width` pixels."""
        style = self.style
        room = style.room(width)
        text = words.phrase(self.rng, room, draw)
        while len(text) > 1 and style.regular.length(text) + style.spread * len(text) > width:
            room = max(1, int(len(text) * 0.9))
            text = text[:room].rstrip()
        return text

    def skip(self, lines: float) -> None:
        """Leaves room."""
        self.baseline += lines * self.style.pitch

    def line(self, *, dashed: bool) -> None:
        """A ruled line across the area, or a row of dashes."""
        y = self.baseline - self.style.pitch * 0.4
        if not dashed:
            thick = self.rng.choice((1, 1, 2, 3))
            self.plate.rule(self.area.left, y, self.area.right, y + thick, 220)
        else:
            step = self.rng.randint(4, 12)
            for x in range(int(self.area.left), int(self.area.right), step):
                self.plate.rule(x, y, x + step * 0.6, y + 1, 200)
        self.baseline += self.style.pitch * 0.4


def paragraph(setter: Setter) -> None:
    """Running text: ragged, centred or justified."""
    rng, style, area = setter.rng, setter.style, setter.area
    mode = weighted(rng, {"l": 6.0, "c": 1.5, "r": 0.5, "justified": 1.5})
    indent = rng.choice((0.0, 0.0, 2.0)) * style.character
    draw = rng.choice((words.any_text, words.any_text, words.label, words.scramble))
    last = rng.randint(1, 14)
    while not setter.full and last > 0:
        last -= 1
        width = area.width - indent
        text = setter.fit(width if last else width * rng.uniform(0.2, 1), draw)
        if mode == "justified" and last and " " in text:
            parts = text.split(" ")
            lengths = [style.regular.length(style.regular.write(part)) for part in parts]
            space = (width - sum(lengths) - style.spread * len(text)) / (len(parts) - 1)
            x = area.left + indent
            setter.plate.line()
            for part, length in zip(parts, lengths, strict=True):
                setter.plate.write(x, setter.baseline, part, style.regular, spread=style.spread)
                x += length + space + style.spread * len(part)
            setter.baseline += style.pitch
        else:
            anchor = {"l": indent / area.width, "justified": indent / area.width}.get(mode, 0.5)
            align = "l" if mode == "justified" else mode
            setter.row((1.0 if mode == "r" else anchor, align, text))
        indent = 0.0
    setter.skip(rng.uniform(0, 0.8))


def pairs(setter: Setter) -> None:
    """Labels and values: beside, behind a colon, at the right edge, below."""
    rng, area = setter.rng, setter.area
    mode = rng.choice(("beside", "colon", "right", "below"))
    column = rng.uniform(0.3, 0.6)
    for _ in range(rng.randint(2, 9)):
        if setter.full:
            break
        label = setter.fit(area.width * column * 0.9, words.label)
        value = setter.fit(area.width * (1 - column) * 0.95)
        if mode == "beside":
            setter.row((0.0, "l", label), (column, "l", value))
        elif mode == "colon":
            setter.row((0.0, "l", label + rng.choice((":", " :"))), (column, "l", value))
        elif mode == "right":
            setter.row((0.0, "l", label), (1.0, "r", value))
        else:
            setter.row((0.0, "l", label))
            setter.row((0.0, "l", value), bold=True)


def table(setter: Setter) -> None:
    """Columns with heads; figures stand to the right."""
    rng, area = setter.rng, setter.area
    count = max(2, min(rng.randint(2, 6), setter.style.room(area.width) // 9))
    kinds = [rng.choice(("word", "price", "number", "code", "date")) for _ in range(count)]
    draws: dict[str, Callable[[random.Random], str]] = {
        "word": words.any_text,
        "price": words.price,
        "number": words.number,
        "code": words.code,
        "date": words.date,
    }
    width = area.width / count
    ruled, boxed = chance(rng, 0.4), chance(rng, 0.2)
    top = setter.baseline - setter.style.pitch * 0.85

    def put(row: list[str], *, bold: bool = False) -> None:
        cells = []
        for index, (kind, text) in enumerate(zip(kinds, row, strict=True)):
            right = kind in {"price", "number"}
            cells.append(((index + (0.95 if right else 0.04)) / count, "r" if right else "l", text))
        setter.row(*cells, bold=bold)

    if chance(rng, 0.8):
        put([setter.fit(width * 0.85, words.label) for _ in kinds], bold=chance(rng, 0.6))
        if chance(rng, 0.5):
            setter.line(dashed=chance(rng, 0.3))
    for _ in range(rng.randint(2, 12)):
        if setter.full:
            break
        put([setter.fit(width * 0.88, draws[kind]) for kind in kinds])
        if ruled:
            y = setter.baseline - setter.style.pitch * 0.75
            setter.plate.rule(area.left, y, area.right, y + 1, 160)
    if boxed:
        bottom = setter.baseline - setter.style.pitch * 0.75
        for index in range(count + 1):
            x = area.left + index * width
            setter.plate.rule(x, top, x + 1, bottom, 180)


def items(setter: Setter) -> None:
    """Goods with their prices at the right edge, sometimes with a row of quantities, a total."""
    rng, area = setter.rng, setter.area
    mode = rng.choice(("one", "below", "columns"))
    for _ in range(rng.randint(2, 8)):
        if setter.full:
            break
        price = words.price(rng)
        name = setter.fit(area.width * 0.6)
        if mode == "one":
            setter.row((0.0, "l", name), (1.0, "r", price))
        elif mode == "below":
            setter.row((0.0, "l", name))
            amount = f"{rng.randint(1, 12)} {rng.choice('xX@')} {words.number(rng)}"
            setter.row((rng.choice((0.0, 0.1)), "l", amount), (1.0, "r", price))
        else:
            short = setter.fit(area.width * 0.4)
            setter.row(
                *((0.0, "l", short), (0.5, "r", str(rng.randint(1, 40)))),
                *((0.74, "r", words.number(rng)), (1.0, "r", words.number(rng))),
            )
    if chance(rng, 0.6):
        setter.line(dashed=chance(rng, 0.6))
        label = setter.fit(area.width * 0.5, words.label)
        setter.row((0.0, "l", label), (1.0, "r", words.price(rng)), bold=chance(rng, 0.5))


def heading(setter: Setter) -> None:
    """A line of large type, sometimes pale on a dark bar."""
    rng, style, area = setter.rng, setter.style, setter.area
    scale = rng.uniform(1.0, 1.7)
    pixels = max(5, round(style.bold.size_pixels * scale))
    face = typeface(style.bold.path, pixels, style.bold.stretch)
    text = face.write(setter.fit(area.width / scale * 0.9))
    free = max(0.0, area.width - face.length(text))
    x = area.left + free * rng.choice((0.0, 0.5, 0.5))
    setter.plate.line()
    setter.skip((scale - 1) * 0.7)
    setter.plate.write(x, setter.baseline, text, face)
    if chance(rng, 0.2):
        top, bottom = setter.baseline - style.pitch * scale * 0.8, setter.baseline
        setter.plate.invert(
            *(area.left - 4, top, area.right + 4, bottom + style.pitch * 0.35),
            rng.randint(150, 255),
        )
    setter.skip(1 + 0.5 * (scale - 1))


def zone(setter: Setter) -> None:
    """Lines of a machine-readable zone in OCR-B, as wide as the area."""
    rng, area = setter.rng, setter.area
    lengths = [n for n in _ZONE_LENGTHS if area.width / n > LEAST_CAPITAL_PIXELS]
    if not lengths:
        items(setter)
        return
    count = rng.choice(lengths)
    path = ocr_b(rng)
    wide = typeface_of_height(path, MOST_CAPITAL_PIXELS).advance("0") / MOST_CAPITAL_PIXELS
    capital = min(area.width * rng.uniform(0.85, 1) / count / wide, MOST_CAPITAL_PIXELS)
    face = typeface_of_height(path, capital)
    pitch = capital * rng.uniform(1.7, 2.6)
    setter.skip(0.3)
    for _ in range(3 if count == _ZONE_LENGTHS[0] else 2):
        setter.plate.line()
        setter.plate.write(area.left, setter.baseline, words.zone(rng, count), face)
        setter.baseline += pitch


def grid(setter: Setter) -> None:
    """Rows of random strings: nothing to guess."""
    while not setter.full and chance(setter.rng, 0.85):
        setter.row((0.0, "l", setter.fit(setter.area.width, words.scramble)))


def bullets(setter: Setter) -> None:
    """A list with marks or numbers."""
    rng, area = setter.rng, setter.area
    mark = rng.choice(("•", "-", "*", "·", "–", ""))  # noqa: RUF001 - marks of lists
    indent = 3 * setter.style.character / area.width
    for number in range(1, rng.randint(3, 8)):
        if setter.full:
            break
        text = setter.fit(area.width * (1 - indent) * rng.uniform(0.3, 1))
        setter.row((0.0, "l", mark or f"{number}."), (indent, "l", text))


KINDS: Mapping[Callable[[Setter], None], float] = {
    paragraph: 3.0,
    items: 3.0,
    pairs: 2.5,
    table: 1.8,
    heading: 1.5,
    grid: 1.2,
    bullets: 0.7,
    zone: 0.35,
}


def choose_block(rng: random.Random) -> Callable[[Setter], None]:
    """One kind of block."""
    return weighted(rng, KINDS)
