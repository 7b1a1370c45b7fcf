"""Pages that name a person as travel documents do and are none, as lines of text.

Boarding passes, licences, membership cards, certificates, and forms that ask for everything that a
passport says.
"""

from collections.abc import Callable, Mapping

from trainer.synth.dice import chance
from trainer.synth.sheet_of_lines import LineSheet, day, goods, number


def _boarding_pass(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(
        (0.0, rng.choice(("BOARDING PASS", "Bordkarte", "CARTE D'EMBARQUEMENT"))),
        (0.6, fake.company()),
        scale=1.3,
    )
    sheet.form(
        [
            ("Passenger name", f"{fake.last_name()}/{fake.first_name()} MR".upper()),
            ("From", fake.city()),
            ("To", fake.city()),
            ("Flight", f"LH{rng.randint(10, 9999)}"),
            ("Date", day(rng)),
            ("Gate", f"B{rng.randint(1, 60)}"),
            ("Seat", f"{rng.randint(1, 40)}C"),
            ("Boarding time", f"{rng.randint(5, 22):02}:{rng.randint(10, 59)}"),
            ("Class", "Y"),
        ]
    )
    if chance(rng, 0.4):
        sheet.row(f"Passport {number(sheet)} DOCS OK")
    if chance(rng, 0.3):
        sheet.row(
            f"M1{fake.last_name()}/{fake.first_name()} E{number(sheet)} FRALHR{number(sheet)}"
        )


def _business_card(sheet: LineSheet) -> None:
    fake = sheet.fake
    sheet.row(fake.name(), scale=1.3, gap=2)
    sheet.row(fake.job())
    sheet.row(fake.company(), gap=1)
    for part in (
        *fake.address().split("\n"),
        f"Tel {fake.phone_number()}",
        f"Mobile {fake.phone_number()}",
        fake.email(),
        f"www.{fake.domain_name()}",
    ):
        if chance(sheet.rng, 0.8):
            sheet.row(part)


def _person(sheet: LineSheet) -> list[tuple[str, str]]:
    """What cards and forms ask of a person, in one of a few languages."""
    rng, fake = sheet.rng, sheet.fake
    labels = rng.choice(
        (
            ("Surname", "Given names", "Date of birth", "Place of birth", "Nationality", "Sex"),
            ("Last name", "First name", "DOB", "Birthplace", "Citizenship", "Gender"),
            ("Name", "Vorname", "Geburtsdatum", "Geburtsort", "Staatsangehörigkeit", "Geschlecht"),
            ("Nom", "Prénom", "Date de naissance", "Lieu de naissance", "Nationalité", "Sexe"),
            (
                "Apellidos",
                "Nombre",
                "Fecha de nacimiento",
                "Lugar de nacimiento",
                "Nacionalidad",
                "Sexo",
            ),
            ("Cognome", "Nome", "Data di nascita", "Luogo di nascita", "Cittadinanza", "Sesso"),
        )
    )
    values = (
        fake.last_name(),
        fake.first_name(),
        day(rng, 1940, 2010),
        fake.city(),
        fake.country(),
        rng.choice("MFX"),
    )
    is_upper = chance(rng, 0.5)
    pairs = [
        (label, value.upper() if is_upper else value)
        for label, value in zip(labels, values, strict=True)
    ]
    return pairs[: rng.randint(2, 6)]


def _licence(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(
        rng.choice(
            (
                "DRIVING LICENCE",
                "DRIVER LICENSE",
                "FÜHRERSCHEIN",
                "PERMIS DE CONDUIRE",
                "PATENTE DI GUIDA",
                "RIJBEWIJS",
            )
        ),
        scale=1.2,
    )
    if chance(rng, 0.5):
        values = [
            fake.last_name(),
            fake.first_name(),
            f"{day(rng, 1940, 2005)} {fake.city()}",
            day(rng),
            day(rng),
            number(sheet),
            fake.address().replace("\n", ", "),
        ]
        for mark, value in zip(("1.", "2.", "3.", "4a.", "4b.", "5.", "8."), values, strict=True):
            sheet.row(f"{mark} {value}")
        sheet.row("9. AM/B1/B")
        return
    sheet.form(
        [
            *_person(sheet),
            ("DL", number(sheet)),
            ("Class", "C"),
            ("EXP", day(rng, 2015)),
            ("ISS", day(rng)),
            ("HGT", "5-09"),
            ("Address", fake.address().replace("\n", ", ")),
        ]
    )


def _badge(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(
        rng.choice(
            (
                "STUDENT CARD",
                "STAFF ID",
                "Membership card",
                "Library card",
                "HEALTH INSURANCE CARD",
                "Studierendenausweis",
                "Carte de membre",
                "VISITOR",
            )
        ),
        scale=1.3,
    )
    sheet.row(fake.company())
    sheet.form(
        [
            *_person(sheet)[:4],
            (rng.choice(("Card no", "ID", "Member no", "Nr")), number(sheet)),
            (rng.choice(("Valid until", "Expires", "Gültig bis")), day(rng, 2010)),
        ]
    )


def _certificate(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(
        rng.choice(
            (
                "CERTIFICATE OF BIRTH",
                "Geburtsurkunde",
                "ACTE DE NAISSANCE",
                "MARRIAGE CERTIFICATE",
                "DIPLOMA",
                "VACCINATION CERTIFICATE",
            )
        ),
        scale=1.5,
    )
    if chance(rng, 0.5):
        sheet.row(rng.choice(("Republic of", "Kingdom of", "State of")) + f" {fake.country()}")
    sheet.form(
        [
            *_person(sheet),
            ("Father", fake.name()),
            ("Mother", fake.name()),
            ("Registrar", fake.name()),
            ("Date of issue", day(rng)),
        ]
    )
    sheet.prose(rng.randint(0, 2))
    sheet.row("I certify that this is a true copy", (0.6, "Authority: " + fake.city()), gap=1)


def _application(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(
        rng.choice(
            (
                "VISA APPLICATION FORM",
                "Application for employment",
                "Passport application",
                "Anmeldung",
                "Registration form",
                "Formulaire de demande",
                "Hotel registration",
            )
        ),
        scale=1.3,
    )
    sheet.row("Please complete in block capitals. For official use only.")
    pairs = [
        *_person(sheet),
        ("Address", fake.address().replace("\n", ", ")),
        ("Email", fake.email()),
        ("Telephone", fake.phone_number()),
        ("Occupation", fake.job()),
    ]
    extra = [
        ("Passport number", number(sheet)),
        ("Date of issue", day(rng)),
        ("Date of expiry", day(rng, 2015)),
        ("Issuing authority", fake.city()),
        ("Marital status", "single"),
        ("Purpose of visit", fake.word()),
    ]
    if chance(rng, 0.3):
        pairs = [(label, "") for label, _ in pairs]
    sheet.form([*pairs, *rng.sample(extra, rng.randint(1, 6))])
    sheet.prose(rng.randint(0, 3))
    sheet.row((0.0, "Signature of applicant"), (0.6, f"Date {day(rng)}"), gap=1)


def _medical(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(f"{fake.last_name()} Hospital, {fake.city()}", scale=1.3)
    sheet.form([("Patient", fake.name()), *_person(sheet)[2:], ("Ward", str(rng.randint(1, 20)))])
    body = [
        [
            goods(sheet),
            f"{rng.uniform(0.1, 200):.2f}",
            "mg/dl",
            f"{rng.randint(1, 50)}-{rng.randint(51, 200)}",
        ]
        for _ in range(rng.randint(3, 14))
    ]
    sheet.table(("Test", "Result", "Unit", "Range"), body)
    sheet.prose(rng.randint(0, 3))


CARDS = frozenset({"boarding_pass", "business_card", "licence", "badge"})

KINDS: Mapping[str, Callable[[LineSheet], None]] = {
    "boarding_pass": _boarding_pass,
    "business_card": _business_card,
    "licence": _licence,
    "badge": _badge,
    "certificate": _certificate,
    "application": _application,
    "medical": _medical,
}
