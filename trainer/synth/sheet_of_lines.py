"""A page that exists only as lines of text with boxes: enough for what never looks at pixels."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from faker import Faker

from extraction.lines import Box, Line
from trainer.synth.dice import chance

Cell = tuple[float, str]
_MARGIN = 0.06
_TALLER_THAN_WIDE = 2.0  # of a printed character
_LEADING = 1.35


@dataclass
class LineSheet:
    """Collects rows of cells from top to bottom; what does not fit the page is not on it.

    Attributes:
        rng: the only source of randomness.
        fake: for names, addresses and prose, seeded from `rng` by the caller.
        aspect: height of the page over its width.
        columns: average characters that fit the page's width.
    """

    rng: random.Random
    fake: Faker
    aspect: float = 1.414
    columns: int = 90
    lines: list[Line] = field(default_factory=list)
    _top: float = 0.04

    def row(self, *cells: str | Cell, scale: float = 1.0, gap: float = 0.0) -> None:
        """Adds a row; a text alone starts at the left margin, (x, text) at a ratio of the width."""
        wide = scale * (1 - 2 * _MARGIN) / self.columns
        high = wide * _TALLER_THAN_WIDE / self.aspect
        self._top += gap * high * _LEADING
        if self._top + high > 1.0:
            return
        for cell in cells:
            x, text = (0.0, cell) if isinstance(cell, str) else cell
            left = _MARGIN + x * (1 - 2 * _MARGIN)
            if not text.strip() or left >= 1.0:
                continue
            right = min(1.0, left + wide * len(text))
            box = Box(left, self._top, right, self._top + high)
            self.lines.append(Line(" ".join(text.split()), box, 1.0, 0))
        self._top += high * _LEADING

    def prose(self, sentences: int, *, width: float = 1.0, indent: float = 0.0) -> None:
        """Adds a paragraph."""
        room = max(12, int(self.columns * width))
        text = " ".join(self.fake.sentence(self.rng.randint(5, 18)) for _ in range(sentences))
        current = ""
        for word in text.split():
            if len(current) + len(word) + 1 > room:
                self.row((indent, current))
                current = word
            else:
                current = f"{current} {word}".strip()
        self.row((indent, current))
        self._top += 0.008

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Adds a table of evenly spread columns, with or without its head."""
        step = 1.0 / len(heads)
        if chance(self.rng, 0.9):
            self.row(*((index * step, head) for index, head in enumerate(heads)))
        for row in rows:
            self.row(*((index * step, cell) for index, cell in enumerate(row)))

    def form(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Adds labels with values: beside them, below them, or in two columns."""
        style = self.rng.choice(("beside", "colon", "below", "two"))
        if style == "two":
            for first, second in zip(pairs[::2], [*pairs[1::2], ("", "")], strict=False):
                self.row((0.0, first[0]), (0.5, second[0]), gap=0.3)
                self.row((0.0, first[1]), (0.5, second[1]))
            return
        for label, value in pairs:
            if style == "below":
                self.row(label, gap=0.3)
                self.row(value)
            elif style == "colon":
                self.row(f"{label}: {value}")
            else:
                self.row((0.0, label), (0.45, value))


def amount(rng: random.Random, most: float = 900.0) -> str:
    """A printed amount of money."""
    value = rng.uniform(0.5, most)
    text = f"{value:,.2f}"
    if chance(rng, 0.25):
        text = text.translate(str.maketrans(",.", ".,"))
    if chance(rng, 0.3):
        text = rng.choice(("$", "€", "RM ", "EUR ", "£", "USD ")) + text
    return text


def day(rng: random.Random, first: int = 1995, last: int = 2026) -> str:
    """A printed date."""
    year, month, number = rng.randint(first, last), rng.randint(1, 12), rng.randint(1, 28)
    names = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return rng.choice(
        (
            f"{number:02}/{month:02}/{year}",
            f"{number:02}.{month:02}.{year}",
            f"{year}-{month:02}-{number:02}",
            f"{number} {names[month - 1]} {year}",
            f"{names[month - 1]} {number}, {year}",
            f"{number:02}-{month:02}-{year % 100:02}",
        )
    )


def goods(sheet: LineSheet) -> str:
    """A name of something to buy."""
    return f"{sheet.fake.word().capitalize()} {sheet.fake.word()}"


def number(sheet: LineSheet) -> str:
    """An identifier."""
    return f"{sheet.rng.choice(('', 'A', 'NR', 'DE', 'X'))}{sheet.rng.randint(10**5, 10**9)}"
