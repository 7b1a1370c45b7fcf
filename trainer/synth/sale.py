"""What was bought and paid: amounts that add up to the last cent, before anything is printed."""

import random
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from trainer.synth.countries import Country
from trainer.synth.dice import chance, digits, pattern, weighted
from trainer.synth.goods import describe

_ZERO = Decimal(0)
_HUNDRED = Decimal(100)


@dataclass(frozen=True)
class SaleItem:
    """One position; `total` is what it adds to the subtotal: quantity times price less discount."""

    description: str
    code: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    discount: Decimal
    total: Decimal
    rate: str


@dataclass(frozen=True)
class SaleTax:
    """Tax of one rate (percent as text): `net` is the amount without it."""

    rate: str
    net: Decimal
    amount: Decimal


@dataclass(frozen=True)
class Sale:
    """The arithmetic of one receipt.

    total = subtotal - discount + service + tip + (0 if inclusive else sum of taxes) + rounding, and
    paid - change = total.
    """

    inclusive: bool
    items: tuple[SaleItem, ...]
    subtotal: Decimal
    discount: Decimal
    service: Decimal
    tip: Decimal
    taxes: tuple[SaleTax, ...]
    rounding: Decimal
    total: Decimal
    cash: bool
    paid: Decimal

    @property
    def tax_total(self) -> Decimal:
        """All taxes together."""
        return sum((tax.amount for tax in self.taxes), _ZERO)

    @property
    def change(self) -> Decimal:
        """What went back to the customer."""
        return self.paid - self.total

    @property
    def unrounded(self) -> Decimal:
        """The total before cash rounding."""
        return self.total - self.rounding


def percent(rate: str) -> Decimal:
    """A printed rate as a ratio: "5,5" is 0.055."""
    return Decimal(rate.replace(",", ".")) / _HUNDRED


def make_sale(rng: random.Random, country: Country, trade: str) -> Sale:
    """A sale of goods of one trade in one country."""
    several_rates = chance(rng, 0.25) and len(set(country.rates)) > 1
    main = rng.choice(country.rates)
    rates = [main, *country.rates] if several_rates else [main]
    count = int(
        weighted(rng, {1: 3.0, 2: 3, 3: 2.5, 4: 2, 5: 1.5, 6: 1, 8: 0.7, 11: 0.4, 15: 0.15})
    )
    discounted = chance(rng, 0.14)
    items = tuple(
        _item(rng, country, trade, rng.choice(rates), discounted=discounted) for _ in range(count)
    )
    inclusive = chance(rng, country.inclusive)
    subtotal = sum((item.total for item in items), _ZERO)
    single = len({item.rate for item in items}) == 1
    discount = service = tip = _ZERO
    if single and chance(rng, 0.12):
        discount = country.round(subtotal * rng.choice((5, 10, 15, 20)) / _HUNDRED)
    if single and trade == "food" and chance(rng, 0.2):
        service = country.round((subtotal - discount) * rng.choice((5, 10)) / _HUNDRED)
    taxes = _taxes(country, items, discount, service, inclusive=inclusive)
    added = _ZERO if inclusive else sum((tax.amount for tax in taxes), _ZERO)
    unrounded = subtotal - discount + service + added
    if trade == "food" and country.code in {"US", "AE", "GB"} and chance(rng, 0.35):
        tip = country.round(unrounded * rng.choice((10, 15, 18, 20)) / _HUNDRED)
        unrounded += tip
    cash = chance(rng, 0.7)
    total = (
        _to_coin(unrounded, Decimal(country.cash_step)) if cash and chance(rng, 0.85) else unrounded
    )
    paid = _tendered(rng, country, total) if cash else total
    return Sale(
        inclusive=inclusive,
        items=items,
        subtotal=subtotal,
        discount=discount,
        service=service,
        tip=tip,
        taxes=taxes,
        rounding=total - unrounded,
        total=total,
        cash=cash,
        paid=paid,
    )


def _item(
    rng: random.Random, country: Country, trade: str, rate: str, *, discounted: bool
) -> SaleItem:
    description, unit, low, high = describe(rng, country.language, trade)
    if unit == "KG" and not country.decimals:
        unit = ""  # 33.639 beside a weight of 1,373 would leave open which sign is the decimal one
    price = Decimal(str(round(rng.triangular(low, high, low + (high - low) * 0.2), 2)))
    price = country.round(price * Decimal(country.scale))
    if country.decimals == 0:
        step = Decimal(500) if price > Decimal(5000) else Decimal(10)
        price = max(step, (price / step).quantize(Decimal(1), rounding=ROUND_HALF_UP) * step)
    elif chance(rng, 0.7):
        price = price.quantize(Decimal("0.1"), rounding=ROUND_HALF_UP).quantize(country.quantum())
    price = max(price, country.quantum() * 10)
    quantity = Decimal(
        weighted(rng, {1: 9.0, 2: 3, 3: 1, 4: 0.6, 5: 0.4, 6: 0.3, 10: 0.3, 12: 0.2, 24: 0.1})
    )
    if unit == "KG":
        quantity = Decimal(rng.randint(120, 2600)).scaleb(-3)
    gross = country.round(price * quantity)
    discount = _ZERO
    if discounted and chance(rng, 0.5):
        discount = country.round(gross * rng.choice((5, 10, 20, 30)) / _HUNDRED)
    code = weighted(
        rng,
        {
            "955" + digits(rng, 10): 3.0,
            digits(rng, rng.randint(4, 8)): 3,
            pattern(rng, rng.choice(("@@###", "@####", "@@-####", "@@@####-#"))): 2,
            "00" + digits(rng, 10): 1,
        },
    )
    return SaleItem(description, code, quantity, unit, price, discount, gross - discount, rate)


def _taxes(
    country: Country,
    items: tuple[SaleItem, ...],
    discount: Decimal,
    service: Decimal,
    *,
    inclusive: bool,
) -> tuple[SaleTax, ...]:
    """Per rate, on the whole base: discount and service exist only where there is one rate."""
    taxes = []
    for rate in sorted({item.rate for item in items}, key=percent, reverse=True):
        base = sum((item.total for item in items if item.rate == rate), _ZERO) - discount + service
        ratio = percent(rate)
        if inclusive:
            net = country.round(base / (1 + ratio))
            taxes.append(SaleTax(rate, net, base - net))
        else:
            taxes.append(SaleTax(rate, base, country.round(base * ratio)))
    return tuple(taxes)


def _to_coin(amount: Decimal, step: Decimal) -> Decimal:
    exact = (amount / step).quantize(Decimal(1), rounding=ROUND_HALF_UP) * step
    return exact.quantize(Decimal("0.01")) if amount.as_tuple().exponent else exact


def _tendered(rng: random.Random, country: Country, total: Decimal) -> Decimal:
    """What a customer hands over: the exact sum, or the next round sum of some bank note."""
    if chance(rng, 0.3):
        return total
    unit = Decimal(rng.choice((1, 5, 10, 50, 100)))
    scale = Decimal(country.scale)
    if scale > 1:
        unit *= Decimal(10) ** (len(country.scale) - 1)
    paid = ((total / unit).to_integral_value(rounding="ROUND_CEILING")) * unit
    return paid.quantize(country.quantum())
