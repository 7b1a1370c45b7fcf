"""Whole pages that are set here: letters, forms, invoices, tickets and boarding cards."""

import random
import string
from collections.abc import Callable
from itertools import pairwise

from trainer.synth.dice import chance, weighted
from trainer.synth.vision import words
from trainer.synth.vision.drawings import (
    bars,
    frame,
    logo,
    matrix_code,
    perforation,
    scribble,
    stamp,
)
from trainer.synth.vision.layouts import (
    Area,
    Setter,
    Style,
    choose_block,
    choose_style,
    heading,
    paragraph,
    table,
)
from trainer.synth.vision.plate import Plate

_A4 = 1.414


def _body(rng: random.Random, plate: Plate, area: Area, capital: float, family: str) -> Setter:
    return Setter(rng, plate, area, choose_style(rng, capital, family))


def _lines(setter: Setter, count: int, align: str = "l", share: float = 1.0) -> None:
    """Lines of an address or a foot."""
    anchor = {"l": 0.0, "c": 0.5, "r": 1.0}[align]
    for _ in range(count):
        setter.row((anchor, align, setter.fit(setter.area.width * share)))


def letter(rng: random.Random) -> Plate:
    """Sender, address, date, subject, paragraphs, signature, foot."""
    width = rng.randint(800, 1120)
    height = round(width * _A4)
    plate = Plate(width, height)
    margin = width * rng.uniform(0.08, 0.13)
    capital = width * rng.uniform(0.0102, 0.0125)
    family = rng.choice(("serif", "sans", "sans", "mono"))
    setter = _body(rng, plate, Area(margin, margin * 0.6, width - margin, height), capital, family)
    left = chance(rng, 0.5)
    if chance(rng, 0.6):
        x = width - margin if left else margin * 0.2
        logo(rng, plate, x, margin * 0.4, margin * rng.uniform(0.4, 0.7))
    heading(setter)
    _lines(setter, rng.randint(2, 4), "l" if left else "r", 0.4)
    setter.skip(2)
    _lines(setter, rng.randint(3, 5), share=0.4)
    setter.skip(1)
    setter.row((1.0, "r", f"{words.label(rng)}, {words.date(rng)}"))
    setter.skip(1)
    setter.row((0.0, "l", setter.fit(setter.area.width * 0.7)), bold=True)
    setter.skip(0.8)
    setter.row((0.0, "l", setter.fit(setter.area.width * 0.4, words.label) + ","))
    foot = height - margin * 1.2
    setter.area = Area(margin, 0, width - margin, foot - 110)
    for _ in range(rng.randint(2, 5)):
        if not setter.full:
            paragraph(setter)
            setter.skip(0.5)
    setter.row((0.0, "l", setter.fit(setter.area.width * 0.3, words.label)))
    y = setter.baseline
    scribble(rng, plate, Area(margin, y - 10, margin + 200, y + 50))
    setter.baseline = y + 65
    setter.row((0.0, "l", setter.fit(setter.area.width * 0.3, words.label)))
    if chance(rng, 0.6):
        plate.rule(margin, foot, width - margin, foot + 1, 150)
        for third in range(3):
            column = Area(
                margin + third * (width - 2 * margin) / 3, foot + 4, width - margin, height
            )
            small = _body(rng, plate, column, max(9.0, capital * 0.8), family)
            small.area = Area(column.left, column.top, column.left + width * 0.24, height)
            _lines(small, rng.randint(2, 4), share=0.9)
    return plate


def form(rng: random.Random) -> Plate:
    """Boxes with a small label above and a typed value below, check boxes, comb fields."""
    width = rng.randint(800, 1120)
    height = round(width * rng.choice((_A4, _A4, 0.7, 1.0)))
    plate = Plate(width, height)
    margin = width * rng.uniform(0.04, 0.08)
    small = choose_style(rng, max(9.0, width * 0.0092), "sans")
    typed = choose_style(rng, width * rng.uniform(0.0115, 0.014), rng.choice(("mono", "sans")))
    top = Setter(rng, plate, Area(margin, margin, width - margin, height), typed)
    heading(top)
    _lines(top, rng.randint(0, 2))
    y = top.baseline
    while y + typed.pitch * 2.4 < height - margin:
        if chance(rng, 0.12):
            part = Setter(rng, plate, Area(margin + 4, y, width - margin, height), typed)
            heading(part)
            y = part.baseline - typed.pitch * 0.4
            continue
        count = rng.choice((1, 2, 2, 3, 4))
        tall = typed.pitch * rng.uniform(1.9, 2.3)
        edges = [0.0, *((n + rng.uniform(-0.25, 0.25)) / count for n in range(1, count)), 1.0]
        inner = width - 2 * margin
        fields = [
            Area(margin + start * inner, y, margin + stop * inner, y + tall)
            for start, stop in pairwise(edges)
        ]
        _fields(rng, plate, fields, small, typed)
        y += tall
    if chance(rng, 0.4):
        stamp(rng, plate, width * rng.uniform(0.5, 0.85), y * rng.uniform(0.6, 0.95), width * 0.07)
    return plate


