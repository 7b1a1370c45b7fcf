"""Pages with goods, amounts or dates that are no receipt, as lines of text.

Delivery notes and price lists, offers, statements, payslips, tickets. And the one that is asked for
like a receipt although it looks like these: the invoice on a sheet of letter paper.
"""

from collections.abc import Callable, Mapping

from trainer.synth.dice import chance
from trainer.synth.sheet_of_lines import LineSheet, amount, day, goods, number


def write_invoice(sheet: LineSheet) -> None:
    """An invoice; of the type `receipt`."""
    rng, fake = sheet.rng, sheet.fake
    title, until, words = rng.choice(
        (
            ("INVOICE", "Due date", ("Subtotal", "VAT", "Total", "Amount due")),
            ("TAX INVOICE", "Payment due", ("Net total", "GST", "Total incl. GST", "Balance due")),
            ("Rechnung", "Zahlbar bis", ("Zwischensumme", "MwSt.", "Gesamtbetrag", "Zu zahlen")),
            ("FACTURE", "Date d'échéance", ("Total HT", "TVA", "Total TTC", "Net à payer")),
            ("Factura", "Vencimiento", ("Base imponible", "IVA", "Total", "Importe total")),
            ("Fattura", "Scadenza", ("Imponibile", "IVA", "Totale", "Totale da pagare")),
        )
    )
    for part in (fake.company(), *fake.address().split("\n"), f"Tel {fake.phone_number()}"):
        sheet.row(part)
    sheet.row((rng.choice((0.0, 0.6)), title), scale=1.5, gap=1)
    sheet.form(
        [
            ("No", number(sheet)),
            ("Date", day(rng)),
            (until, day(rng)),
            ("VAT No", number(sheet)),
            ("Bill to", fake.name()),
        ]
    )
    body = [
        [goods(sheet), str(rng.randint(1, 20)), amount(rng), amount(rng)]
        for _ in range(rng.randint(1, 12))
    ]
    sheet.table(("Description", "Qty", "Price", "Amount"), body)
    for word in words[rng.randint(0, 1) : rng.randint(3, 4)]:
        sheet.row((0.6, word), (0.82, amount(rng, 4000)))
    if chance(rng, 0.5):
        sheet.row(f"IBAN {fake.iban()}", gap=1)
    if chance(rng, 0.4):
        sheet.row(rng.choice(("Thank you for your business", "Paid", "Vielen Dank", "Merci")))


