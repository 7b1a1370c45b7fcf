"""Invented merchants: names and numbers as they stand at the head of a receipt."""

import random
from dataclasses import dataclass
from typing import Any

from trainer.synth.addresses import address_lines, fold, make_address, seeded_faker
from trainer.synth.countries import Country
from trainer.synth.dice import chance, digits, pattern, weighted
from trainer.synth.words import bank

_NUMBERS = ("######-@", "######-@", "#######-@", "##@#######", "00#######-@", "###### @")
_REGISTRATIONS = (
    *("({})", "({})", "({})", "{}"),
    *("CO. NO. {}", "(CO. REG : {})", "ROC NO. : {}", "COMPANY REG NO: {}"),
)
_INITIALS = ("@@", "@@@", "@.@.@", "@ & @", "@-ONE", "## @@@@")
# Words that stand before the name in Malay.
_LEADING = frozenset({"RESTORAN", "PASARAYA", "KOPITIAM"})
# A name is often set larger than the rest, so that fewer letters fit.
_NAME_SCALE = 1.15


@dataclass(frozen=True)
class Merchant:
    """The head of a receipt.

    Attributes:
        name: the company, in the lines in which it is printed.
        brand: a line above or below that is not the company, or "".
        address: its lines, each as long as the paper allows.
        country_line: the country's name where the address ends with it, or "".
    """

    name: tuple[str, ...]
    brand: str
    registration: str
    address: tuple[str, ...]
    country_line: str
    phone: str
    tax_id: str


def make_merchant(rng: random.Random, country: Country, trade: str, columns: int) -> Merchant:
    """A merchant whose lines fit paper of `columns` capitals."""
    malaysian = country.code == "MY"
    name = _malaysian_name(rng, trade) if malaysian else _foreign_name(rng, country, trade)
    parts = make_address(rng, country)
    country_line = country.name if chance(rng, 0.12) else ""
    if country_line:
        parts = [*parts, country_line]
    upper = malaysian or chance(rng, 0.5)
    if upper:
        parts = [part.upper() for part in parts]
        name = name.upper()
    commas = chance(rng, 0.85)
    stop = "." if chance(rng, 0.25) else ""
    return Merchant(
        name=tuple(fold(name, int(columns / _NAME_SCALE))),
        brand=_brand(rng, country, name),
        registration=_registration(rng) if malaysian else "",
        address=tuple(address_lines(rng, parts, columns, stop, commas=commas)),
        country_line=country_line.upper() if upper else country_line,
        phone=pattern(rng, rng.choice(country.phone_pattern)),
        tax_id=pattern(rng, country.tax_id_pattern),
    )


def _words() -> dict[str, Any]:
    return bank("merchants")


def _malaysian_name(rng: random.Random, trade: str) -> str:
    words = _words()
    cores = {
        " ".join(rng.sample(words["syllables"], rng.choice((2, 2, 3)))): 3.0,
        " ".join(rng.sample(words["malay"], rng.choice((1, 2)))): 2.0,
        " ".join(rng.sample(words["brands"], rng.choice((1, 2)))): 3.0,
        pattern(rng, rng.choice(_INITIALS)): 1.2,
    }
    core = weighted(rng, cores)
    middle = rng.choice(words["trades"][trade]) if chance(rng, 0.8) else ""
    parts = [middle, core] if middle in _LEADING else [core, middle]
    if chance(rng, 0.06):
        parts.append(f"({rng.choice(('TAMAN', 'BANDAR', 'KG'))} {rng.choice(words['malay'])})")
    if chance(rng, 0.06):
        parts.insert(0, "SYARIKAT")
    parts.append(weighted(rng, words["malaysian_endings"]))
    return " ".join(part for part in parts if part)


def _foreign_name(rng: random.Random, country: Country, trade: str) -> str:
    words = _words()
    faker = seeded_faker(rng, "en_US" if country.code in {"JP", "AE"} else country.locale)
    core = rng.choice((faker.last_name(), " ".join(rng.sample(words["brands"], 2)).title()))
    ending = rng.choice(words["endings"][country.code])
    own = words["foreign_trades"].get(country.language)
    if own is None:
        return f"{core} {rng.choice(words['trades'][trade]).title()} {ending}".strip()
    word = rng.choice(own[trade])
    if country.code == "ID" and ending:
        return f"{ending} {core} {word}"
    return f"{word} {core} {ending}".strip()


def _brand(rng: random.Random, country: Country, name: str) -> str:
    """A line near the company that is not its name: a person, a trade mark, an outlet."""
    if not chance(rng, 0.28):
        return ""
    words = _words()
    town = rng.choice(words["towns"])[0] if country.code == "MY" else country.name
    place = rng.choice(("MALL", "PLAZA", "OUTLET", "CENTRE"))
    choices = (
        " ".join(rng.sample(words["syllables"], 3)),
        " ".join(rng.sample(words["brands"], 2)),
        f"{name.split(maxsplit=1)[0]} @ {town}",
        f"{town} BRANCH",
        f"{rng.choice(words['brands'])} {place}",
        digits(rng, 7),
    )
    return rng.choice(choices)


def _registration(rng: random.Random) -> str:
    return rng.choice(_REGISTRATIONS).format(pattern(rng, rng.choice(_NUMBERS)))
