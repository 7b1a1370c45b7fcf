"""Verdicts on a record: does it agree with itself. A check never rejects or names a value.

Receipts: sums, payments and dates. Passports: each check digit of the zone, the printed zone
against the machine-readable one, and the order of the dates.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from rapidfuzz import fuzz

from extraction.document_types.passport import Passport
from extraction.document_types.receipt import Receipt
from extraction.errors import InvalidMrz
from extraction.mrz import Mrz, MrzFormat, transliterate
from extraction.normalize import parse_country

TOLERANCE = Decimal("0.02")
# Names agree from here on: the printed zone has diacritics that the zone writes in one of two ways.
_LEAST_NAME_RATIO = 85.0
_LEAST_PART_RATIO = 95.0


_SUMMED = (
    "subtotal",
    "discount_total",
    "service_charge",
    "tip",
    "tax_total",
    "rounding",
    "total",
)


class Verdict(StrEnum):
    """What a check found; not applicable where a field that it needs is absent."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True)
class Check:
    """One verdict.

    Attributes:
        name: stable, as "total_identity" or "mrz.document_number".
        verdict: what was found.
        detail: a sentence that holds no value of the document.
        fields: paths of the fields that it is about.
    """

    name: str
    verdict: Verdict
    detail: str
    fields: tuple[str, ...]


def check_receipt(record: Receipt, today: date) -> list[Check]:
    """The verdicts on a receipt, always the same five in the same order."""
    return [
        _items_sum(record),
        _total_identity(record),
        _payments(record),
        _taxes_sum(record),
        _not_after("date_not_in_future", "transaction_date", record.transaction_date, today),
    ]


def _items_sum(record: Receipt) -> Check:
    """The items' amounts sum to the subtotal, or to the total where no subtotal is printed."""
    name = "items_sum"
    prices = [item.total_price for item in record.items]
    target_field = "total" if record.subtotal is None else "subtotal"
    target = record.total if record.subtotal is None else record.subtotal
    fields = ("items", target_field)
    known = [price for price in prices if price is not None]
    if target is None or not known or len(known) < len(prices):
        return _unknown(name, "The items' amounts or their sum are not all known.", fields)
    tolerance = _tolerance(record, len(known))
    gross = sum(known, Decimal(0))
    net = gross - sum((item.discount or Decimal(0) for item in record.items), Decimal(0))
    options = {
        "the items' amounts": gross,
        "the items' amounts less their discounts": net,
        "the items' amounts less all discounts": gross - abs(record.discount_total or Decimal(0)),
    }
    if record.subtotal is None:
        extras = (record.service_charge or Decimal(0)) + (record.tip or Decimal(0))
        tax = _tax(record) or Decimal(0)
        for label, amount in list(options.items()):
            options[f"{label} with tax and charges"] = amount + extras + tax
    for label, amount in options.items():
        if abs(amount - target) <= tolerance:
            return Check(
                name, Verdict.PASS, f"{label.capitalize()} make the {target_field}.", fields
            )
    return Check(name, Verdict.FAIL, f"The items do not sum to the {target_field}.", fields)


def _total_identity(record: Receipt) -> Check:
    """Subtotal - discount + service + tip (+ tax) + rounding = total; tax may be inside already."""
    name = "total_identity"
    fields = tuple(part for part in _SUMMED if getattr(record, part) is not None)
    if record.subtotal is None or record.total is None:
        return _unknown(name, "The subtotal or the total is not known.", fields)
    tolerance = _tolerance(record)
    charges = (record.service_charge or Decimal(0)) + (record.tip or Decimal(0))
    discount = abs(record.discount_total or Decimal(0))
    rounding = record.rounding or Decimal(0)
    tax = _tax(record) or Decimal(0)
    # The subtotal may be printed before or behind the discounts.
    for less in (discount, Decimal(0)):
        base = record.subtotal - less + charges + rounding
        place = "" if less or not discount else ", discounts already taken off the subtotal"
        if tax and abs(base + tax - record.total) <= tolerance:
            return Check(name, Verdict.PASS, f"The sum holds with tax added{place}.", fields)
        if abs(base - record.total) <= tolerance:
            inside = " with tax included in the prices" if tax else ""
            return Check(name, Verdict.PASS, f"The sum holds{inside}{place}.", fields)
    return Check(
        name,
        Verdict.FAIL,
        "Subtotal, discounts, charges, tax and rounding do not make the total.",
        fields,
    )


