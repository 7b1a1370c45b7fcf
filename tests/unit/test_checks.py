"""Verdicts on receipts and passports."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from extraction.checks import Verdict, check_passport, check_receipt, names_agree, zone_record
from extraction.document_types.passport import Passport
from extraction.document_types.receipt import Receipt
from extraction.mrz import parse_mrz

TODAY = date(2026, 11, 22)
PASS, FAIL, NONE = Verdict.PASS, Verdict.FAIL, Verdict.NOT_APPLICABLE
MRZ = parse_mrz(
    [
        "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
        "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
    ],
    today=TODAY,
)


def verdict_of(name: str, **fields: Any) -> Verdict:
    checks = {check.name: check for check in check_receipt(Receipt.model_validate(fields), TODAY)}
    return checks[name].verdict


@pytest.mark.parametrize(
    ("fields", "verdict", "why"),
    [
        ({}, NONE, "nothing is known"),
        ({"subtotal": "10.00"}, NONE, "no total"),
        ({"subtotal": "10.00", "total": "10.00"}, PASS, "equal"),
        ({"subtotal": "10.00", "tax_total": "0.60", "total": "10.60"}, PASS, "tax added"),
        ({"subtotal": "10.60", "tax_total": "0.60", "total": "10.60"}, PASS, "tax included"),
        (
            {"subtotal": "10.00", "taxes": [{"amount": "0.60"}], "total": "10.60"},
            PASS,
            "the tax lines stand for their sum",
        ),
        ({"subtotal": "10.00", "service_charge": "1.00", "total": "11.00"}, PASS, "service"),
        ({"subtotal": "10.00", "tip": "1.00", "total": "11.00"}, PASS, "tip"),
        ({"subtotal": "10.00", "discount_total": "2.00", "total": "8.00"}, PASS, "discount"),
        ({"subtotal": "10.00", "discount_total": "-2.00", "total": "8.00"}, PASS, "with a minus"),
        ({"subtotal": "8.00", "discount_total": "2.00", "total": "8.00"}, PASS, "already off"),
        ({"subtotal": "10.02", "rounding": "-0.02", "total": "10.00"}, PASS, "rounding"),
        ({"subtotal": "10.02", "total": "10.00"}, PASS, "two cents are tolerated"),
        ({"subtotal": "10.03", "total": "10.00"}, FAIL, "three are not"),
        ({"subtotal": "10.00", "total": "0.00"}, FAIL, "an injected total of 0"),
    ],
)
def test_total_identity(fields: dict[str, Any], verdict: Verdict, why: str) -> None:
    assert verdict_of("total_identity", **fields) is verdict, why


def items(*prices: str | None) -> list[dict[str, str | None]]:
    return [{"description": "A", "total_price": price} for price in prices]


@pytest.mark.parametrize(
    ("fields", "verdict", "why"),
    [
        ({"total": "3.00"}, NONE, "no items"),
        ({"items": items("1.00", "2.00")}, NONE, "no sum"),
        ({"items": items("1.00", None), "total": "3.00"}, NONE, "an amount is missing"),
        ({"items": items("1.00", "2.00"), "total": "3.00"}, PASS, "the total"),
        ({"items": items("1.00", "2.00"), "subtotal": "3.00", "total": "9.00"}, PASS, "subtotal"),
        (
            {"items": items("1.00", "2.00"), "total": "3.18", "tax_total": "0.18"},
            PASS,
            "tax on top",
        ),
        (
            {"items": items("1.00", "2.00"), "subtotal": "2.50", "discount_total": "0.5"},
            PASS,
            "off",
        ),
        ({"items": items("1.00", "2.00"), "subtotal": "4.00"}, FAIL, "an item too few"),
    ],
)
def test_items_sum(fields: dict[str, Any], verdict: Verdict, why: str) -> None:
    assert verdict_of("items_sum", **fields) is verdict, why


@pytest.mark.parametrize(
    ("fields", "verdict", "why"),
    [
        ({"total": "9.00"}, NONE, "nothing paid"),
        ({"total": "9.00", "amount_paid": "10.00", "change_due": "1.00"}, PASS, "cash"),
        ({"total": "9.00", "amount_paid": "10.00", "change_due": "-1.00"}, PASS, "minus printed"),
        ({"total": "9.00", "amount_paid": "10.00"}, FAIL, "where is the change"),
        ({"total": "9.00", "payments": [{"amount": "4.00"}, {"amount": "5.00"}]}, PASS, "split"),
        (
            {"total": "9.00", "amount_paid": "9.00", "payments": [{"amount": "4.00"}]},
            FAIL,
            "the payments are less than what was paid",
        ),
        (
            {"total": "9.03", "rounding": "-0.03", "amount_paid": "9.00"},
            PASS,
            "the rounding is of the cash",
        ),
    ],
)
def test_payments(fields: dict[str, Any], verdict: Verdict, why: str) -> None:
    assert verdict_of("payments", **fields) is verdict, why


def test_taxes_and_date() -> None:
    taxes = [{"amount": "0.60"}, {"amount": "0.40"}]
    assert verdict_of("taxes_sum", taxes=taxes, tax_total="1.00") is PASS
    assert verdict_of("taxes_sum", taxes=taxes, tax_total="1.10") is FAIL
    assert verdict_of("taxes_sum", tax_total="1.10") is NONE
    assert verdict_of("date_not_in_future", transaction_date=TODAY) is PASS
    assert verdict_of("date_not_in_future", transaction_date=date(2026, 11, 23)) is FAIL


def passport_verdicts(record: Passport, *, with_mrz: bool = True) -> dict[str, Verdict]:
    return {c.name: c.verdict for c in check_passport(record, MRZ if with_mrz else None, TODAY)}


def test_a_zone_agrees_with_itself() -> None:
    verdicts = passport_verdicts(zone_record(MRZ))
    digits = {name: v for name, v in verdicts.items() if name.startswith("mrz.")}
    assert digits == dict.fromkeys(
        [
            "mrz.document_number",
            "mrz.date_of_birth",
            "mrz.date_of_expiry",
            "mrz.personal_number",
            "mrz.composite",
        ],
        PASS,
    )
    agreements = {v for name, v in verdicts.items() if name.startswith("agrees.")}
    assert agreements == {PASS}
    assert verdicts["not_expired"] is FAIL


def test_each_field_is_compared_by_itself() -> None:
    record = zone_record(MRZ).model_copy(
        update={"surname": "Andersson", "date_of_birth": date(1974, 8, 13), "sex": None}
    )
    verdicts = passport_verdicts(record)
    assert verdicts["agrees.surname"] is FAIL
    assert verdicts["agrees.date_of_birth"] is FAIL
    assert verdicts["agrees.sex"] is NONE
    assert verdicts["agrees.given_names"] is PASS


def test_without_a_zone() -> None:
    record = Passport(date_of_birth=date(1990, 1, 1), date_of_issue=date(1980, 1, 1))
    verdicts = passport_verdicts(record, with_mrz=False)
    assert verdicts["mrz"] is NONE
    assert verdicts["birth_before_issue"] is FAIL
    assert verdicts["issue_before_expiry"] is NONE


def test_no_detail_holds_a_value() -> None:
    record = zone_record(MRZ)
    told = " ".join(check.detail for check in check_passport(record, MRZ, TODAY)).upper()
    for value in ("ERIKSSON", "ANNA", "L898902C3", "1974", "ZE184226B", "UTO"):
        assert value not in told.split()
        assert value == "UTO" or value not in told


@pytest.mark.parametrize(
    ("printed", "zone", "same"),
    [
        ("Müller", "MUELLER", True),
        ("Müller", "MULLER", True),  # both spellings are in use
        ("ÆVARSDÓTTIR", "AEVARSDOTTIR", True),
        ("O'Connor", "OCONNOR", True),
        ("Smith-Jones", "SMITH JONES", True),
        ("Nilavadhanananda Chayapa Dejthamrong", "NILAVADHANANANDA CHAYAPA D", True),  # truncated
        ("山田", "YAMADA", False),  # cannot be compared, so it does not agree
        ("Smith", "JONES", False),
    ],
)
def test_names(printed: str, zone: str, same: bool) -> None:
    assert names_agree(printed, zone) is same


def test_money_stays_decimal() -> None:
    record = Receipt(subtotal=Decimal("0.1"), tax_total=Decimal("0.2"), total=Decimal("0.3"))
    assert check_receipt(record, TODAY)[1].verdict is PASS
