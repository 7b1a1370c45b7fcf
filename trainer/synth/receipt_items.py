"""The table of items in the layouts that tills use, one to three rows an item."""

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from trainer.synth.addresses import fold
from trainer.synth.dice import chance, weighted
from trainer.synth.sale import Sale, SaleItem, percent
from trainer.synth.sheet import Cell
from trainer.synth.till import Till

_Layout = Callable[[Till, SaleItem, "Habit"], dict[str, Any]]


class Habit:
    """What one till prints of every item."""

    def __init__(self, rng: random.Random, till: Till, sale: Sale) -> None:
        self.codes = chance(rng, 0.55)
        self.times = rng.choice(("X", "x", "*", "@"))
        self.quantity = rng.choice(("{} X", "{}X", "{} x", "{}", "{}", "{}", "{}.00"))
        self.flags = till.country.tax in {"GST", "VAT", "TVA", "MwSt"} and chance(rng, 0.5)
        self.joined_flag = chance(rng, 0.4)
        self.cuts = chance(rng, 0.45)
        self.sign = till.currency if chance(rng, 0.1) else ""
        self.discounts = any(item.discount for item in sale.items)
        self.names = {rate: _flag(till, rate) for rate in {item.rate for item in sale.items}}


def _flag(till: Till, rate: str) -> str:
    zero = not percent(rate)
    if till.country.code == "MY":
        return "ZR" if zero else "SR"
    return {"MwSt": "A" if rate == "19" else "B"}.get(till.country.tax, "Z" if zero else "T")


def print_items(rng: random.Random, till: Till, sale: Sale) -> None:
    """Head of the table and the items; the answer's `items` in the same order."""
    habit = Habit(rng, till, sale)
    layouts: dict[tuple[_Layout, str], float] = {
        (_one_row, "full"): 3.0,
        (_name_then_figures, "full"): 3,
        (_figures_then_name, "code"): 2,
        (_quantity_first, "short"): 2.2,
        (_name_and_total, "none"): 1.2,
        (_name_at_price, "none"): 1.2,
    }
    layout, head = weighted(rng, layouts)
    sheet = till.sheet
    if chance(rng, 0.7):
        sheet.rule(rng.choice("-=-"))
    if head != "none" and chance(rng, 0.85):
        _head(rng, till, head)
        if chance(rng, 0.6):
            sheet.rule("-")
    till.record["items"] = [layout(till, item, habit) for item in sale.items]
    if chance(rng, 0.7):
        sheet.rule(rng.choice("-=-"))


def _head(rng: random.Random, till: Till, kind: str) -> None:
    item, amount = till.says(rng, "item"), till.says(rng, "amount")
    if chance(rng, 0.2):
        amount = f"{amount}({till.currency})"
        till.record.setdefault("currency", till.currency)
    quantity, price = till.says(rng, "quantity"), till.says(rng, "price")
    if kind == "short":
        till.sheet.add(Cell(quantity), Cell(item, 0.16), Cell(amount, 1.0, "right"))
    else:
        till.sheet.add(
            Cell(item),
            Cell(quantity, 0.5, "right"),
            Cell(price, 0.72, "right"),
            Cell(amount, 1.0, "right"),
        )


def _figures(till: Till, item: SaleItem, habit: Habit) -> tuple[str, str, str, str]:
    """Quantity, unit price, discount and total as printed."""
    write = till.country.write
    count = str(item.quantity).replace(".", "," if till.country.comma else ".")
    whole = item.quantity == item.quantity.to_integral_value()
    quantity = habit.quantity.format(count) if whole else count
    if till.country.comma:
        quantity = quantity.replace(".00", ",00")
    if item.unit and whole and habit.quantity == "{}":
        quantity = count
    discount = f"-{write(item.discount)}" if item.discount else ""
    return quantity, habit.sign + write(item.unit_price), discount, habit.sign + write(item.total)


def _total_cells(item: SaleItem, habit: Habit, total: str) -> list[Cell]:
    flag = habit.names[item.rate] if habit.flags else ""
    if flag and not habit.joined_flag:
        return [Cell(total, 0.91, "right"), Cell(flag, 1.0, "right")]
    return [Cell(f"{total} {flag}".strip(), 1.0, "right")]


def _short(till: Till, text: str, share: float) -> str:
    """Cut to the room of a column, as tills cut."""
    return text[: max(6, int(till.sheet.columns * share))].strip()


def _answer(item: SaleItem, **printed: str) -> dict[str, Any]:
    answer = {name: text for name, text in printed.items() if text}
    if item.discount and "discount" not in answer:
        # A till that prints no discount column prints the reduced price per unit nowhere either.
        answer.pop("unit_price", None)
    return answer


def _code_row(till: Till, item: SaleItem, habit: Habit) -> str:
    if not habit.codes:
        return ""
    till.sheet.add(Cell(item.code))
    return item.code


