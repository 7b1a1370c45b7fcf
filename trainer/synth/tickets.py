"""Tickets of machines: a style of receipt that the default model has never seen.

What a receipt prints at its head mostly stands at the foot here: who took the money. The amount
that was paid stands under a word such as COLLECTED, often beside amounts that are called a total
and are none; the day under a word such as STAMPED, often beside dates that are of the tariff. At
most twelve rows, so that reading and training are quick. `make demo` learns them.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from PIL import Image, ImageDraw

from extraction.lines import Box, Line
from trainer.synth.degrade import degrade
from trainer.synth.dice import chance, pattern, weighted
from trainer.synth.document import SyntheticDocument
from trainer.synth.sheet import Cell, Sheet
from trainer.synth.words import bank

TICKET_FIELDS = ("merchant_name", "transaction_date", "total")
_FIRST_DAY = date(2021, 1, 1)
_DAYS = 1900
_DATES = {"%d.%m.%Y": 3.0, "%d %b %Y": 2.0, "%Y-%m-%d": 2.0}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SIGNS = ("", "", "EUR ", "€", "£")
_NUMBERS = ("######", "@@-#####", "@###-###", "########")


def make_ticket(rng: random.Random) -> SyntheticDocument:
    """One ticket: page, true lines, and the record as printed (`TICKET_FIELDS` of `receipt`)."""
    machine = _Machine.choose(rng)
    blocks: list[Callable[[], None]] = [machine.amounts, machine.days]
    if chance(rng, 0.4):
        blocks.reverse()
    blocks.insert(rng.choice((0, 1, 2)), machine.number)
    operator_first = chance(rng, 0.3)
    if operator_first:
        machine.operator()
    machine.head()
    for block in blocks:
        block()
        if chance(rng, 0.5):
            machine.sheet.space(rng.choice((0.3, 0.7, 1.5)))
    if not operator_first:
        machine.operator()
    image, lines = machine.sheet.draw(rng)
    image, lines = _frame(*_band(image, lines, rng), rng)
    image, lines = degrade(image, lines, rng, strength=0.7)
    return SyntheticDocument("receipt", image, lines, machine.record)


@dataclass
class _Machine:
    """The habits of one machine; each method prints a block and notes the answer."""

    rng: random.Random
    sheet: Sheet
    words: dict[str, Any]
    record: dict[str, str]
    style: str
    sign: str
    x: float
    align: str

    @classmethod
    def choose(cls, rng: random.Random) -> "_Machine":
        align = rng.choice(("left", "left", "centre"))
        return cls(
            rng=rng,
            sheet=Sheet(columns=rng.choice((28, 30, 32, 34, 38))),
            words=bank("tickets"),
            record={},
            style=weighted(rng, {"columns": 4.0, "inline": 2.0, "behind": 1.0}),
            sign=rng.choice(_SIGNS),
            x=0.5 if align == "centre" else 0.0,
            align=align,
        )

    def head(self) -> None:
        """What the machine is for and where it stands: no company."""
        rng, words = self.rng, self.words
        kind = rng.choice(words["trades"][rng.choice(list(words["trades"]))])
        title = f"{rng.choice(words['places'])} {kind}"
        self._say(title, scale=rng.choice((1.0, 1.2, 1.5)), bold=chance(rng, 0.6))
        if chance(rng, 0.5):
            self._say(f"{rng.choice(('LEVEL', 'ZONE', 'LINE', 'BAY'))} {rng.randint(1, 60)}")

    def amounts(self) -> None:
        """What was paid, and amounts that are called a total."""
        rng, words = self.rng, self.words
        paid = f"{self.sign}{rng.randint(2, 240) * 5 / 100:.2f}"
        rows = [(rng.choice(words["paid"]), paid)]
        others = rng.sample(words["other_amounts"], rng.choice((0, 0, 1, 1, 2)))
        rows += [(word, f"{self.sign}{rng.randint(260, 1900) * 5 / 100:.2f}") for word in others]
        if chance(rng, 0.5):
            rate = f"{self.sign}{rng.randint(241, 259) * 5 / 100:.2f}"
            rows.append((rng.choice(words["rates"]), rate))
        rng.shuffle(rows)
        self._rows(rows)
        self.record["total"] = paid

    def days(self) -> None:
        """The day of the purchase, and days that are called a date."""
        rng, words = self.rng, self.words
        form = weighted(rng, _DATES)
        day = _FIRST_DAY + timedelta(days=rng.randrange(_DAYS))
        bought = _write(day, form)
        clock = f" {rng.randint(0, 23):02}:{rng.randint(0, 59):02}" if chance(rng, 0.25) else ""
        rows = [(rng.choice(words["bought"]), bought + clock)]
        for word in rng.sample(words["other_days"], rng.choice((0, 0, 1, 1, 2))):
            away = rng.choice((-1, 1)) * rng.randint(2, 90)
            rows.append((word, _write(day + timedelta(days=away), form)))
        rng.shuffle(rows)
        self._rows(rows)
        self.record["transaction_date"] = bought

    def number(self) -> None:
        """The ticket's number; not asked."""
        if chance(self.rng, 0.6):
            figures = pattern(self.rng, self.rng.choice(_NUMBERS))
            self._say(f"{self.rng.choice(self.words['numbers'])} {figures}")

    def operator(self) -> None:
        """Who took the money, and sometimes who built the machine."""
        rng, words = self.rng, self.words
        maker = f"MACHINE: {rng.choice(words['makers'])}" if chance(rng, 0.4) else ""
        if maker and chance(rng, 0.5):
            self._say(maker)
            maker = ""
        cores = " ".join(rng.sample(words["cores"], rng.choice((1, 2))))
        name = f"{cores} {rng.choice(words['endings'])}"
        label = rng.choice(words["operators"])
        if chance(rng, 0.5) or len(label) + len(name) + 1 > self.sheet.columns:
            self._say(label)
            self._say(name)
        else:
            self._say(f"{label} {name}")
        if maker:
            self._say(maker)
        self.record["merchant_name"] = name

    def _say(self, text: str, *, scale: float = 1.0, bold: bool = False) -> None:
        self.sheet.add(Cell(text, self.x, self.align), scale=scale, bold=bold)

    def _rows(self, rows: list[tuple[str, str]]) -> None:
        for word, value in rows:
            if self.style == "columns":
                self.sheet.add(Cell(word), Cell(value, 1.0, "right"))
            elif self.style == "inline":
                self._say(f"{word} {value}")
            else:
                self.sheet.add(Cell(value), Cell(word, 1.0, "right"))


