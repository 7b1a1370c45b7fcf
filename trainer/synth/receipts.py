"""Receipts of an invented sale, as tills of a dozen countries print them, with the true answer.

sale -> head, meta, items, totals, payment, tax table, foot (in the till's order) -> paper -> noise
"""

import random

from trainer.synth.countries import choose_country
from trainer.synth.degrade import degrade
from trainer.synth.dice import chance
from trainer.synth.document import SyntheticDocument
from trainer.synth.goods import choose_trade
from trainer.synth.merchants import make_merchant
from trainer.synth.receipt_foot import print_foot
from trainer.synth.receipt_head import print_head, print_meta
from trainer.synth.receipt_items import print_items
from trainer.synth.receipt_totals import print_payment, print_tax_table, print_totals
from trainer.synth.sale import make_sale
from trainer.synth.till import Till


def make_receipt(rng: random.Random) -> SyntheticDocument:
    """One receipt: page, true lines, and the record as printed (keys of the type `receipt`)."""
    till = print_receipt(rng)
    image, lines = degrade(*till.sheet.draw(rng), rng)
    return SyntheticDocument("receipt", image, lines, till.record)


def print_receipt(rng: random.Random) -> Till:
    """The till after an invented sale: its sheet and its record are complete."""
    country = choose_country(rng)
    trade = choose_trade(rng, country.language)
    till = Till.choose(rng, country)
    sale = make_sale(rng, country, trade)
    merchant = make_merchant(rng, country, trade, till.sheet.columns)
    print_head(rng, till, merchant)
    if not till.date_at_foot:
        print_meta(rng, till)
    print_items(rng, till, sale)
    if not till.torn:
        print_totals(rng, till, sale)
        print_payment(rng, till, sale)
        if chance(rng, 0.75):
            print_tax_table(rng, till, sale)
    if till.date_at_foot:
        print_meta(rng, till)
    print_foot(rng, till, sale, merchant)
    return till
