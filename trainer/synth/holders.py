"""Invented holders and their documents: each value as the page prints it and as the zone has it."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import pycountry

from extraction.mrz import MrzFormat, build_mrz
from trainer.synth.addresses import seeded_faker
from trainer.synth.dice import chance, digits, pattern, weighted
from trainer.synth.words import bank

_FORMATS = {
    MrzFormat.TD3: 0.66,
    MrzFormat.TD1: 0.14,
    MrzFormat.TD2: 0.1,
    MrzFormat.MRV_A: 0.05,
    MrzFormat.MRV_B: 0.05,
}
VISAS = frozenset({MrzFormat.MRV_A, MrzFormat.MRV_B})
_LONG_NUMBER = 9
# For states without an entry in the word bank.
_OTHER_LOCALES = (
    *("en_US", "en_GB", "en_IN", "en_NG", "en_KE", "fr_FR", "es_ES", "pt_BR"),
    *("id_ID", "tr_TR", "it_IT", "de_DE"),
)
_OTHER_LANGUAGES = (("en",), ("en", "fr"), ("fr", "en"), ("es", "en"), ("en", "es"))


@dataclass(frozen=True)
class TravelDocument:
    """One invented document.

    Attributes:
        format: of its machine-readable zone.
        title: of the issuing state, as printed at the top.
        languages: of the labels, first the state's own.
        printed: field name -> text on the page; a field that is not printed has no key.
        sex_text: how the sex is printed, as "K/F"; the answer is the letter M, F or X.
        mrz: the lines of the zone.
    """

    format: MrzFormat
    title: str
    languages: tuple[str, ...]
    printed: dict[str, str]
    sex_text: str
    mrz: tuple[str, ...]


@cache
def _codes() -> tuple[str, ...]:
    """Alpha-3 codes in the zone: ISO 3166, with D for Germany, and Utopia of the specimens."""
    codes = sorted(country.alpha_3 for country in pycountry.countries)
    return (*("D" if code == "DEU" else code for code in codes), "UTO")


def make_travel_document(rng: random.Random, mrz_format: MrzFormat | None) -> TravelDocument:
    """A document of an invented person; of a random format where none is given."""
    form = mrz_format or weighted(rng, _FORMATS)
    code = rng.choice(list(bank("travel")["states"])) if chance(rng, 0.62) else rng.choice(_codes())
    title, languages, locale, demonyms = _state(rng, code)
    sex = weighted(rng, {"M": 49.0, "F": 49, "X": 2})
    surname, given = _names(rng, locale, sex)
    born = _day(rng, 1930, 2022)
    issued = _day(rng, max(2000, born.year), 2025)
    expires = _later(issued, rng.choice((5, 10, 10, 10, 3)) if form not in VISAS else 1)
    expires -= timedelta(days=rng.choice((0, 0, 1)))
    nationality = code
    if form in VISAS or chance(rng, 0.03):
        nationality = rng.choice(_codes())
        demonyms = (nationality,)
    number, zone_number = _number(rng, form)
    personal, zone_personal = _personal_number(rng, form, born)
    kind = _document_code(rng, form)
    write_date = _date_writer(rng, languages)
    faker = seeded_faker(rng, locale)
    case = str.upper if chance(rng, 0.78) else str
    printed = {
        "document_type": kind,
        "issuing_country": code,
        "document_number": number,
        "surname": surname.upper() if chance(rng, 0.88) else surname,
        "given_names": case(given),
        "nationality": rng.choice((*demonyms, nationality)),
        "date_of_birth": write_date(born),
        "sex": sex,
        "place_of_birth": case(faker.city()),
        "date_of_issue": write_date(issued),
        "date_of_expiry": write_date(expires),
        "issuing_authority": rng.choice(
            bank("travel")["authorities"][rng.choice((languages[0], languages[0], "en"))]
        ),
        "place_of_issue": case(faker.city()),
        "personal_number": personal,
    }
    lines = build_mrz(
        form,
        document_code=kind,
        issuing_state=code,
        surname=surname,
        given_names=given,
        document_number=zone_number,
        nationality=nationality,
        date_of_birth=born,
        sex=sex,
        date_of_expiry=expires,
        optional_data=zone_personal
        if form is not MrzFormat.TD1 or len(zone_number) <= _LONG_NUMBER
        else "",
        empty_check=rng.choice("<0"),
    )
    own_sex = "K" if sex == "F" and "pl" in languages else sex
    sex_text = rng.choice((sex, sex, sex, f"{own_sex}/{sex}"))
    return TravelDocument(form, title, languages, _kept(rng, form, printed), sex_text, lines)


def _state(rng: random.Random, code: str) -> tuple[str, tuple[str, ...], str, tuple[str, ...]]:
    known = bank("travel")["states"].get(code)
    if known:
        count = rng.randint(1, len(known["languages"]))
        languages = tuple(known["languages"][:count])
        return known["title"], languages, known["locale"], tuple(known["demonyms"])
    name = pycountry.countries.get(alpha_3=code).name.upper()
    return name, rng.choice(_OTHER_LANGUAGES), rng.choice(_OTHER_LOCALES), (name,)


def _names(rng: random.Random, locale: str, sex: str) -> tuple[str, str]:
    faker = seeded_faker(rng, locale)
    female = sex == "F" or (sex == "X" and chance(rng, 0.5))
    first = faker.first_name_female if female else faker.first_name_male
    last = (
        faker.last_name_female if female and hasattr(faker, "last_name_female") else faker.last_name
    )
    surname = str(last())
    if chance(rng, 0.1):
        surname += rng.choice((" ", "-")) + str(last())
    given = [str(first())]
    while chance(rng, 0.4) and len(given) < 4:  # noqa: PLR2004 - no zone holds more names
        given.append(str(first()))
    return surname, " ".join(given)


def _number(rng: random.Random, form: MrzFormat) -> tuple[str, str]:
    """The document number as printed and without its spaces."""
    shapes = (
        "@########",
        "@@#######",
        "#########",
        "########",
        "@#######",
        "@##@##@##",
        "@@######",
        "@@####@##",
    )
    number = pattern(rng, rng.choice(shapes))
    if form is MrzFormat.TD1 and chance(rng, 0.08):
        number = pattern(rng, rng.choice(("@@##########", "##########@")))
    if number[:2].isalpha() and chance(rng, 0.12):
        return f"{number[:2]} {number[2:]}", number
    return number, number


def _personal_number(rng: random.Random, form: MrzFormat, born: date) -> tuple[str, str]:
    """The personal number as printed and as the zone has it; both "" where there is none."""
    room = {MrzFormat.TD3: 14, MrzFormat.TD1: 15, MrzFormat.TD2: 7}.get(form, 0)
    if not room or chance(rng, 0.55):
        return "", ""
    day = born.strftime("%y%m%d")
    shapes = {
        f"{day}-{digits(rng, 4)}": 2.0,
        f"{day}/{digits(rng, 3)}": 1,
        digits(rng, 9): 2,
        digits(rng, 11): 2,
        pattern(rng, "@@ ###### @"): 0.7,
        pattern(rng, "########-@"): 1,
        day + digits(rng, 5): 1.5,
        digits(rng, 7): 1,
    }
    printed = weighted(rng, shapes)
    plain = "".join(sign for sign in printed if sign.isalnum())
    zone = printed.replace("/", "-") if chance(rng, 0.4) and "-" in printed else plain
    return (printed, zone) if len(zone) <= room else ("", "")


def _document_code(rng: random.Random, form: MrzFormat) -> str:
    if form in VISAS:
        return weighted(rng, {"V": 4.0, "VC": 0.5, "VD": 0.3})
    if form is MrzFormat.TD3:
        return weighted(rng, {"P": 8.0, "PO": 0.4, "PD": 0.4, "PS": 0.2, "PP": 0.3, "PN": 0.2})
    return weighted(rng, {"I": 3.0, "ID": 4, "AC": 0.2, "C": 0.4, "IR": 0.5})


def _date_writer(rng: random.Random, languages: tuple[str, ...]) -> Callable[[date], str]:
    """How this state prints dates: one pattern for the whole page."""
    style = weighted(
        rng,
        {
            "{d:02} {m} {y:04}": 4.0,
            "{d:02}.{n:02}.{y:04}": 3,
            "{d:02} {m}/{l} {s:02}": 2.5,
            "{d:02} {m}/{l} {y:04}": 1.5,
            "{y:04}-{n:02}-{d:02}": 1.2,
            "{d:02}/{n:02}/{y:04}": 2,
            "{d:02} {n:02} {y:04}": 0.8,
            "{d:02}-{n:02}-{y:04}": 0.6,
            "{d:02} {m} / {l} {y:04}": 0.5,
        },
    )
    months = bank("travel")["months"]
    own = (language for language in languages if language in months and language != "en")
    local = months[next(own, "en") if "{l}" in style else "en"]

    def write(day: date) -> str:
        return style.format(
            d=day.day,
            n=day.month,
            y=day.year,
            s=day.year % 100,
            m=local[day.month - 1],
            l=months["en"][day.month - 1],
        )

    return write


def _day(rng: random.Random, first: int, last: int) -> date:
    start = date(first, 1, 1)
    return start + timedelta(days=rng.randrange((date(last, 12, 31) - start).days))


def _later(day: date, years: int) -> date:
    """The same day so many years on; 28 February where that year has no 29th."""
    leap = day.month == 2 and day.day == 29  # noqa: PLR2004 - the calendar
    return day.replace(year=day.year + years, day=28 if leap else day.day)


def _kept(rng: random.Random, form: MrzFormat, printed: dict[str, str]) -> dict[str, str]:
    """Without what this state does not print."""
    rare = {
        "place_of_issue": 0.35,
        "issuing_authority": 0.75,
        "place_of_birth": 0.88,
        "date_of_issue": 0.9,
    }
    if form is not MrzFormat.TD3:
        rare |= {
            "document_type": 0.55,
            "issuing_country": 0.6,
            "place_of_birth": 0.6,
            "date_of_issue": 0.6,
            "issuing_authority": 0.4,
        }
    dropped = {name for name, share in rare.items() if not chance(rng, share)}
    if chance(rng, 0.05):
        dropped |= {rng.choice(("sex", "nationality", "date_of_expiry"))}
    return {name: text for name, text in printed.items() if text and name not in dropped}
