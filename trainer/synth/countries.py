"""How receipts differ from country to country: money, taxes, dates, and words."""

import random
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any

from trainer.synth.dice import chance
from trainer.synth.words import bank


@dataclass(frozen=True)
class Country:
    """The conventions of one country's receipts.

    Attributes:
        code: ISO 3166 alpha-2.
        name: as an address may end.
        language: key of the label bank.
        locale: of Faker, for people and addresses.
        symbols: how the currency is written beside amounts.
        rates: tax rates in percent, the standard rate first.
        inclusive: probability that prices include tax.
        dates: strftime-like patterns with weights; `%b` is the month in the receipt's language.
        decimals: digits after the decimal sign.
        comma: whether the decimal sign is a comma.
        cash_step: smallest coin that cash totals are rounded to.
        scale: a price of 1.00 elsewhere is this much here.
    """

    code: str
    name: str
    language: str
    locale: str
    symbols: tuple[str, ...]
    tax: str
    rates: tuple[str, ...]
    inclusive: float
    dates: dict[str, float]
    tax_id: tuple[str, ...]
    tax_id_pattern: str
    phone_pattern: tuple[str, ...]
    decimals: int = 2
    comma: bool = False
    cash_step: str = "0.01"
    scale: str = "1"

    def quantum(self) -> Decimal:
        """The smallest amount that is printed."""
        return Decimal(1).scaleb(-self.decimals)

    def round(self, amount: Decimal) -> Decimal:
        """`amount` to the printed precision, halves away from zero."""
        return amount.quantize(self.quantum(), rounding=ROUND_HALF_UP)

    def write(self, amount: Decimal) -> str:
        """The amount with this country's decimal and thousands signs, without a currency."""
        text = f"{amount:,.{self.decimals}f}"
        return text.translate(str.maketrans(",.", ".,")) if self.comma else text

    def write_date(self, day: date, pattern: str) -> str:
        """The date in one of the patterns of `dates`, `%-d` and `%-m` without leading zero."""
        month = bank("tills")["months"][self.language][day.month - 1]
        parts = {
            "%d": f"{day.day:02}",
            "%-d": str(day.day),
            "%m": f"{day.month:02}",
            "%-m": str(day.month),
            "%Y": f"{day.year:04}",
            "%y": f"{day.year % 100:02}",
            "%B": month,
            "%b": month.title(),
        }
        for key, value in parts.items():
            pattern = pattern.replace(key, value)
        return pattern


@cache
def countries() -> dict[str, Country]:
    """All countries by ISO 3166 alpha-2 code."""
    found = {}
    for code, table in bank("countries").items():
        facts: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
        }
        found[code] = Country(code=code, **facts)
    return found


def choose_country(rng: random.Random) -> Country:
    """Malaysia three times in five, any other country else."""
    if chance(rng, 0.6):
        return countries()["MY"]
    return rng.choice([country for code, country in countries().items() if code != "MY"])


def label(rng: random.Random, country: Country, key: str) -> str:
    """A label for `key` as tills of the country print it."""
    words = bank("tills")
    malaysian: dict[str, list[str]] = words["malaysia"] if country.code == "MY" else {}
    choices: list[str] = malaysian.get(key) or words[country.language][key]
    return rng.choice(choices)
