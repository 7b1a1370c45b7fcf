"""Short texts as documents carry them, half of them made of random characters.

A reader that sees only words learns to guess them. So every second text is a random string, and
many words have a letter changed.
"""

import random
import string
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from trainer.synth.dice import chance, pattern, weighted
from trainer.synth.vision.alphabet import ACCENTED, ASCII, MONEY, SIGNS
from trainer.synth.words import bank

_LOREM = (
    *("cs_CZ", "da_DK", "de_DE", "de_AT", "en_US", "es_ES", "fr_FR", "it_IT", "nl_NL", "pl_PL"),
    "az_AZ",
)
_PEOPLE = (
    *("cs_CZ", "da_DK", "de_DE", "en_GB", "es_ES", "et_EE", "fi_FI", "fr_FR", "hr_HR", "hu_HU"),
    *("is_IS", "it_IT", "lt_LT", "lv_LV", "nl_NL", "no_NO", "pl_PL", "pt_PT", "ro_RO", "sk_SK"),
    *("sl_SI", "sv_SE", "tr_TR", "id_ID", "en_IN", "en_US", "ga_IE"),
)
_PLACES = (
    *("cs_CZ", "de_DE", "fr_FR", "es_ES", "hu_HU", "pl_PL", "pt_PT", "ro_RO", "sk_SK", "no_NO"),
    *("hr_HR", "id_ID"),
)
_PLACE_LISTS = ("cities", "city_names", "regions", "departments", "states", "streets")
_ENOUGH_OF_ONE_LIST = 500
_CAPITALS_AND_DIGITS = string.ascii_uppercase + string.digits
_ZONE = string.ascii_uppercase + string.digits + "<<<<<<<<"
_ACCENTED_CAPITALS = "".join(c for c in ACCENTED if c.isupper())
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    *("January", "February", "Juni", "août", "março", "Dezember", "März", "lipca", "octubre"),
)
_SYMBOLS = (
    *("€", "€", "EUR", "$", "$", "£", "RM", "RM", "USD", "CHF", "kr", "zł", "Kč", "Ft", "lei"),
    *("₺", "¥", "₹", "Rp", "S$", "US$", "GBP", "MYR", "฿", "₱"),
)
_DATE_ORDERS = (
    *("{d:02}/{m:02}/{y}", "{d:02}.{m:02}.{y}", "{d:02}-{m:02}-{y}", "{y}-{m:02}-{d:02}"),
    *("{m:02}/{d:02}/{y}", "{d:02}/{m:02}/{s:02}", "{d}.{m}.{s:02}", "{d:02} {n} {y}"),
    *("{n} {d}, {y}", "{d:02}{m:02}{y}", "{d:02}-{n}-{y}", "{d:02} {n}/{n} {s:02}", "{y}/{m}/{d}"),
)
_CODES = (
    *("####", "######", "########", "##########", "@@########", "@-#####", "##-###-####", "#####"),
    *("+## ## ### ## ##", "(0#) #### ####", "0###/######", "@@## #### #### #### ####", "###/##"),
    *("@####@##", "########-@", "@@@/####/##", "#-######-######", "**** **** **** ####", "No.####"),
    *("##:##:##", "##:##", "#.###.###-@", "@@#########@@##", "X X #", "#/#", "#@", "[##]", "(##)"),
)
_PUNCTUATED = ("{},", "{}.", "{}:", "({})", '"{}"', "{};", "-{}", "{}!", "{}?", "*{}*", "'{}'")


def _listed(module: str, names: tuple[str, ...]) -> list[str]:
    """The words in the lists `names` of one of Faker's providers."""
    provider = import_module(f"faker.providers.{module}").Provider
    found: list[str] = []
    for name in names:
        words: Any = getattr(provider, name, ())
        flat = [word for entry in words for word in ((entry,) if isinstance(entry, str) else entry)]
        found += [w for w in flat if isinstance(w, str) and "{" not in w][:_ENOUGH_OF_ONE_LIST]
    return found