def _fields(
    rng: random.Random, plate: Plate, fields: list[Area], small: Style, typed: Style
) -> None:
    """A row of boxes: their labels as one line, then their values as another."""
    plate.line()
    for area in fields:
        frame(plate, area, strength=140)
        setter = Setter(rng, plate, area, small)
        label = setter.fit(area.width * 0.9, words.label)
        plate.write(area.left + 5, area.top + small.pitch * 0.85, label, small.regular)
    plate.line()
    for area in fields:
        foot = area.bottom - typed.pitch * 0.3
        setter = Setter(rng, plate, area, typed)
        kind = weighted(rng, {"empty": 0.1, "comb": 0.15, "checks": 0.1, "typed": 0.65})
        if kind == "empty":
            continue
        if kind == "comb":  # one character to each cell
            step = typed.character * 1.9
            signs = rng.choices(string.ascii_uppercase + string.digits, k=int(area.width / step))
            for number, sign in enumerate(signs):
                x = area.left + number * step
                plate.rule(x, area.bottom - typed.pitch * 0.5, x + 1, area.bottom, 140)
                plate.write(x + step * 0.2, foot, sign, typed.regular)
        elif kind == "checks":
            _checks(rng, plate, area, typed, foot)
        else:
            value = setter.fit(area.width * 0.9)
            plate.write(area.left + 8, foot, value, typed.regular, spread=typed.spread)


def _checks(rng: random.Random, plate: Plate, area: Area, typed: Style, foot: float) -> None:
    """Check boxes with a word behind each."""
    side = typed.pitch * 0.5
    x = area.left + 8
    while x + side + typed.character * 6 < area.right:
        frame(plate, Area(x, foot - side, x + side, foot))
        if chance(rng, 0.5):
            scribble(rng, plate, Area(x, foot - side, x + side, foot), strokes=1)
        word = words.phrase(rng, 5, words.label)
        x = plate.write(x + side * 1.4, foot, word, typed.regular) + typed.character * 2


def invoice(rng: random.Random) -> Plate:
    """Two addresses, numbers and dates, a table of positions, totals at the right, bank details."""
    width = rng.randint(800, 1120)
    height = round(width * _A4)
    plate = Plate(width, height)
    margin = width * rng.uniform(0.06, 0.1)
    family = rng.choice(("sans", "sans", "sans", "serif", "mono"))
    area = Area(margin, margin, width - margin, height - margin * 1.6)
    setter = _body(rng, plate, area, width * rng.uniform(0.0102, 0.0125), family)
    heading(setter)
    for _ in range(rng.randint(3, 5)):
        left, right = (setter.fit(area.width * 0.42) for _ in "lr")
        setter.row((0.0, "l", left), (0.55, "l", right))
    setter.skip(0.6)
    for _ in range(rng.randint(2, 4)):
        value = rng.choice((words.code, words.date))(rng)
        setter.row((0.55, "l", setter.fit(area.width * 0.2, words.label)), (1.0, "r", value))
    setter.skip(1)
    for _ in range(rng.randint(1, 3)):
        table(setter)
    setter.skip(0.5)
    for number in range(rng.randint(1, 4)):
        label = setter.fit(area.width * 0.25, words.label)
        setter.row((0.6, "l", label), (1.0, "r", words.price(rng)), bold=number == 0)
    setter.skip(1)
    if not setter.full:
        paragraph(setter)
    if chance(rng, 0.4):
        matrix_code(rng, plate, margin, min(setter.baseline, height - 150), 110)
    setter.baseline = height - margin
    _lines(setter, 2, "c", 0.9)
    return plate


def ticket(rng: random.Random) -> Plate:
    """A card of labels over large values, with a bar code and a part to tear off."""
    height = rng.randint(330, 460)
    width = round(height * rng.uniform(1.7, 2.6))
    plate = Plate(width, height)
    small = choose_style(rng, rng.uniform(9, 11), rng.choice(("sans", "mono")))
    typed = choose_style(rng, rng.uniform(13, 20), rng.choice(("sans", "mono")))
    top = Setter(rng, plate, Area(14, 6, width - 14, height), typed)
    heading(top)
    stub = width * rng.uniform(0.66, 0.78)
    if chance(rng, 0.7):
        perforation(plate, stub, 0, height)
    y = top.baseline - typed.pitch * 0.3
    step = width / rng.randint(3, 5)
    code = rng.choice(("bars", "matrix", "none"))
    while y + small.pitch + typed.pitch < height * (0.98 if code == "none" else 0.78):
        xs = [14 + n * step for n in range(int((width - 20) / step)) if chance(rng, 0.85)]
        cells = [Area(x, y, x + step * 0.92, y) for x in xs]
        plate.line()
        for cell in cells:
            label = Setter(rng, plate, cell, small).fit(cell.width, words.label)
            plate.write(cell.left, y + small.pitch * 0.7, label, small.regular)
        plate.line()
        y += small.pitch + typed.pitch * 0.75
        for cell in cells:
            draw = rng.choice((words.any_text, words.code, words.date, words.price))
            value = Setter(rng, plate, cell, typed).fit(cell.width, draw)
            plate.write(cell.left, y, value, typed.bold)
        y += typed.pitch * 0.5
    if code == "bars":
        bars(rng, plate, Area(20, height * 0.8, stub * 0.8, height - 10))
    elif code == "matrix":
        matrix_code(rng, plate, stub * 0.5, height * 0.78, height * 0.2)
    return plate


def mixed(rng: random.Random) -> Plate:
    """A page of blocks of every kind, in one or two columns."""
    width = rng.randint(640, 1100)
    height = round(width * rng.uniform(0.7, 1.45))
    plate = Plate(width, height)
    margin = width * rng.uniform(0.03, 0.1)
    columns = rng.choice((1, 1, 2))
    step = (width - 2 * margin) / columns
    for number in range(columns):
        left = margin + number * step
        area = Area(left, margin, left + step * (0.95 if columns > 1 else 1), height - margin)
        setter = Setter(rng, plate, area, choose_style(rng, rng.uniform(9.5, 15)))
        while not setter.full:
            choose_block(rng)(setter)
            setter.skip(rng.choice((0.2, 0.6, 1.2)))
    return plate


SHEETS: tuple[Callable[[random.Random], Plate], ...] = (letter, form, invoice, ticket, mixed)
