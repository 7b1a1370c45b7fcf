"""The lower end of a receipt: thanks, terms, and text that looks like an answer and is none."""

import random
from datetime import timedelta

from trainer.synth.dice import chance, digits
from trainer.synth.merchants import Merchant
from trainer.synth.sale import Sale
from trainer.synth.sheet import Cell
from trainer.synth.till import Till

_TERMS = (
    "GOODS SOLD ARE NOT REFUNDABLE",
    "EXCHANGE WITHIN 3 DAYS WITH RECEIPT",
    "PLEASE CHECK YOUR CHANGE",
    "FOR ENQUIRY PLEASE CALL US",
    "KEEP YOUR RECEIPT",
    "PRICES IN LOCAL CURRENCY",
    "POWERED BY POSWORKS 4.2",
    "OPEN DAILY 10AM - 10PM",
    "FREE WIFI INSIDE",
    "SIGNATURE NOT REQUIRED",
)


def print_foot(rng: random.Random, till: Till, sale: Sale, merchant: Merchant) -> None:
    """Thanks and terms; sometimes a print date, savings, points, or a second company."""
    sheet = till.sheet
    if till.torn:
        return
    sheet.space(rng.choice((0.4, 1, 2)))
    saved = sum((item.discount for item in sale.items), sale.discount)
    if saved and chance(rng, 0.4):
        till.amount(till.says(rng, "saved"), saved)
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        sheet.add(Cell(till.says(rng, "thanks"), 0.5, "centre"))
    if till.country.language == "en":
        for text in rng.sample(_TERMS, rng.choice((0, 0, 1, 2))):
            sheet.add(Cell(till.spell(text), 0.5, "centre"))
    if chance(rng, 0.08) and "transaction_date" not in till.lacking:
        when = till.write_date(till.day + timedelta(days=rng.choice((0, 0, 1))))
        sheet.add(Cell(f"{till.says(rng, 'printed')}: {when} {till.time}"))
    if chance(rng, 0.07) and "merchant_name" not in till.lacking:
        owner = f"{merchant.name[0].split()[0]} PROPERTIES".upper()
        sheet.add(Cell(f"MANAGED BY {owner}", 0.5, "centre"))
    if chance(rng, 0.12):
        sheet.add(Cell(f"*{digits(rng, rng.randint(12, 20))}*", 0.5, "centre"))
