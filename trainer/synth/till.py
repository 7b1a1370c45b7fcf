"""The habits of one till: what it prints, where its columns stand, how it writes amounts."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from trainer.synth.countries import Country, label
from trainer.synth.dice import chance, weighted
from trainer.synth.sheet import Cell, Sheet

_CODES = frozenset({"RM", "GST", "TEL", "NO", "CS", "H/P", "E.", "O.", "VISA", "QTY"})
_FIRST_DAY = date(2009, 1, 1)
_LAST_DAY = date(2026, 6, 30)
_SROIE_DAYS = (date(2016, 1, 1), date(2019, 6, 30))


@dataclass
class Till:
    """Collects the printed rows and, beside them, the answer.

    Attributes:
        currency: written beside the amounts, or "" where no currency is printed.
        money_style: how a total is written: "plain" 9.00; "joined" RM9.00; "spaced" RM 9.00; "cell"
            RM and 9.00 apart; "label" TOTAL (RM) and 9.00; "inline" TOTAL: RM9.00 in one run.
        lacking: fields that this receipt does not print.
        torn: the part below the items is missing.
    """

    country: Country
    sheet: Sheet
    currency: str
    money_style: str
    colon: str
    label_x: float
    label_align: str
    value_x: float
    day: date
    date_pattern: str
    time: str
    lacking: frozenset[str]
    torn: bool
    date_at_foot: bool
    case: Callable[[str], str]
    record: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def choose(cls, rng: random.Random, country: Country) -> "Till":
        """A till of the country."""
        first, last = _SROIE_DAYS if country.code == "MY" else (_FIRST_DAY, _LAST_DAY)
        if chance(rng, 0.2):
            first, last = _FIRST_DAY, _LAST_DAY
        hour, minute, second = rng.randint(7, 22), rng.randint(0, 59), rng.randint(0, 59)
        half = "AM" if hour < 12 else "PM"  # noqa: PLR2004 - noon
        time = weighted(
            rng,
            {
                f"{hour:02}:{minute:02}": 3.0,
                f"{hour:02}:{minute:02}:{second:02}": 4,
                f"{(hour - 1) % 12 + 1}:{minute:02}:{second:02} {half}": 2,
                f"{(hour - 1) % 12 + 1:02}:{minute:02} {half}": 1.5,
                f"{(hour - 1) % 12 + 1}:{minute:02}{half}": 0.5,
            },
        )
        lacking: frozenset[str] = frozenset()
        if chance(rng, 0.11):
            names = (
                "merchant_address",
                "transaction_date",
                "transaction_time",
                "merchant_phone",
                "merchant_name",
            )
            lacking = frozenset(rng.sample(names, rng.choice((1, 1, 2))))
        styles = {"plain": 5.0, "joined": 2, "spaced": 1, "cell": 0.8, "label": 1, "inline": 0.5}
        style = weighted(rng, styles)
        label_x, align = rng.choice(
            ((0.0, "left"), (0.0, "left"), (0.7, "right"), (0.25, "left"), (0.4, "left"))
        )
        cases: list[Callable[[str], str]] = [str.upper, str]
        if country.code == "MY":
            cases = [str.upper, str.upper, str.title]
        return cls(
            country=country,
            sheet=Sheet(columns=rng.choice((32, 34, 36, 38, 40, 42, 44, 48))),
            currency=rng.choice(country.symbols),
            money_style=style,
            colon=rng.choice(("", "", ":", " :")),
            label_x=label_x,
            label_align=align,
            value_x=rng.choice((1.0, 1.0, 1.0, 0.94)),
            day=first + timedelta(days=rng.randrange((last - first).days)),
            date_pattern=weighted(rng, country.dates),
            time=time,
            lacking=lacking,
            torn=chance(rng, 0.025),
            date_at_foot=chance(rng, 0.14),
            case=rng.choice(cases),
        )

    def says(self, rng: random.Random, key: str) -> str:
        """A label for `key` in this till's case; none names another currency than the till's."""
        text = label(rng, self.country, key)
        while self.currency != "RM" and "RM" in text.strip("()").replace("(", " ").split():
            text = label(rng, self.country, key)
        return self.spell(text)

    def spell(self, text: str) -> str:
        """`text` in this till's case; codes of two or three capitals stay capitals."""
        if self.case is not str.title:
            return self.case(text)
        return " ".join(
            word if word.strip("().,@:6%") in _CODES else word.title() for word in text.split()
        )

    def write_date(self, day: date) -> str:
        """A date in this till's pattern."""
        return self.country.write_date(day, self.date_pattern)

    def amount(self, text: str, amount: Decimal, *, scale: float = 1.0, bold: bool = False) -> str:
        """Prints a labelled amount in this till's style; returns the amount as printed."""
        figure = self.country.write(abs(amount))
        sign = "-" if amount < 0 else ""
        style = self.money_style
        if style in {"plain", "label"} or (style == "cell" and sign):
            if style == "label" and "(" not in text and self.currency not in text:
                text = f"{text} ({self.currency})"
            printed = sign + figure
        elif style in {"joined", "inline"}:
            printed = f"{sign}{self.currency}{figure}"
        elif style == "spaced":
            printed = f"{sign}{self.currency} {figure}"
        else:
            printed = figure
        if style != "plain":
            self.record.setdefault("currency", self.currency)
        if style == "inline":
            self.sheet.add(
                Cell(f"{text}: {printed}", self.label_x, self.label_align), scale=scale, bold=bold
            )
            return printed
        cells = [Cell(text + self.colon, self.label_x, self.label_align)]
        if style == "cell" and not sign:
            cells.append(Cell(self.currency, self.value_x - 0.24, "right"))
        cells.append(Cell(printed, self.value_x, "right"))
        self.sheet.add(*cells, scale=scale, bold=bold)
        return printed