def _write(day: date, form: str) -> str:
    month = _MONTHS[day.month - 1]
    text = form.replace("%b", month).replace("%Y", str(day.year))
    return text.replace("%d", f"{day.day:02}").replace("%m", f"{day.month:02}")


def _band(
    image: Image.Image, lines: list[Line], rng: random.Random
) -> tuple[Image.Image, list[Line]]:
    """A bar code, a solid bar or a magnetic stripe along one side; sometimes none."""
    side = rng.choice(("above", "below", "left", "right", "none"))
    if side == "none":
        return image, lines
    flat = side in {"above", "below"}
    wide = round((image.height if flat else image.width) * rng.uniform(0.12, 0.35))
    band = Image.new("RGB", (image.width, wide) if flat else (wide, image.height), "white")
    pen = ImageDraw.Draw(band)
    shade = rng.randint(0, 140)
    if chance(rng, 0.5):
        edge = round(wide * rng.uniform(0.05, 0.3))
        pen.rectangle((edge, edge, band.width - edge, band.height - edge), (shade,) * 3)
    else:
        _bars(pen, band.width if flat else band.height, wide, shade, rng, upright=flat)
    grown = (image.width, image.height + wide) if flat else (image.width + wide, image.height)
    left, top = (wide if side == "left" else 0), (wide if side == "above" else 0)
    page = Image.new("RGB", grown, "white")
    page.paste(image, (left, top))
    page.paste(band, (image.width if side == "right" else 0, image.height * (side == "below")))
    return page, _move(lines, image.size, (left, top), grown)


def _bars(
    pen: ImageDraw.ImageDraw,
    length: int,
    wide: int,
    shade: int,
    rng: random.Random,
    *,
    upright: bool,
) -> None:
    """Bars of a code across the whole band."""
    at = rng.randint(4, max(5, length // 4))
    while at < length * 0.9:
        thick = rng.randint(2, 7)
        box = (at, wide * 0.15, at + thick, wide * 0.85)
        pen.rectangle(box if upright else (box[1], box[0], box[3], box[2]), (shade,) * 3)
        at += thick + rng.randint(2, 7)


def _frame(
    image: Image.Image, lines: list[Line], rng: random.Random
) -> tuple[Image.Image, list[Line]]:
    """The ticket off the middle of a larger sheet, as a copier leaves it."""
    left, right = (round(image.width * rng.uniform(0.0, 0.35)) for _ in "lr")
    above, below = (round(image.height * rng.uniform(0.0, 0.35)) for _ in "ab")
    grown = (image.width + left + right, image.height + above + below)
    tint = rng.choice((255, 250, 235, 215, 190))
    page = Image.new("RGB", grown, (tint, tint, max(0, tint - rng.randint(0, 20))))
    page.paste(image, (left, above))
    return page, _move(lines, image.size, (left, above), grown)


def _move(
    lines: list[Line], size: tuple[int, int], by: tuple[int, int], grown: tuple[int, int]
) -> list[Line]:
    """The lines of a page of `size` that now lies at `by` on one of `grown` (pixels)."""
    return [
        replace(
            line,
            box=Box(
                left=(line.box.left * size[0] + by[0]) / grown[0],
                top=(line.box.top * size[1] + by[1]) / grown[1],
                right=(line.box.right * size[0] + by[0]) / grown[0],
                bottom=(line.box.bottom * size[1] + by[1]) / grown[1],
            ),
        )
        for line in lines
    ]
