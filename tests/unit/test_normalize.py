"""Values as documents print them, each row with its why."""

from datetime import date, time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extraction.document_types.base import Kind
from extraction.normalize import (
    clean_text,
    normalize,
    parse_boolean,
    parse_country,
    parse_currency,
    parse_date,
    parse_integer,
    parse_money,
    parse_number,
    parse_rate,
    parse_time,
)

SEX = ("M", "F", "X")


@pytest.mark.parametrize(
    ("raw", "amount", "why"),
    [
        ("RM 31.60", "31.60", "currency before"),
        ("RM9.00 SR", "9.00", "tax code behind"),
        ("$7.00", "7.00", "sign before"),
        ("4,50 €", "4.50", "sign behind, decimal comma"),
        ("1.234,56 EUR", "1234.56", "German"),
        ("1 234,56", "1234.56", "French"),
        ("1\u202f234,56 €", "1234.56", "French, narrow no-break space"),
        ("1,234.56", "1234.56", "English"),
        ("1'234.50", "1234.50", "Swiss"),
        ("12,34,567.00", "1234567.00", "Indian groups"),
        ("1.234.567", "1234567", "groups alone"),
        ("(5.00)", "-5.00", "accountants' negative"),
        ("5.00-", "-5.00", "tills' negative"),
        ("-5.00", "-5.00", "plain negative"),
        ("\u22125.00", "-5.00", "a true minus sign"),
        ("- RM 5.00", "-5.00", "minus before the currency"),
        ("RM-5.00", "-5.00", "minus behind the currency"),
        ("12.-", "12", "Swiss dash for no cents"),
        ("99:-", "99", "Swedish dash"),
        ("JPY 1,200", "1200", "three digits behind a comma are thousands"),
        ("Rp 25.000", "25000", "three digits behind a point, rupiah"),
        ("25.000", "25000", "ends in a zero, so thousands"),
        ("RM 2.199", "2.199", "price of a litre where the point is decimal"),
        ("KWD 1.234", "1.234", "a dinar has a thousand fils"),
        ("0.500", "0.500", "a group never starts with zero"),
        (".50", "0.50", "no digit before the point"),
        ("31. 60", "31.60", "OCR put a space in"),
        ("٣١\u066b٦٥", "31.65", "Arabic-Indic digits"),  # noqa: RUF001
        ("３１．６０", "31.60", "full width"),  # noqa: RUF001
        ("\u200f12.50\u200e", "12.50", "direction marks"),
        ("12\x00.50", "12.50", "NUL"),
    ],
)
def test_money(raw: str, amount: str, why: str) -> None:
    found = parse_money(raw)
    assert isinstance(found, Decimal), why
    assert str(found) == amount, why


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("", "empty"),
        ("-", "a dash is no amount"),
        ("1.234", "thousands or a litre's price"),
        ("1.459 EUR", "the euro is printed both ways"),
        ("1.2.3", "no grouping of any country"),
        ("1,23,4", "as above"),
        ("12 34", "two numbers"),
        ("2 x 3.00", "two numbers"),
        ("6%", "a rate"),
        ("5.00CR", "credit or debit depends on whose book it is"),
        ("NaN", "no number"),
        ("Infinity", "no number"),
        ("1e5", "no receipt prints exponents"),
        ("ABC12345", "a code"),
        ("9999999999999999", "a barcode"),
        ("12/05/18", "a date"),
    ],
)
def test_no_money(raw: str, why: str) -> None:
    assert parse_money(raw) is None, why


@given(cents=st.integers(-(10**11), 10**11))
@pytest.mark.parametrize(("group", "point"), [(",", "."), (".", ","), (" ", ","), ("'", ".")])
def test_money_round_trip(cents: int, group: str, point: str) -> None:
    amount = Decimal(cents) / 100
    printed = f"{amount:,.2f}".translate({ord(","): group, ord("."): point})
    assert parse_money(printed) == amount
    assert parse_money(f"EUR {printed}") == amount


@settings(deadline=None)  # the first call loads the names of months and countries
@given(raw=st.text(max_size=40))
def test_no_text_breaks_a_parser(raw: str) -> None:
    for kind in Kind:
        if kind not in {Kind.OBJECT, Kind.LIST}:
            normalize(kind, raw, choices=SEX)


_DIGITS = st.text("0123456789\u0660\u0669", min_size=1, max_size=60)
_WORDS = st.sampled_from(["AUG", "MAI", "XII", "RM", "EUR", "%", "am", "PM", "GBR", "1e999", "²"])
_SEPARATORS = st.sampled_from([" ", "/", "-", ".", ",", ":", "'", ""])


@settings(deadline=None)
@given(st.lists(st.tuples(_DIGITS | _WORDS, _SEPARATORS), max_size=8))
def test_nothing_that_is_like_a_value_breaks_a_parser(parts: list[tuple[str, str]]) -> None:
    raw = "".join(text for part in parts for text in part)
    for kind in Kind:
        if kind not in {Kind.OBJECT, Kind.LIST}:
            normalize(kind, raw, choices=SEX)


