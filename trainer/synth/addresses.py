"""Invented addresses, in parts and in the lines of a receipt."""

import random
from collections.abc import Sequence
from functools import cache

from faker import Faker

from trainer.synth.countries import Country
from trainer.synth.dice import chance, digits, pattern, weighted
from trainer.synth.words import bank

_UNITS = (
    *("#", "##", "##A", "##-G", "#-1", "#, # & #", "LOT ###", "LOT #-##", "##G", "G-##"),
    *("PT ####", "UNIT B-##", "##-1-#"),
)
_FLOORS = ("GROUND FLOOR", "1ST FLOOR", "2ND FLOOR", "LEVEL 3", "LOT LG 12")
_STREETS = ("JALAN", "JALAN", "JALAN", "JLN", "LORONG", "PERSIARAN", "LEBUH")
_ROADS = ("ROAD", "STREET", "AVENUE", "DRIVE")
_AREAS = {"TAMAN": 6.0, "BANDAR": 3.0, "KAWASAN PERINDUSTRIAN": 1.0, "DESA": 1.0, "TMN": 0.7}
_CENTRES = ("MALL", "SHOPPING CENTRE", "SQUARE", "COMMERCIAL CENTRE")


@cache
def _faker(locale: str) -> Faker:
    faker = Faker(locale)
    for provider in faker.providers:
        if hasattr(provider, "cap_city_province"):
            # Italy's come out of a set: in an order of each process's own.
            provider.cities = sorted(provider.cities)
    return faker


def seeded_faker(rng: random.Random, locale: str) -> Faker:
    """Faker for a locale, seeded from `rng`; loading a locale is slow, so instances are kept."""
    faker = _faker(locale)
    faker.seed_instance(rng.random())
    return faker


def make_address(rng: random.Random, country: Country) -> list[str]:
    """Parts of an invented address in the order of the country."""
    own = {"MY": _malaysian, "JP": _japanese, "AE": _emirati}.get(country.code)
    if own:
        return own(rng)
    faker = seeded_faker(rng, country.locale)
    if country.code == "SG":
        road = f"{rng.randint(1, 990)} {faker.last_name()} {rng.choice(_ROADS)}"
        return [f"{road} {'#' + pattern(rng, '0#-##')}", f"SINGAPORE {digits(rng, 6)}"]
    street = faker.street_address().replace("\n", " ").replace(" ,", ",")
    if country.code == "US":
        return [street, f"{faker.city()}, {faker.state_abbr()} {faker.postcode()}"]
    if country.code in {"DE", "FR", "ES"}:
        return [street, f"{faker.postcode()} {faker.city()}"]
    return [street, f"{faker.city()} {faker.postcode()}"]


def fold(text: str, width: int) -> list[str]:
    """`text` broken between words into lines of at most `width` characters."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += " " + word
        else:
            lines.append(word)
    return lines


def address_lines(
    rng: random.Random, parts: Sequence[str], columns: int, stop: str, *, commas: bool
) -> list[str]:
    """Parts filled into lines of at most `columns`, a comma or nothing after each."""
    limit = min(columns, rng.choice((24, 30, 34, 40, 44)))
    lines: list[str] = []
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        text = part + (stop if last else "," if commas else "")
        if lines and len(lines[-1]) + 1 + len(text) <= limit and chance(rng, 0.7):
            lines[-1] += " " + text
        else:
            lines.extend(fold(text, limit))
    return lines


def _malaysian(rng: random.Random) -> list[str]:
    """Unit, street, area, postcode and town, state."""
    words = bank("merchants")
    number = pattern(rng, rng.choice(_UNITS)).replace("0", "1")
    prefix = rng.choice(("NO. ", "NO.", "NO ", "", "NO: ")) if number[0].isdigit() else ""
    lane = weighted(
        rng,
        {
            "": 3.0,
            f" {rng.randint(1, 20)}": 3.0,
            f" {rng.randint(1, 9)}/{rng.randint(1, 30)}": 4.0,
            f" {rng.choice('ABCDUS')}{rng.randint(1, 9)}/{rng.randint(1, 9)}": 1.5,
        },
    )
    parts = [f"{prefix}{number}", f"{rng.choice(_STREETS)} {rng.choice(words['streets'])}{lane}"]
    if chance(rng, 0.15):
        parts.insert(0, rng.choice(_FLOORS))
    if chance(rng, 0.12):
        parts.insert(rng.choice((0, 1)), f"{rng.choice(words['brands'])} {rng.choice(_CENTRES)}")
    if chance(rng, 0.15):
        parts.append(f"SEKSYEN {rng.randint(1, 30)}")
    if chance(rng, 0.85):
        parts.append(f"{weighted(rng, _AREAS)} {rng.choice(words['areas'])}")
    town, state = rng.choice(words["towns"])
    between = " " if chance(rng, 0.9) else ", "
    parts.append(f"{rng.randint(10, 98)}{rng.choice('0123456789')}00{between}{town}")
    if state and chance(rng, 0.85):
        parts.append(state)
    return parts


def _japanese(rng: random.Random) -> list[str]:
    """Block and quarter, ward and city, postcode, in romaji."""
    words = bank("merchants")
    index = rng.randrange(len(words["japanese_wards"]))
    block = f"{rng.randint(1, 9)}-{rng.randint(1, 30)}-{rng.randint(1, 20)}"
    quarter = rng.choice(("NISHI", "HIGASHI", "HON", "SAKAE", "MIDORI"))
    quarter += rng.choice(("MACHI", "CHO", "DAI"))
    postcode = f"{words['japanese_postcodes'][index]}{rng.randint(10, 99)}"
    return [f"{block} {quarter}", words["japanese_wards"][index], postcode]


def _emirati(rng: random.Random) -> list[str]:
    """Shop, building, post box, emirate."""
    words = bank("merchants")
    return [
        f"{rng.choice(('SHOP', 'UNIT', 'G'))} {rng.randint(1, 90)}",
        f"{rng.choice(words['brands'])} TOWER",
        f"P.O. BOX {rng.randint(1000, 99999)}",
        rng.choice(words["emirates"]),
    ]
