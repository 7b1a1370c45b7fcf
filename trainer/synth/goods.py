"""Invented goods: descriptions put together from short word lists, per trade and language."""

import random

from trainer.synth.dice import chance, weighted
from trainer.synth.words import bank

_ENGLISH_TRADES = {
    "food": 4.0,
    "grocery": 2.5,
    "hardware": 2.0,
    "retail": 1.6,
    "stationery": 1.4,
    "fuel": 0.4,
}
_UNITS = ("PC", "UNIT", "PCS", "BOX", "SET", "EA")


def choose_trade(rng: random.Random, language: str) -> str:
    """A trade that has goods in the language."""
    if language == "en":
        return weighted(rng, _ENGLISH_TRADES)
    trades: list[str] = list(bank("goods")[language])
    return rng.choice(trades)


def describe(rng: random.Random, language: str, trade: str) -> tuple[str, str, float, float]:
    """(description, unit or "", lowest price, highest price) of one invented article."""
    words = bank("goods")[language][trade]
    parts = [rng.choice(words[key]) for key in ("firsts", "nouns", "endings")]
    unit = ""
    if trade == "grocery" and chance(rng, 0.08):
        unit = "KG"
    elif trade in {"hardware", "stationery"} and chance(rng, 0.3):
        unit = rng.choice(_UNITS)
    return " ".join(part for part in parts if part), unit, words["lowest"], words["highest"]