def test_a_number_of_many_digits_is_no_part_of_a_date() -> None:
    assert parse_date("99999999999999999999 AUG 2018") is None
    assert parse_date("9" * 5000 + " AUG 2018") is None


@pytest.mark.parametrize(
    ("raw", "read", "why"),
    [
        ("25/12/2018", date(2018, 12, 25), "day first"),
        ("12/25/2018", date(2018, 12, 25), "only month first is a date"),
        ("03/04/2018", date(2018, 4, 3), "both are dates: day first, as most countries"),
        ("24-01-16", date(2016, 1, 24), "two-digit year"),
        ("99-12-31", date(1999, 12, 31), "only year first is a date"),
        ("20180304", date(2018, 3, 4), "compact"),
        ("2018-03-04T10:22:00Z", date(2018, 3, 4), "ISO with a time"),
        ("1960-02-08", date(1960, 2, 8), "ISO"),
        ("18 APR 2018", date(2018, 4, 18), "month in letters"),
        ("25/FEB/2017", date(2017, 2, 25), "between strokes"),
        ("05MAR2018", date(2018, 3, 5), "no separator"),
        ("MAR 5, 2018", date(2018, 3, 5), "American"),
        ("Tuesday, March 5th, 2018", date(2018, 3, 5), "weekday and ordinal"),
        ("12 AUG/AOUT 74", date(1974, 8, 12), "Canadian passport"),
        ("26 MAÍ/MAY 99", date(1999, 5, 26), "Icelandic passport"),
        ("01 JAN/JAN 85", date(1985, 1, 1), "Canadian passport"),
        ("05 LIS/NOV 2010", date(2010, 11, 5), "listopad is October in Croatian; NOV decides"),
        ("04 PAŹ 2009", date(2009, 10, 4), "Polish"),
        ("23 Mei 2013", date(2013, 5, 23), "Malay and Dutch; Irish June only begins so"),
        ("23 MEI/JUN 2013", date(2013, 6, 23), "Irish; JUN decides"),
        ("17 ELO 1990", date(1990, 8, 17), "Finnish"),
        ("14 Φεβ 2015", date(2015, 2, 14), "Greek"),
        ("3 июля 1999", date(1999, 7, 3), "Russian"),
        ("12.08.1964", date(1964, 8, 12), "German"),
        ("12.VIII.1964", date(1964, 8, 12), "Roman month"),
        ("2018年3月4日", date(2018, 3, 4), "Japanese"),
        ("٢٥/١٢/٢٠١٨", date(2018, 12, 25), "Arabic-Indic digits"),
        ("25/12/2561", date(2018, 12, 25), "Thai year"),
        ("25/12/2018 10:33:05 PM", date(2018, 12, 25), "time behind"),
        ("31.12.47", date(2047, 12, 31), "an expiry"),
        ("16.01.78", date(1978, 1, 16), "a birth"),
        ("31/02/2018", None, "no such day"),
        ("05 listopad 2010", None, "two languages, two months"),
        ("12/2018", None, "no day"),
        ("RM 31.60", None, "money"),
        ("", None, "empty"),
    ],
)
def test_dates(raw: str, read: date | None, why: str) -> None:
    assert parse_date(raw) == read, why


def test_month_first_is_an_option() -> None:
    assert parse_date("03/04/2018", day_first=False) == date(2018, 3, 4)
    assert parse_date("25/12/2018", day_first=False) == date(2018, 12, 25)
    assert normalize(Kind.DATE, "03/04/18", day_first=False) == date(2018, 3, 4)


def test_a_birth_is_not_in_the_future() -> None:
    assert parse_date("12 AUG 35", not_after=date(2026, 1, 1)) == date(1935, 8, 12)


