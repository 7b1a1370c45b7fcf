"""Writes sentences, titles, names and figures of one language; the same for the same draws."""

import random
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from functools import cache

from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent
from faker import Faker

from trainer.synth.pages.words_of import Words, words_of

_FIRST_DAY = date(1921, 1, 1)
_DAYS = 36_000
_RECENT = date(2001, 1, 1)
_TRIES = 50


@cache
def _faker(locale: str) -> Faker:
    return Faker(locale)


class Writer:
    """Writes in one language.

    No sentence comes twice, so that a page's text has one place for each.

    Args:
        rng: the only source of randomness.
        code: ISO 639-1 code of the language.
    """

    def __init__(self, rng: random.Random, code: str) -> None:
        self.rng = rng
        self.words: Words = words_of(code)
        self._fake = _faker(self.words.locale)
        self._fake.seed_instance(rng.getrandbits(64))
        self._written: set[str] = set()
        self._topic = rng.choice(self.words.prose["topics"])

    def label(self, name: str) -> str:
        """A printed caption."""
        return str(self.words.labels[name])

    def label_list(self, name: str) -> list[str]:
        """A list of printed captions."""
        return list(self.words.labels[name])

    def some_of(self, name: str, count: int) -> list[str]:
        """Some of a list of captions, each once."""
        choices = list(self.words.labels[name])
        return self.rng.sample(choices, min(count, len(choices)))

    def sentence(self) -> str:
        """A statement that the page has not made yet."""
        return self._new(self._sentence)

    def sentences(self, least: int, most: int) -> str:
        """Several statements after each other."""
        return " ".join(self.sentence() for _ in range(self.rng.randint(least, most)))

    def finding(self) -> str:
        """A statement of a physician."""
        days = str(self.rng.randint(2, 20))
        found = self._new(lambda: str(self.rng.choice(self.words.labels["findings"])))
        return found.replace("{n}", days)

    def item(self) -> str:
        """A thing to do, for a list."""
        text = self._new(lambda: self.rng.choice(self.words.prose["items"]))
        return capitalised(text)

    def title(self) -> str:
        """A title on the page's topic or another one."""
        return capitalised(self._new(self._title))

    @property
    def topic(self) -> str:
        """What the page is about."""
        return capitalised(self._topic)

    def person(self, *, woman: bool | None = None) -> str:
        """First and last name; of a woman or a man by chance where None."""
        if woman is None:
            woman = self.rng.random() < 0.5  # noqa: PLR2004 half of them
        if woman:
            return f"{self._fake.first_name_female()} {self._fake.last_name_female()}"
        return f"{self.given_name()} {self.surname()}"

    def given_name(self) -> str:
        """A first name of a man."""
        return str(self._fake.first_name_male())

    def surname(self) -> str:
        """A last name of a man."""
        return str(self._fake.last_name_male())

    def city(self) -> str:
        """A town."""
        return self.rng.choice(list(self.words.cities))

    def organisation(self) -> str:
        """A firm or an institution."""
        pattern = self.rng.choice(list(self.words.organisations))
        return str(pattern.format(name=self.surname(), city=self.city()))

    def street(self) -> str:
        """Street and number."""
        return " ".join(str(self._fake.street_address()).split())

    def postcode(self) -> str:
        """A postal code."""
        return str(self._fake.postcode())

    def phone(self) -> str:
        """A telephone number."""
        return str(self._fake.phone_number())

    def email(self) -> str:
        """An address at a domain that belongs to nobody."""
        return str(self._fake.ascii_safe_email())

    def day(self) -> date:
        """A day of the last hundred years."""
        return _FIRST_DAY + timedelta(days=self.rng.randrange(_DAYS))

    def dated(self, day: date | None = None, form: str = "long") -> str:
        """A day as it is written in the language."""
        text = format_date(day or self.day(), format=form, locale=self.words.locale)
        return _plain(text)

    def money(self, amount: Decimal) -> str:
        """An amount with its currency."""
        return _plain(format_currency(amount, self.words.currency, locale=self.words.locale))

    def amount(self, value: Decimal) -> str:
        """An amount without its currency, with two places."""
        return _plain(format_decimal(value, format="#,##0.00", locale=self.words.locale))

    def recent_day(self) -> date:
        """A day of this century's first quarter."""
        return _RECENT + timedelta(days=self.rng.randrange(9_000))

    def number(self, value: float | Decimal) -> str:
        """A number with the language's signs."""
        return _plain(format_decimal(value, locale=self.words.locale))

    def percent(self, ratio: float, places: int = 1) -> str:
        """A share of 0 to 1 in per cent."""
        pattern = "#,##0." + "0" * places + "%"
        return _plain(format_percent(ratio, format=pattern, locale=self.words.locale))

    def _sentence(self) -> str:
        prose = self.words.prose
        opener = self.rng.choice(prose["openers"])
        body = " ".join((self.rng.choice(prose["subjects"]), self.rng.choice(prose["predicates"])))
        end = self.rng.choice(prose["circumstances"])
        return capitalised(self._filled(f"{opener}{body}{end}."))

    def _title(self) -> str:
        topic = self._topic
        if self.rng.random() < 0.6:  # noqa: PLR2004 most sections are about something else
            topic = self.rng.choice(self.words.prose["topics"])
        return str(self.rng.choice(self.words.prose["angles"])).format(topic=topic)

    def _filled(self, pattern: str) -> str:
        if "{percent}" in pattern:
            pattern = pattern.replace("{percent}", self.percent(self.rng.uniform(0.02, 0.96)))
        return pattern.replace("{n}", self.number(self.rng.randint(2, 1999)))

    def _new(self, write: Callable[[], str]) -> str:
        text = write()
        for _ in range(_TRIES):
            if text not in self._written:
                break
            text = write()
        self._written.add(text)
        return text


def capitalised(text: str) -> str:
    """With a capital first letter and the rest as it is."""
    return text[:1].upper() + text[1:]


def _plain(text: str) -> str:
    """Ordinary spaces for the narrow and unbreakable ones of number formats."""
    return " ".join(text.split())