def _payments(record: Receipt) -> Check:
    """What was paid less the change is the total; the payments sum to what was paid."""
    name = "payments"
    amounts = [payment.amount for payment in record.payments if payment.amount is not None]
    complete = amounts and len(amounts) == len(record.payments)
    paid = record.amount_paid
    if paid is None and complete:
        paid = sum(amounts, Decimal(0))
    parts = {
        "amount_paid": record.amount_paid,
        "change_due": record.change_due,
        "payments": record.payments or None,
        "total": record.total,
    }
    fields = tuple(part for part, value in parts.items() if value is not None)
    if paid is None or record.total is None:
        return _unknown(name, "The total or what was paid is not known.", fields)
    change = abs(record.change_due or Decimal(0))
    tolerance = _tolerance(record)
    if abs(paid - change - record.total) > tolerance:
        return Check(name, Verdict.FAIL, "What was paid less the change is not the total.", fields)
    if complete and not any(
        abs(sum(amounts, Decimal(0)) - target) <= tolerance for target in (paid, record.total)
    ):
        return Check(name, Verdict.FAIL, "The payments do not sum to what was paid.", fields)
    return Check(name, Verdict.PASS, "What was paid less the change is the total.", fields)


def _taxes_sum(record: Receipt) -> Check:
    name, fields = "taxes_sum", ("taxes", "tax_total")
    amounts = [tax.amount for tax in record.taxes if tax.amount is not None]
    if record.tax_total is None or not amounts or len(amounts) < len(record.taxes):
        return _unknown(name, "The taxes or their sum are not all known.", fields)
    if abs(sum(amounts, Decimal(0)) - record.tax_total) <= TOLERANCE:
        return Check(name, Verdict.PASS, "The taxes sum to the tax total.", fields)
    return Check(name, Verdict.FAIL, "The taxes do not sum to the tax total.", fields)


def _tax(record: Receipt) -> Decimal | None:
    if record.tax_total is not None:
        return record.tax_total
    amounts = [tax.amount for tax in record.taxes if tax.amount is not None]
    return sum(amounts, Decimal(0)) if amounts else None


def _tolerance(record: Receipt, parts: int = 1) -> Decimal:
    """Two cents, half a cent for each summed part beyond four, and the rounding printed."""
    by_parts = max(TOLERANCE, Decimal("0.005") * parts)
    return by_parts + abs(record.rounding or Decimal(0))


def check_passport(record: Passport, mrz: Mrz | None, today: date) -> list[Check]:
    """The verdicts on a travel document.

    Args:
        record: what the printed zone says, as the model read it.
        mrz: the machine-readable zone, None where none was found.
        today: the day of the check.
    """
    checks = []
    if mrz is None:
        checks.append(_unknown("mrz", "No machine-readable zone was found.", ("mrz",)))
    else:
        checks += _digits(mrz)
        checks += _agreements(record, mrz)
    checks += [
        _ordered("birth_before_issue", record, "date_of_birth", "date_of_issue"),
        _ordered("issue_before_expiry", record, "date_of_issue", "date_of_expiry"),
        _not_after("birth_not_in_future", "date_of_birth", record.date_of_birth, today),
        _not_after("issue_not_in_future", "date_of_issue", record.date_of_issue, today),
        _expired(record, today),
    ]
    return checks


def _digits(mrz: Mrz) -> Iterable[Check]:
    for digit in mrz.digits:
        verdict = Verdict.PASS if digit.passed else Verdict.FAIL
        word = "agrees" if digit.passed else "does not agree"
        detail = f"The check digit of {digit.name.replace('_', ' ')} {word} with the zone."
        about = digit.name if digit.name in Passport.model_fields else "mrz"
        yield Check(f"mrz.{digit.name}", verdict, detail, (about,))