def _delivery_note(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(
        rng.choice(
            ("DELIVERY NOTE", "PACKING LIST", "Lieferschein", "BON DE LIVRAISON", "Albarán")
        ),
        scale=1.4,
    )
    sheet.row(fake.company())
    sheet.row(fake.address().replace("\n", ", "))
    sheet.form(
        [
            ("Order No", number(sheet)),
            ("Date", day(rng)),
            ("Ship to", fake.name()),
            ("Carrier", fake.company()),
        ]
    )
    heads = rng.choice(
        (("Item", "Description", "Qty", "Unit"), ("Pos", "Artikel", "Menge", "Einheit"))
    )
    body = [
        [str(i), goods(sheet), str(rng.randint(1, 60)), rng.choice(("pcs", "kg", "box"))]
        for i in range(1, rng.randint(3, 16))
    ]
    sheet.table(heads, body)
    sheet.row(f"Total weight {rng.uniform(1, 900):.1f} kg")
    sheet.row((0.0, "Received by"), (0.5, "Signature"), gap=2)


def _price_list(sheet: LineSheet) -> None:
    rng = sheet.rng
    title = rng.choice(("Price list", "Preisliste", "Tarifs", "Catalogue", "Listino prezzi"))
    sheet.row(f"{sheet.fake.company()} {title} {rng.randint(2005, 2026)}", scale=1.3)
    for _ in range(rng.randint(6, 40)):
        code = number(sheet) if chance(rng, 0.5) else ""
        sheet.row((0.0, f"{code} {goods(sheet)}"), (0.8, amount(rng)))
    sheet.row(
        rng.choice(
            ("All prices excl. VAT", "Prices include tax and may change", "Preise inkl. MwSt")
        ),
        gap=1,
    )


def _menu(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(
        f"{fake.last_name()} {rng.choice(('Restaurant', 'Café', 'Bistro', 'Trattoria'))}", scale=1.8
    )
    for head in rng.sample(
        (
            "Starters",
            "Soups",
            "Main courses",
            "Desserts",
            "Beverages",
            "Antipasti",
            "Vorspeisen",
            "Plats",
        ),
        3,
    ):
        sheet.row(head, scale=1.2, gap=1)
        for _ in range(rng.randint(2, 8)):
            sheet.row((0.0, goods(sheet)), (0.82, amount(rng, 40)))
            if chance(rng, 0.5):
                sheet.row(f"served with {fake.word()}, {fake.word()} and {fake.word()}")


def _offer(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(
        rng.choice(
            (
                "QUOTATION",
                "PURCHASE ORDER",
                "Angebot",
                "DEVIS",
                "Estimate",
                "Presupuesto",
                "Preventivo",
            )
        ),
        scale=1.4,
    )
    sheet.row(fake.company())
    sheet.row(fake.address().replace("\n", ", "))
    sheet.form(
        [
            ("No", number(sheet)),
            ("Date", day(rng)),
            ("Valid until", day(rng, 2020)),
            ("Prepared for", fake.name()),
        ]
    )
    body = [
        [goods(sheet), str(rng.randint(1, 20)), amount(rng), amount(rng)]
        for _ in range(rng.randint(2, 9))
    ]
    sheet.table(("Description", "Qty", "Unit price", "Amount"), body)
    for name in ("Subtotal", "VAT", "Total"):
        sheet.row((0.6, name), (0.8, amount(rng, 4000)))
    sheet.row(
        rng.choice(
            (
                "We look forward to your order",
                "Please sign to accept this offer",
                "Delivery within 14 days after order",
            )
        ),
        gap=1,
    )


def _bank_statement(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(f"{fake.last_name()} Bank", scale=1.5)
    sheet.row(
        rng.choice(
            (
                "Account statement",
                "Kontoauszug",
                "Relevé de compte",
                "Estado de cuenta",
                "Estratto conto",
            )
        )
    )
    sheet.form(
        [
            ("Account holder", fake.name()),
            ("IBAN", fake.iban()),
            ("Period", f"{day(rng)} - {day(rng)}"),
        ]
    )
    sheet.row((0.0, "Opening balance"), (0.85, amount(rng, 9000)), gap=1)
    body = [
        [
            day(rng),
            rng.choice(("Card payment ", "Cash withdrawal ", "Transfer ", "Direct debit ", ""))
            + fake.company(),
            amount(rng),
            amount(rng, 9000),
        ]
        for _ in range(rng.randint(5, 30))
    ]
    sheet.table(("Date", "Description", "Debit", "Balance"), body)
    sheet.row((0.0, "Closing balance"), (0.85, amount(rng, 9000)))


def _payslip(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(rng.choice(("PAYSLIP", "Gehaltsabrechnung", "Bulletin de paie", "Nómina")), scale=1.4)
    sheet.form(
        [
            ("Employer", fake.company()),
            ("Employee", fake.name()),
            ("Date of birth", day(rng, 1960, 2005)),
            ("Pay date", day(rng)),
            ("Employee number", number(sheet)),
        ]
    )
    for name in (
        "Basic salary",
        "Overtime",
        "Gross pay",
        "Income tax",
        "National insurance",
        "Pension",
        "Total deductions",
        "Net pay",
    ):
        sheet.row((0.0, name), (0.8, amount(rng, 6000)))


def _event_ticket(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(
        rng.choice(("ADMIT ONE", "TICKET", "Eintrittskarte", "BILLET", "e-Ticket", "Train ticket")),
        scale=1.4,
    )
    sheet.row(
        f"{fake.last_name()} {rng.choice(('Festival', 'Orchestra', 'Live', 'Express'))}", scale=1.3
    )
    sheet.row(
        f"{day(rng, 2005)} {rng.randint(10, 21)}:{rng.choice(('00', '30'))}", (0.5, fake.city())
    )
    sheet.row(
        f"Row {rng.randint(1, 40)}  Seat {rng.randint(1, 60)}", (0.5, f"Coach {rng.randint(1, 20)}")
    )
    if chance(rng, 0.6):
        sheet.row((0.0, "Price"), (0.4, amount(rng, 150)))
    sheet.row(number(sheet))


def _booking(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row("Booking confirmation", scale=1.4)
    sheet.form(
        [
            ("Guest name", fake.name()),
            ("Nationality", fake.country()),
            ("Check-in", day(rng)),
            ("Check-out", day(rng)),
            ("Hotel", fake.company()),
            ("Room", goods(sheet)),
            ("Total price", amount(rng)),
            ("Confirmation", number(sheet)),
        ]
    )
    sheet.prose(rng.randint(1, 4))


def _shipping_label(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    for head in ("FROM", "SHIP TO"):
        sheet.row(head, gap=1)
        for part in (fake.name(), *fake.address().split("\n")):
            sheet.row(part, scale=1.2)
    sheet.row(f"TRACKING # {number(sheet)} {number(sheet)}", gap=1)
    sheet.row(f"WEIGHT {rng.uniform(0.1, 30):.2f} KG", (0.5, day(rng)))


def _advertisement(sheet: LineSheet) -> None:
    rng, fake = sheet.rng, sheet.fake
    sheet.row(
        rng.choice(("SALE", "SPECIAL OFFER", "Angebot der Woche", "PROMO", "Black Friday")),
        scale=2.2,
    )
    for _ in range(rng.randint(2, 8)):
        sheet.row((0.0, goods(sheet)), (0.5, f"only {amount(rng, 90)}"), scale=1.3)
        sheet.row(f"-{rng.randint(10, 70)}%")
    sheet.row(f"{fake.company()}, {fake.address()}".replace("\n", ", "))
    sheet.row(f"www.{fake.domain_name()}")


def _timetable(sheet: LineSheet) -> None:
    rng = sheet.rng
    sheet.row(f"Timetable {sheet.fake.city()} - {sheet.fake.city()}", scale=1.2)
    for _ in range(rng.randint(5, 25)):
        sheet.row(
            (0.0, sheet.fake.city()),
            *(
                (0.3 + i * 0.12, f"{rng.randint(4, 23):02}:{rng.randint(0, 59):02}")
                for i in range(5)
            ),
        )


SLIPS = frozenset(
    {"event_ticket", "shipping_label", "advertisement", "menu", "delivery_note", "price_list"}
)

KINDS: Mapping[str, Callable[[LineSheet], None]] = {
    "delivery_note": _delivery_note,
    "price_list": _price_list,
    "menu": _menu,
    "offer": _offer,
    "bank_statement": _bank_statement,
    "payslip": _payslip,
    "event_ticket": _event_ticket,
    "booking": _booking,
    "shipping_label": _shipping_label,
    "advertisement": _advertisement,
    "timetable": _timetable,
}
