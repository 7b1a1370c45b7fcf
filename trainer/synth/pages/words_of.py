"""The words of a language: what its pages say, and what their labels are called."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


class UnknownLanguage(ValueError):
    """No words for a language.

    Args:
        code: what was asked for.
        known: the codes that there are.
    """

    def __init__(self, code: str, known: Sequence[str]) -> None:
        self.code, self.known = code, tuple(known)
        super().__init__(f"There are no words for {code!r}, only for {', '.join(known)}.")


@dataclass(frozen=True)
class Words:
    """One language.

    Attributes:
        code: ISO 639-1.
        locale: for names, dates and numbers.
        currency: ISO 4217.
        cities: as they are printed after a preposition.
        organisations: patterns with `{name}` or `{city}`.
        prose: openers, subjects, predicates, circumstances, topics, angles, items.
        labels: printed captions of forms, tables and sections.
        facts: sentences by relation, with `{head}` and `{tail}`, and mentions with `{one}`.
    """

    code: str
    locale: str
    currency: str
    cities: Sequence[str]
    organisations: Sequence[str]
    prose: Mapping[str, Sequence[str]]
    labels: Mapping[str, Any]
    facts: Mapping[str, Sequence[Any]]


@cache
def codes() -> tuple[str, ...]:
    """The languages that there are words for."""
    folder = files("trainer.synth.pages.words")
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def words_of(code: str) -> Words:
    """The words of a language.

    Raises:
        UnknownLanguage: there are none.
    """
    if code not in codes():
        raise UnknownLanguage(code, codes())
    text = files("trainer.synth.pages.words").joinpath(f"{code}.toml").read_text(encoding="utf-8")
    return Words(code=code, **tomllib.loads(text))