def _one_row(till: Till, item: SaleItem, habit: Habit) -> dict[str, Any]:
    quantity, price, discount, total = _figures(till, item, habit)
    code = _code_row(till, item, habit)
    pieces = fold(item.description, max(8, int(till.sheet.columns * 0.36)))
    if habit.cuts:
        pieces = [_short(till, item.description, 0.36)]
    description = " ".join(pieces)
    till.sheet.add(
        Cell(pieces[0]),
        Cell(quantity, 0.5, "right"),
        Cell(price, 0.7, "right"),
        *_total_cells(item, habit, total),
    )
    for piece in pieces[1:]:
        till.sheet.add(Cell(piece))
    _discount_row(till, discount)
    return _answer(
        item,
        description=description,
        product_code=code,
        quantity=quantity,
        unit_price=price,
        discount=discount,
        total_price=total,
    )


def _discount_row(till: Till, discount: str) -> None:
    if discount:
        till.sheet.add(Cell("DISC", 0.1), Cell(discount, 0.7, "right"))


def _name_then_figures(till: Till, item: SaleItem, habit: Habit) -> dict[str, Any]:
    quantity, price, discount, total = _figures(till, item, habit)
    description = _short(till, item.description, 0.9)
    code = item.code if habit.codes else ""
    if code and len(code) + len(description) < till.sheet.columns - 2:
        apart = (Cell(code), Cell(description, 0.4))
        till.sheet.add(*((Cell(f"{code} {description}"),) if habit.joined_flag else apart))
    else:
        code = ""
        till.sheet.add(Cell(description))
    till.sheet.add(
        Cell(f"{quantity} {item.unit}".strip(), 0.12),
        Cell(habit.times if quantity[-1] not in "Xx" else "", 0.36),
        Cell(price, 0.55, "right"),
        Cell(discount, 0.75, "right"),
        *_total_cells(item, habit, total),
    )
    return _answer(
        item,
        description=description,
        product_code=code,
        quantity=quantity,
        unit=item.unit,
        unit_price=price,
        discount=discount,
        total_price=total,
    )


def _figures_then_name(till: Till, item: SaleItem, habit: Habit) -> dict[str, Any]:
    quantity, price, discount, total = _figures(till, item, habit)
    description = _short(till, item.description, 0.9)
    till.sheet.add(
        Cell(item.code),
        Cell(quantity, 0.5, "right"),
        Cell(price, 0.7, "right"),
        *_total_cells(item, habit, total),
    )
    till.sheet.add(Cell(description))
    _discount_row(till, discount)
    return _answer(
        item,
        description=description,
        product_code=item.code,
        quantity=quantity,
        unit_price=price,
        discount=discount,
        total_price=total,
    )


def _quantity_first(till: Till, item: SaleItem, habit: Habit) -> dict[str, Any]:
    quantity, _, discount, total = _figures(till, item, habit)
    description = _short(till, item.description, 0.56)
    till.sheet.add(Cell(quantity), Cell(description, 0.16), *_total_cells(item, habit, total))
    _discount_row(till, discount)
    return _answer(
        item, description=description, quantity=quantity, discount=discount, total_price=total
    )


def _name_and_total(till: Till, item: SaleItem, habit: Habit) -> dict[str, Any]:
    quantity, price, discount, total = _figures(till, item, habit)
    description = _short(till, item.description, 0.7)
    till.sheet.add(Cell(description), *_total_cells(item, habit, total))
    if item.quantity == 1 and not discount:
        return _answer(item, description=description, total_price=total)
    till.sheet.add(
        Cell(
            f"{quantity} {habit.times} {price}"
            if quantity[-1] not in "Xx"
            else f"{quantity} {price}",
            0.08,
        )
    )
    _discount_row(till, discount)
    return _answer(
        item,
        description=description,
        quantity=quantity,
        unit_price=price,
        discount=discount,
        total_price=total,
    )


def _name_at_price(till: Till, item: SaleItem, habit: Habit) -> dict[str, Any]:
    """`NAME @9.50` above `CODE *2 19.00`."""
    write = till.country.write
    price, total = write(item.unit_price), write(item.total)
    description, quantity = (
        _short(till, item.description, 0.7),
        f"{item.quantity}".replace(".", "," if till.country.comma else "."),
    )
    till.sheet.add(
        Cell(description), Cell(f"@{price}", 1.0 if till.sheet.columns % 4 else 0.8, "right")
    )
    code = item.code if habit.codes else ""
    till.sheet.add(
        Cell(code), Cell(f"*{quantity}", 0.6, "right"), *_total_cells(item, habit, total)
    )
    discount = f"-{write(item.discount)}" if item.discount else ""
    _discount_row(till, discount)
    return _answer(
        item,
        description=description,
        product_code=code,
        quantity=quantity,
        unit_price=price,
        discount=discount,
        total_price=total,
    )


def item_count(sale: Sale) -> Decimal:
    """How many pieces were sold; a weighed article counts as one."""
    return sum(
        (
            i.quantity if i.quantity == i.quantity.to_integral_value() else Decimal(1)
            for i in sale.items
        ),
        Decimal(0),
    )
