"""Totals, payment and the tax table: the answer among amounts that look like it."""

import random
from decimal import Decimal
from typing import Any

from trainer.synth.dice import chance, digits, pattern
from trainer.synth.receipt_items import item_count
from trainer.synth.sale import Sale, SaleTax
from trainer.synth.sheet import Cell
from trainer.synth.till import Till
from trainer.synth.words import bank


def print_totals(rng: random.Random, till: Till, sale: Sale) -> None:
    """Subtotal to final total; every printed amount is true of the sale."""
    record, malaysian = till.record, till.country.code == "MY"
    if chance(rng, 0.25):
        till.sheet.add(
            Cell(f"{till.says(rng, 'count')}{till.colon}", till.label_x, till.label_align),
            Cell(str(item_count(sale)), till.value_x, "right"),
        )
    adds = bool(sale.discount or sale.service or sale.tip or not sale.inclusive)
    if adds or chance(rng, 0.45):
        record["subtotal"] = till.amount(till.says(rng, "subtotal"), sale.subtotal)
    if sale.discount or chance(rng, 0.08):
        record["discount_total"] = till.amount(till.says(rng, "discount"), -sale.discount)
    if sale.service:
        record["service_charge"] = till.amount(till.says(rng, "service"), sale.service)
    if malaysian and sale.inclusive and chance(rng, 0.3):
        net = sale.unrounded - sale.tax_total
        till.amount(rng.choice(bank("tills")["malaysia"]["excluded"]), net)
    if not sale.inclusive or chance(rng, 0.3):
        _tax_rows(rng, till, sale)
    if sale.tip:
        record["tip"] = till.amount(till.says(rng, "tip"), sale.tip)
    _final(rng, till, sale)


def _tax_rows(rng: random.Random, till: Till, sale: Sale) -> None:
    """One row per rate: `GST 6%` and its amount; two of half the rate each in India."""
    taxes: list[dict[str, Any]] = []
    for tax in sale.taxes:
        if till.country.code == "IN" and not tax.amount % (2 * till.country.quantum()):
            half = _half(tax.rate)
            part = SaleTax(half, tax.net, tax.amount / 2)
            taxes.extend(_tax_row(rng, till, name, part) for name in ("CGST", "SGST"))
        else:
            taxes.append(_tax_row(rng, till, till.country.tax, tax))
    till.record["taxes"] = taxes
    if len(taxes) == 1:
        till.record["tax_total"] = taxes[0]["amount"]
    elif chance(rng, 0.3):
        till.record["tax_total"] = till.amount(till.spell("TOTAL TAX"), sale.tax_total)


def _half(rate: str) -> str:
    return f"{(Decimal(rate) / 2).normalize():f}"


def _tax_row(rng: random.Random, till: Till, name: str, tax: SaleTax) -> dict[str, Any]:
    rate = f"{tax.rate}%"
    form = rng.choice(("{n} {r}", "{n} @{r}", "{r} {n}", "{n} ({r})", "{n}"))
    amount = till.amount(form.format(n=name, r=rate), tax.amount)
    answer = {"description": name, "amount": amount}
    if "{r}" in form:
        answer["rate"] = rate
    return answer


def _final(rng: random.Random, till: Till, sale: Sale) -> None:
    scale, bold = rng.choice((1.0, 1.0, 1.0, 1.2, 1.4)), chance(rng, 0.35)
    record = till.record
    shown = bool(sale.rounding) or (till.country.cash_step != "0.01" and chance(rng, 0.35))
    if shown:
        before = chance(rng, 0.55)
        if before:
            till.amount(till.says(rng, "total"), sale.unrounded)
        record["rounding"] = till.amount(till.says(rng, "rounding"), sale.rounding)
        word = (
            till.spell(rng.choice(bank("tills")["malaysia"]["rounded"]))
            if before and till.country.language == "en"
            else till.says(rng, "total")
        )
        record["total"] = till.amount(word, sale.total, scale=scale, bold=bold)
    else:
        record["total"] = till.amount(till.says(rng, "total"), sale.total, scale=scale, bold=bold)
    if sale.inclusive and chance(rng, 0.08) and till.country.language == "en":
        till.sheet.add(Cell(f"({till.country.tax} INCLUDED)", 0.5, "centre"))


