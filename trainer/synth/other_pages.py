"""Ordinary pages that are neither receipt nor travel document, as lines: letters, papers, tables.

Each function writes one kind on a sheet. `KINDS` names them all, the look-alikes of
receipts and of travel documents too.
"""

import random
from collections.abc import Callable, Mapping

from faker import Faker

from extraction.lines import Line
from trainer.synth import receipt_lookalikes, travel_lookalikes
from trainer.synth.dice import chance
from trainer.synth.sheet_of_lines import LineSheet, amount, day

_LOCALES = (
    *("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT"),
    *("nl_NL", "pl_PL", "pt_BR", "tr_TR"),
)
_Size = tuple[float, int]  # height over width, and average characters across
_SHEETS = ((1.414, 90), (1.414, 75), (1.3, 110), (0.707, 100), (0.75, 60), (2.0, 50))
_CARDS = ((0.63, 46), (0.63, 60), (0.7, 52), (1.5, 34))
_SLIPS = ((2.4, 34), (1.8, 40), (0.45, 80), (1.414, 80))


def _letter(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    greeting, close, subject = rng.choice(
        (
            ("Dear", "Yours sincerely", "Subject"),
            ("Sehr geehrte Damen und Herren", "Mit freundlichen Grüßen", "Betreff"),
            ("Madame, Monsieur", "Cordialement", "Objet"),
            ("Estimado señor", "Atentamente", "Asunto"),
            ("Gentile cliente", "Distinti saluti", "Oggetto"),
        )
    )
    for part in (fake.company(), *fake.address().split("\n")):
        sheet.row((rng.choice((0.0, 0.6)), part))
    sheet.row((0.7, day(rng)), gap=1)
    sheet.row(f"{subject}: {fake.sentence(4)}", gap=1)
    sheet.row(f"{greeting} {fake.last_name()},", gap=1)
    for _ in range(rng.randint(1, 6)):
        sheet.prose(rng.randint(2, 6))
    sheet.row(f"{close},", gap=1)
    sheet.row(fake.name())
    if chance(rng, 0.3):
        sheet.row(f"Tel {fake.phone_number()}", (0.5, fake.email()))


def _article(sheet: LineSheet) -> None:
    rng = sheet.rng
    sheet.row(sheet.fake.sentence(6), scale=1.6)
    sheet.row(f"{sheet.fake.name()}, {day(rng)}")
    for _ in range(rng.randint(3, 9)):
        sheet.prose(rng.randint(2, 7))
    sheet.row(str(rng.randint(1, 400)))


def _columns(sheet: LineSheet) -> None:
    words = [sheet.fake.sentence(5) for _ in range(90)]
    for left, right in zip(words[::2], words[1::2], strict=True):
        sheet.row((0.0, left[:42]), (0.52, right[:42]))


def _paper(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(fake.sentence(7), scale=1.5)
    sheet.row(", ".join(fake.name() for _ in range(rng.randint(1, 4))))
    sheet.row("Abstract", gap=1)
    sheet.prose(rng.randint(3, 6))
    for number in range(1, rng.randint(2, 5)):
        sheet.row(
            f"{number} {rng.choice(('Introduction', 'Method', 'Results', 'Proof of Theorem'))}",
            gap=1,
        )
        sheet.prose(rng.randint(2, 5))
        if chance(rng, 0.6):
            sheet.row(
                (0.3, f"x_{number} = {rng.uniform(0, 9):.3f} (a + b)^{number}"),
                (0.95, f"({number})"),
            )
        if chance(rng, 0.4):
            sheet.row(f"Figure {number}: {fake.sentence(8)}")
    sheet.row(
        f"[{rng.randint(1, 40)}] {fake.name()} et al. {fake.sentence(6)} {rng.randint(1980, 2025)}."
    )


def _notes(sheet: LineSheet) -> None:
    for _ in range(sheet.rng.randint(2, 20)):
        sheet.row(
            (sheet.rng.uniform(0, 0.3), sheet.fake.sentence(sheet.rng.randint(2, 6))), gap=0.5
        )


def _curriculum(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(fake.name(), scale=1.6)
    personal = [("Address", fake.address().replace("\n", ", ")), ("Phone", fake.phone_number())]
    personal += [("Email", fake.email())]
    if chance(rng, 0.5):
        personal += [("Date of birth", day(rng, 1960, 2004)), ("Nationality", fake.country())]
        personal += [("Place of birth", fake.city()), ("Sex", rng.choice(("M", "F")))]
    sheet.form(personal)
    heads = (
        ("Work experience", "Education", "Skills"),
        ("Berufserfahrung", "Ausbildung", "Kenntnisse"),
    )
    for head in rng.choice(heads):
        sheet.row(head, scale=1.2, gap=1)
        for _ in range(rng.randint(1, 4)):
            sheet.row(
                (0.0, f"{rng.randint(1990, 2015)} - {rng.randint(2015, 2025)}"), (0.25, fake.job())
            )
            sheet.row((0.25, fake.company()))


def _contract(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(
        rng.choice(("RENTAL AGREEMENT", "EMPLOYMENT CONTRACT", "Mietvertrag", "CONTRAT DE BAIL")),
        scale=1.4,
    )
    sheet.row(f"between {fake.company()} and {fake.name()} (hereinafter the parties), {day(rng)}")
    for number in range(1, rng.randint(4, 10)):
        sheet.row(
            f"{number}. {rng.choice(('Term', 'Payment', 'Liability', 'Governing law', 'Notice'))}",
            gap=0.6,
        )
        sheet.prose(rng.randint(1, 4))
        if chance(rng, 0.3):
            sheet.row(
                f"The total of {amount(rng, 9000)} shall be paid by {day(rng)} including tax."
            )
    sheet.row((0.0, "Signature"), (0.5, "Witness"), gap=2)


def _numbers(sheet: LineSheet) -> None:
    rng = sheet.rng
    count = rng.randint(3, 7)
    decimals = rng.choice((0, 1, 2, 3))
    heads = [sheet.fake.word().capitalize() for _ in range(count)]
    body = [
        [sheet.fake.word(), *(f"{rng.uniform(0, 999):.{decimals}f}" for _ in range(count - 1))]
        for _ in range(rng.randint(5, 40))
    ]
    if chance(rng, 0.6):
        sheet.row(f"Table {rng.randint(1, 9)}. {sheet.fake.sentence(6)}")
    sheet.table(heads, body)
    if chance(rng, 0.3):
        sheet.row(
            (0.0, "Total"), *((i / count, f"{rng.uniform(0, 9999):.2f}") for i in range(1, count))
        )


def _report(sheet: LineSheet) -> None:
    rng = sheet.rng
    sheet.row(
        f"{sheet.fake.company()} - Consolidated statements {rng.randint(2005, 2025)}", scale=1.2
    )
    sheet.row((0.55, "three months ended"), (0.8, "year ended"))
    names = (
        "Revenue",
        "Cost of sales",
        "Total revenue",
        "Income tax",
        "Net income",
        "Total assets",
        "Cash and cash equivalents",
        "Accounts receivable",
        "Operating expenses",
        "Earnings per share",
    )
    for name in rng.sample(names, rng.randint(5, len(names))) * rng.randint(1, 3):
        sheet.row(
            (0.0, name),
            (0.6, f"{rng.randint(100, 99999):,}"),
            (0.85, f"({rng.randint(100, 99999):,})"),
        )
    sheet.prose(rng.randint(0, 3))


def _minutes(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(
        f"Minutes of the meeting of {day(rng)}, {rng.randint(8, 18)}:{rng.choice('0134')}0",
        scale=1.2,
    )
    sheet.row("Attendees: " + ", ".join(fake.name() for _ in range(4)))
    for number in range(1, rng.randint(3, 7)):
        sheet.row(f"{number}. {fake.sentence(4)}", gap=0.5)
        sheet.prose(rng.randint(1, 3), indent=0.05, width=0.9)


def _contents(sheet: LineSheet) -> None:
    sheet.row("Table of contents", scale=1.3)
    for number in range(1, sheet.rng.randint(8, 30)):
        dots = "." * sheet.rng.choice((0, 8, 30))
        sheet.row((0.0, f"{number} {sheet.fake.sentence(4)} {dots}"), (0.92, str(number * 7)))


def _recipe(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(fake.sentence(3), scale=1.5)
    for _ in range(rng.randint(4, 12)):
        sheet.row(f"{rng.randint(1, 500)} {rng.choice(('g', 'ml', 'tsp', 'cups'))} {fake.word()}")
    sheet.prose(rng.randint(3, 8))


def _code(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    for _ in range(rng.randint(8, 40)):
        sheet.row(
            (
                rng.choice((0.0, 0.05, 0.1)),
                f"{fake.word()}_{fake.word()} = {fake.word()}({rng.randint(0, 99)}) << 2;",
            )
        )


def _slide(sheet: LineSheet) -> None:
    sheet.row(sheet.fake.sentence(4), scale=2.2, gap=2)
    for _ in range(sheet.rng.randint(1, 6)):
        sheet.row(f"• {sheet.fake.sentence(5)}", scale=1.4, gap=1)


def _nearly_empty(sheet: LineSheet) -> None:
    rng = sheet.rng
    for _ in range(rng.randint(1, 3)):
        text = rng.choice(
            (
                str(rng.randint(1, 400)),
                sheet.fake.word(),
                sheet.fake.sentence(4),
                day(rng),
                "This page is intentionally left blank",
            )
        )
        sheet.row((rng.uniform(0, 0.7), text), gap=rng.uniform(0, 25))


def _noise(sheet: LineSheet) -> None:
    rng = sheet.rng
    signs = rng.choice(
        ("abcdefghijklmnopqrstuvwxyz", "0123456789.,", "ABCDEFGH0123<>#%/-:", "il|.,'`~-")
    )
    for _ in range(rng.randint(1, 40)):
        text = "".join(rng.choices(signs, k=rng.randint(1, 30)))
        sheet.row((rng.uniform(0, 0.8), text), gap=rng.uniform(0, 1))


KINDS: Mapping[str, Callable[[LineSheet], None]] = {
    "letter": _letter,
    "article": _article,
    "columns": _columns,
    "paper": _paper,
    "notes": _notes,
    "curriculum": _curriculum,
    "contract": _contract,
    "numbers": _numbers,
    "report": _report,
    "minutes": _minutes,
    "contents": _contents,
    "recipe": _recipe,
    "code": _code,
    "slide": _slide,
    "nearly_empty": _nearly_empty,
    "noise": _noise,
    **receipt_lookalikes.KINDS,
    **travel_lookalikes.KINDS,
}


def make_other_page(kind: str, rng: random.Random) -> list[Line]:
    """The true lines of a page of one of `KINDS`, in reading order; the same for the same `rng`."""
    sizes: tuple[_Size, ...] = _SHEETS
    if kind in travel_lookalikes.CARDS:
        sizes = _CARDS
    elif kind in receipt_lookalikes.SLIPS:
        sizes = _SLIPS
    return _written(KINDS[kind], sizes, rng)


def make_invoice_page(rng: random.Random) -> list[Line]:
    """The true lines of an invoice on letter paper, which is of the type `receipt`."""
    return _written(receipt_lookalikes.write_invoice, _SHEETS[:2], rng)


def _written(
    write: Callable[[LineSheet], None], sizes: tuple[_Size, ...], rng: random.Random
) -> list[Line]:
    fake = Faker(rng.choice(_LOCALES))
    fake.seed_instance(rng.getrandbits(48))
    aspect, columns = rng.choice(sizes)
    sheet = LineSheet(rng, fake, aspect, columns)
    write(sheet)
    if not sheet.lines:  # everything fell off the page
        sheet = LineSheet(rng, fake, aspect, columns)
        sheet.row(fake.word())
    return sheet.lines