def _strings(value: Any) -> list[str]:
    """Every text inside nested tables and lists."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _strings(part)]


@cache
def vocabulary() -> tuple[str, ...]:
    """Words of running text, names, places, and what tills, tickets and passports print."""
    words: list[str] = []
    for locale in _LOREM:
        words += _listed(f"lorem.{locale}", ("word_list",))
    for locale in _PEOPLE:
        words += _listed(f"person.{locale}", ("last_names", "first_names"))
    for locale in _PLACES:
        words += _listed(f"address.{locale}", _PLACE_LISTS)
    for name in ("tills", "goods", "merchants", "travel"):  # tickets stay unseen: `make demo`
        words += _strings(bank(name)) * 2
    parts = [part for word in words for part in word.split() if "#" not in part]
    known = frozenset(ASCII + ACCENTED + MONEY + SIGNS)
    return tuple(part for part in parts if known.issuperset(part))


def word(rng: random.Random) -> str:
    """A word of a European language in some case, sometimes misspelt."""
    words = vocabulary()
    text = words[int(rng.random() * len(words))]
    if chance(rng, 0.3):
        text = text.upper()
    elif chance(rng, 0.14):
        text = text.title()
    if chance(rng, 0.2) and len(text) > 2:  # noqa: PLR2004 - a short word would be another one
        place = rng.randrange(len(text))
        text = text[:place] + rng.choice(string.ascii_letters + ACCENTED) + text[place + 1 :]
    return text


_SIGNS_OF_STRINGS: dict[str, float] = {
    string.ascii_lowercase: 0.3,
    string.ascii_uppercase: 0.2,
    _CAPITALS_AND_DIGITS: 0.12,
    string.ascii_letters + ACCENTED: 0.1,
    string.ascii_uppercase + _ACCENTED_CAPITALS: 0.05,
    string.digits: 0.1,
    ASCII: 0.09,
    ASCII + MONEY + SIGNS + ACCENTED: 0.04,
}


def scramble(rng: random.Random) -> str:
    """A random string: of letters, of capitals and digits, of accents, of any characters."""
    length = min(18, 1 + int(rng.expovariate(0.2)))
    signs = weighted(rng, _SIGNS_OF_STRINGS)
    text = "".join(rng.choices(signs, k=length))
    return text.capitalize() if chance(rng, 0.2) else text


def number(rng: random.Random) -> str:
    """An amount in one of the ways of writing it, without a currency."""
    value = rng.randrange(1, 10 ** rng.choice((3, 4, 4, 5, 5, 6, 8)))
    text = f"{value / 100:,.2f}" if chance(rng, 0.85) else f"{value:,}"
    thousands = weighted(rng, {",": 0.44, ".": 0.3, "": 0.2, "'": 0.06})
    if thousands == ".":
        return text.translate(str.maketrans(",.", ".,"))
    return text.replace(",", thousands)


_FORMS_OF_PRICES = {
    "{0}": 0.41,
    "{1}{0}": 0.22,
    "{1} {0}": 0.12,
    "{0} {1}": 0.14,
    "-{0}": 0.05,
    "{0}{2}": 0.03,
    "{0}%": 0.03,
}


def price(rng: random.Random) -> str:
    """An amount, mostly with a sign or a currency."""
    text = number(rng)
    form = weighted(rng, _FORMS_OF_PRICES)
    return form.format(text, rng.choice(_SYMBOLS), rng.choice(("-", " A", "*", "%", " SR", "T")))


def date(rng: random.Random) -> str:
    """A date in one of the orders in use."""
    year = rng.randint(1930, 2039)
    return rng.choice(_DATE_ORDERS).format(
        d=rng.randint(1, 31),
        m=rng.randint(1, 12),
        y=year,
        s=year % 100,
        n=rng.choice(_MONTHS) if chance(rng, 0.7) else rng.choice(_MONTHS).upper(),
    )


def code(rng: random.Random) -> str:
    """A number of a document, a telephone, a time, an account."""
    return pattern(rng, rng.choice(_CODES))


def address(rng: random.Random) -> str:
    """A web or mail address, or a path."""
    first, second = (
        "".join(c for c in word(rng).lower() if c in string.ascii_lowercase) or "a" for _ in "ab"
    )
    return rng.choice(("www.{0}.{1}", "{0}@{1}.com", "http://{0}.{1}/", "{0}.{1}@mail.eu")).format(
        first, second
    )


def zone(rng: random.Random, length: int) -> str:
    """A line of `length` characters in the style of a machine-readable zone."""
    body = "".join(rng.choices(_ZONE, k=rng.randint(length // 3, length)))
    return (body + "<" * length)[:length]


def label(rng: random.Random) -> str:
    """A word, or in one of four cases a random string."""
    return word(rng) if chance(rng, 0.75) else scramble(rng)


_KINDS: dict[Callable[[random.Random], str], float] = {
    word: 0.4,
    scramble: 0.24,
    price: 0.12,
    date: 0.07,
    code: 0.12,
    address: 0.05,
}


def any_text(rng: random.Random) -> str:
    """One text of any kind."""
    text = weighted(rng, _KINDS)(rng)
    return rng.choice(_PUNCTUATED).format(text) if chance(rng, 0.12) else text


def phrase(rng: random.Random, length: int, draw: Callable[[random.Random], str] = any_text) -> str:
    """Texts with spaces between them, at most `length` characters; at least one character."""
    parts: list[str] = []
    left = length
    while left > 0:
        part = draw(rng)
        if len(part) > left:
            if not parts:
                parts.append(part[:left].strip() or "X")
            break
        parts.append(part)
        left -= len(part) + 1
    return " ".join(parts)