@given(day=st.dates(date(1950, 1, 1), date(2049, 12, 31)))
@pytest.mark.parametrize("style", ["%d/%m/%Y", "%Y-%m-%d", "%Y%m%d", "%d %b %Y", "%d.%m.%y"])
def test_date_round_trip(day: date, style: str) -> None:
    assert parse_date(day.strftime(style)) == day


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        ("14:33", time(14, 33)),
        ("2:05 PM", time(14, 5)),
        ("12:00AM", time(0, 0)),
        ("12:15 p.m.", time(12, 15)),
        ("14.33", time(14, 33)),
        ("14h35", time(14, 35)),
        ("0930", time(9, 30)),
        ("07:05:09", time(7, 5, 9)),
        ("9 PM", time(21, 0)),
        ("13:05 PM", time(13, 5)),  # some tills do
        ("25/12/2018 10:33:05 PM", time(22, 33, 5)),
        ("25:00", None),
        ("25/12/2018", None),
        ("RM 31.60", None),
    ],
)
def test_times(raw: str, read: time | None) -> None:
    assert parse_time(raw) == read


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("Polish", "POL"),
        ("POLSKIE/POLISH", "POL"),
        ("UTOPIA", "UTO"),
        ("D", "DEU"),
        ("D<<", "DEU"),
        ("Deutschland", "DEU"),
        ("DEUTSCH", "DEU"),
        ("USA", "USA"),
        ("UNITED STATES OF AMERICA", "USA"),
        ("MALAYSIA", "MYS"),
        ("MY", "MYS"),
        ("GBD", "GBD"),
        ("XXA", "XXA"),
        ("UNO", "UNO"),
        ("BRITISH CITIZEN", "GBR"),
        ("ČESKÁ REPUBLIKA/CZECH REPUBLIC", "CZE"),
        ("SUOMI/FINLAND", "FIN"),
        ("CANADIAN/CANADIENNE", "CAN"),
        ("Republic of Korea", "KOR"),
        ("日本", "JPN"),
        ("ÍSLENSKT", "ISL"),
        ("GERMAN / POLISH", None),  # they disagree
        ("Wonderland", None),
        ("", None),
    ],
)
def test_countries(raw: str, code: str | None) -> None:
    assert parse_country(raw) == code


@pytest.mark.parametrize(
    ("raw", "country", "code"),
    [
        ("RM", None, "MYR"),
        ("RM 31.60", None, "MYR"),
        ("€", None, "EUR"),
        ("S$", None, "SGD"),
        ("usd", None, "USD"),
        ("zł", None, "PLN"),
        ("$", None, None),  # thirty countries
        ("$", "USA", "USD"),
        ("$", "SGP", "SGD"),
        ("$", "MYS", None),  # Malaysia prints RM
        ("kr", None, None),
        ("kr.", "DNK", "DKK"),
        ("¥", "JPN", "JPY"),
        ("abc", None, None),
        ("", None, None),
    ],
)
def test_currencies(raw: str, country: str | None, code: str | None) -> None:
    assert parse_currency(raw, country=country) == code


@pytest.mark.parametrize(
    ("raw", "rate"),
    [
        ("6%", "0.06"),
        ("6 %", "0.06"),
        ("0.06", "0.06"),
        ("SR 6.00%", "0.06"),
        ("GST @ 6%", "0.06"),
        ("19,00 %", "0.19"),
        ("100%", "1"),
        ("1%", "0.01"),
        ("6", "0.06"),
        ("1", None),  # one per cent or all
        ("120%", None),
        ("-6%", None),
        ("GST", None),
    ],
)
def test_rates(raw: str, rate: str | None) -> None:
    assert parse_rate(raw) == (None if rate is None else Decimal(rate))


@pytest.mark.parametrize(
    ("raw", "number", "integer"),
    [
        ("2", "2", 2),
        ("2 x", "2", 2),
        ("x2", "2", 2),
        ("3.00", "3.00", 3),
        ("1.250 kg", "1.250", None),  # a weight has three decimals
        ("1,234", "1234", 1234),
        ("-1", "-1", -1),
        ("two", None, None),
        ("NaN", None, None),
    ],
)
def test_numbers(raw: str, number: str | None, integer: int | None) -> None:
    assert parse_number(raw) == (None if number is None else Decimal(number))
    assert parse_integer(raw) == integer


@pytest.mark.parametrize(
    ("raw", "sex"),
    [
        ("F", "F"),
        ("f", "F"),
        ("F/F", "F"),
        ("M/M", "M"),
        ("K", "F"),  # kobieta, kvinna
        ("V/F", "F"),  # vrouw
        ("Ž/F", "F"),  # žena
        ("K/M", "M"),  # the international letter counts
        ("MALE", "M"),
        ("Female", "F"),
        ("X", "X"),
        ("<", "X"),
        ("-", None),
        ("", None),
    ],
)
def test_sex(raw: str, sex: str | None) -> None:
    assert normalize(Kind.CHOICE, raw, choices=SEX) == sex


def test_other_choices_are_exact_but_for_case() -> None:
    assert normalize(Kind.CHOICE, "cash", choices=("Cash", "Card")) == "Cash"
    assert normalize(Kind.CHOICE, "M", choices=("Cash", "Card")) is None


def test_booleans() -> None:
    assert [parse_boolean(raw) for raw in ("Yes", "x", "NO", "maybe")] == [True, True, False, None]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("  A \t B\n", "A B"),
        ("A\x00B", "AB"),
        ("\u202eABC\u202c", "ABC"),
        ("e\u0301", "é"),
        (" \x00 ", None),
        ("", None),
    ],
)
def test_text(raw: str, text: str | None) -> None:
    assert clean_text(raw) == text


def test_a_container_has_no_printed_value() -> None:
    with pytest.raises(TypeError):
        normalize(Kind.LIST, "a")
