"""The receipt: a superset of SROIE, CORD, Azure's prebuilt receipt and AWS AnalyzeExpense.

SROIE's company, date, address and total are merchant_name, transaction_date, merchant_address and
total here.
"""

from extraction.document_types.base import DocumentType
from extraction.document_types.record import (
    Code,
    Country,
    Currency,
    Date,
    Money,
    Number,
    Rate,
    Record,
    Text,
    Time,
    fields_of,
    spec,
)


class Item(Record):
    """One line of what was bought."""

    description: Text | None = spec("What was bought, as printed")
    product_code: Code | None = spec("The shop's code or barcode of it", max_length=40)
    quantity: Number | None = spec("How many or how much", max_length=20)
    unit: Text | None = spec("Unit of the quantity, as kg or pcs", max_length=20)
    unit_price: Money | None = spec("Price of one", max_length=30)
    discount: Money | None = spec("Discount on this line", max_length=30)
    total_price: Money | None = spec("Amount of this line", max_length=30)


class Tax(Record):
    """One rate of a tax summary."""

    description: Text | None = spec("Name or code of the tax", max_length=60)
    rate: Rate | None = spec("Its rate, as 6%", max_length=20)
    net_amount: Money | None = spec("Amount that is taxed", max_length=30)
    amount: Money | None = spec("The tax itself", max_length=30)


class Payment(Record):
    """One way in which it was paid."""

    method: Text | None = spec("Cash, card's brand, voucher", max_length=60)
    amount: Money | None = spec("Amount paid this way", max_length=30)
    card_last4: Code | None = spec("Last four digits of the card", max_length=8)


class Receipt(Record):
    """A proof of purchase: who sold what, when, for how much, and how it was paid."""

    merchant_name: Text | None = spec("Registered name of the seller, as printed")
    merchant_address: Text | None = spec("Address of the seller, in one line", max_length=300)
    merchant_phone: Code | None = spec("Telephone of the seller", max_length=40)
    merchant_tax_id: Code | None = spec("Tax or GST number of the seller", max_length=40)
    country: Country | None = spec("Country of the seller", max_length=40)
    receipt_number: Code | None = spec("Number of the receipt or invoice", max_length=60)
    receipt_type: Text | None = spec("Printed title, as TAX INVOICE", max_length=60)
    transaction_date: Date | None = spec("Date of the purchase, as printed", max_length=40)
    transaction_time: Time | None = spec("Time of the purchase, as printed", max_length=20)
    currency: Currency | None = spec("Currency, sign or code as printed", max_length=10)
    items: tuple[Item, ...] = spec("What was bought, line by line", many=True)
    subtotal: Money | None = spec("Sum before tax, rounding and discounts", max_length=30)
    discount_total: Money | None = spec("Sum of all discounts", max_length=30)
    service_charge: Money | None = spec("Service charge", max_length=30)
    tip: Money | None = spec("Tip", max_length=30)
    tax_total: Money | None = spec("Sum of all taxes", max_length=30)
    taxes: tuple[Tax, ...] = spec("The tax summary, rate by rate", many=True, max_items=12)
    rounding: Money | None = spec("Rounding adjustment", max_length=30)
    total: Money | None = spec("What has to be paid in the end", max_length=30)
    amount_paid: Money | None = spec("What was handed over", max_length=30)
    change_due: Money | None = spec("What was given back", max_length=30)
    payments: tuple[Payment, ...] = spec("How it was paid", many=True, max_items=6)


RECEIPT = DocumentType(
    name="receipt",
    version=1,
    fields=fields_of(Receipt),
    description="A receipt, invoice or bill of a purchase.",
)