def print_payment(rng: random.Random, till: Till, sale: Sale) -> None:
    """Cash and change, or a card with its last digits."""
    record = till.record
    if chance(rng, 0.06):
        return
    method = till.says(rng, "cash" if sale.cash else "card")
    amount = till.amount(method, sale.paid)
    payment = {"method": method, "amount": amount}
    record["amount_paid"] = amount
    if sale.cash:
        if sale.change or chance(rng, 0.7):
            record["change_due"] = till.amount(till.says(rng, "change"), sale.change)
    elif chance(rng, 0.6):
        last = digits(rng, 4)
        mask = rng.choice(
            (
                "XXXX XXXX XXXX {}",
                "************{}",
                "XXXXXXXXXXXX{}",
                "**** {}",
                "XXXX-XXXX-XXXX-{}",
            )
        )
        till.sheet.add(Cell(mask.format(last), till.label_x, till.label_align))
        payment["card_last4"] = last
        if chance(rng, 0.4):
            till.sheet.add(Cell(f"{till.spell('APPR CODE')}: {pattern(rng, '######')}"))
    record["payments"] = [payment]


def print_tax_table(rng: random.Random, till: Till, sale: Sale) -> None:
    """Net and tax per rate; replaces the answer's `taxes`, whose fullest statement this is."""
    country, sheet = till.country, till.sheet
    if country.code in {"US", "ID", "MX"} or not any(tax.amount or tax.net for tax in sale.taxes):
        return
    unit = f"({till.currency})" if chance(rng, 0.5) else ""
    sheet.space(rng.choice((0.3, 0.8)))
    heads = {
        "de": ("MwSt", "Netto", "Steuer"),
        "fr": ("TVA", "H.T.", "TVA"),
        "es": ("IVA", "BASE", "CUOTA"),
    }
    first, net, tax_head = heads.get(country.language, (f"{country.tax} SUMMARY", "AMOUNT", "TAX"))
    gap = rng.choice(("", " ")) if unit else ""
    titled = country.language == "en" and chance(rng, 0.3)
    if titled:
        sheet.add(Cell(till.spell(first)), bold=chance(rng, 0.3))
        first = rng.choice(("TAX CODE", "CODE", "RATE"))
    sheet.add(
        Cell(till.spell(first)),
        Cell(till.spell(net) + gap + unit, 0.68, "right"),
        Cell(till.spell(tax_head) + gap + unit, 1.0, "right"),
    )
    if unit:
        till.record.setdefault("currency", till.currency)
    form = (
        "{c}|{r}"
        if titled
        else rng.choice(("{c} @ {r}", "{c} = {r}", "{c} {r}", "{c}({r})", "{c}|{r}"))
    )
    taxes = []
    for tax in sale.taxes:
        name = _code(country.code, country.tax, tax)
        rate = f"{tax.rate}%"
        figures = (
            Cell(country.write(tax.net), 0.68, "right"),
            Cell(country.write(tax.amount), 1.0, "right"),
        )
        text = form.format(c=name, r=rate)
        head = [Cell(name), Cell(rate, 0.26)] if "|" in text else [Cell(text)]
        sheet.add(*head, *figures)
        taxes.append(
            {
                "description": name,
                "rate": rate,
                "net_amount": country.write(tax.net),
                "amount": country.write(tax.amount),
            }
        )
    till.record["taxes"] = taxes
    if chance(rng, 0.35):
        base = sum((tax.net for tax in sale.taxes), Decimal(0))
        tax_total = country.write(sale.tax_total)
        sheet.add(
            Cell(till.spell("TOTAL") + till.colon),
            Cell(country.write(base), 0.68, "right"),
            Cell(tax_total, 1.0, "right"),
        )
        till.record.setdefault("tax_total", tax_total)


def _code(country: str, name: str, tax: SaleTax) -> str:
    if country == "MY":
        return "SR" if tax.rate != "0" else "ZR"
    return name
