"""Draws from a seeded generator, so that one seed always makes one document."""

import random
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def chance(rng: random.Random, probability: float) -> bool:
    """True with the given probability (0 to 1)."""
    return rng.random() < probability


def weighted(rng: random.Random, weights: Mapping[T, float]) -> T:
    """One key of `weights`, drawn in proportion to its weight."""
    return rng.choices(list(weights), weights=list(weights.values()))[0]


def digits(rng: random.Random, count: int) -> str:
    """A text of `count` random digits."""
    return "".join(rng.choices("0123456789", k=count))


def pattern(rng: random.Random, text: str) -> str:
    """`text` with every `#` replaced by a digit and every `@` by a capital letter."""
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
    return "".join(
        rng.choice("0123456789") if sign == "#" else rng.choice(letters) if sign == "@" else sign
        for sign in text
    )