def zone_record(mrz: Mrz) -> Passport:
    """The zone's fields as a record: states in alpha-3, everything that it does not hold None."""
    fields = mrz.fields
    personal = fields.optional_data if mrz.format is MrzFormat.TD3 else None
    return Passport(
        document_type=fields.document_code,
        document_number=fields.document_number,
        issuing_country=_state(fields.issuing_state),
        surname=fields.surname,
        given_names=fields.given_names,
        nationality=_state(fields.nationality),
        date_of_birth=fields.date_of_birth,
        sex=fields.sex,
        date_of_expiry=fields.date_of_expiry,
        personal_number=personal,
    )


def _state(code: str | None) -> str | None:
    return None if code is None else parse_country(code) or code


def _agreements(record: Passport, mrz: Mrz) -> Iterable[Check]:
    zone = zone_record(mrz)
    for name in Passport.model_fields:
        if name not in zone.model_fields_set or name == "document_type":
            continue
        printed, read = getattr(record, name), getattr(zone, name)
        check, words = f"agrees.{name}", name.replace("_", " ")
        if printed is None or read is None:
            yield _unknown(check, f"One of the two zones has no {words}.", (name,))
            continue
        if name in {"surname", "given_names"}:
            same = names_agree(printed, read)
        elif name in {"document_number", "personal_number"}:
            same = _code(printed) == _code(read)
        else:
            same = printed == read
        verdict = Verdict.PASS if same else Verdict.FAIL
        detail = f"The two zones {'agree' if same else 'differ'} in the {words}."
        yield Check(check, verdict, detail, (name,))


def names_agree(printed: str, zone: str) -> bool:
    """Whether a printed name can be the zone's: its transliteration, whole or truncated."""
    spellings = {_simple(printed), _plain(printed)} - {""}
    there = "".join(zone.upper().split())
    for here in spellings:
        if here == there or (there and here.startswith(there)):
            return True
        if fuzz.ratio(here, there) >= _LEAST_NAME_RATIO:
            return True
        # Truncated inside a word after whole ones, or with one name of several left out.
        if (
            there
            and len(there) < len(here)
            and fuzz.partial_ratio(here, there) >= _LEAST_PART_RATIO
        ):
            return True
    return False


def _simple(text: str) -> str:
    """Doc 9303's spelling without fillers; empty for a script that has none."""
    try:
        return transliterate(text).replace("<", "")
    except InvalidMrz:
        return ""


def _plain(text: str) -> str:
    """The spelling that only drops the diacritics: MULLER for Müller."""
    decomposed = unicodedata.normalize("NFKD", text.upper())
    return "".join(letter for letter in decomposed if letter.isascii() and letter.isalpha())


def _code(text: str) -> str:
    return "".join(character for character in text.upper() if character.isalnum())


def _ordered(name: str, record: Passport, first: str, second: str) -> Check:
    fields = (first, second)
    earlier, later = getattr(record, first), getattr(record, second)
    if earlier is None or later is None:
        return _unknown(name, "One of the two dates is not known.", fields)
    words = [field.removeprefix("date_of_") for field in fields]
    if earlier < later:
        return Check(name, Verdict.PASS, f"The {words[0]} is before the {words[1]}.", fields)
    return Check(name, Verdict.FAIL, f"The {words[0]} is not before the {words[1]}.", fields)


def _not_after(name: str, field: str, value: date | None, today: date) -> Check:
    if value is None:
        return _unknown(name, "The date is not known.", (field,))
    if value <= today:
        return Check(name, Verdict.PASS, "The date is not in the future.", (field,))
    return Check(name, Verdict.FAIL, "The date is in the future.", (field,))


def _expired(record: Passport, today: date) -> Check:
    """Informative: an expired document is still a document."""
    fields = ("date_of_expiry",)
    if record.date_of_expiry is None:
        return _unknown("not_expired", "The date of expiry is not known.", fields)
    if record.date_of_expiry >= today:
        return Check("not_expired", Verdict.PASS, "The document is valid today.", fields)
    return Check("not_expired", Verdict.FAIL, "The document has expired.", fields)


def _unknown(name: str, detail: str, fields: Sequence[str]) -> Check:
    return Check(name, Verdict.NOT_APPLICABLE, detail, tuple(fields))
