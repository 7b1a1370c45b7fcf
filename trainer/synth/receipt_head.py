"""The upper part of a receipt: who sells, and when."""

import random
from datetime import timedelta

from trainer.synth.dice import chance, digits, pattern, weighted
from trainer.synth.merchants import Merchant
from trainer.synth.sheet import Cell
from trainer.synth.till import Till

_Entry = tuple[str, str]
_NUMBERS = (
    *("@@########", "#####", "@@@-#####", "##-######", "########", "@##########"),
    *("#### #### ####", "@@#####-#", "@@-#####", "@@###/####"),
)
_STAFF = (
    *("USER", "MANAGER", "ADMIN", "STAFF 2", "SITI", "MEI LING", "ANNA", "RAJU", "KUMAR"),
    *("NURUL", "PAT", "ALEX", "DEWI"),
)
_EXTRAS = {
    "TABLE": "##",
    "POS": "##",
    "COUNTER": "#",
    "REF": "####",
    "COVER": "#",
    "MEMBER": "##########",
    "CUSTOMER": "CASH",
    "SALESPERSON": "",
    "TERMS": "C.O.D.",
}


def print_head(rng: random.Random, till: Till, merchant: Merchant) -> None:
    """Company, registration, address, phone, tax number and title."""
    sheet = till.sheet
    x, align = weighted(rng, {(0.5, "centre"): 0.8, (0.0, "left"): 0.2})
    title_first = chance(rng, 0.06)
    if title_first:
        _title(rng, till)
    brand_first = chance(rng, 0.7)
    if merchant.brand and brand_first:
        big = rng.choice((1.0, 1.3, 1.7))
        sheet.add(Cell(merchant.brand, x, align), scale=big, bold=chance(rng, 0.5))
    _name(rng, till, merchant, x, align)
    if merchant.brand and not brand_first:
        sheet.add(Cell(merchant.brand, x, align))
    if "merchant_address" not in till.lacking:
        _address(till, merchant, x, align)
    contact = [_phone, _tax_id, _site]
    if chance(rng, 0.3):
        rng.shuffle(contact)
    for part in contact:
        part(rng, till, merchant, x, align)
    if not title_first and chance(rng, 0.8):
        _title(rng, till)


def _name(rng: random.Random, till: Till, merchant: Merchant, x: float, align: str) -> None:
    if "merchant_name" in till.lacking:
        return
    sheet = till.sheet
    inside = bool(merchant.registration) and merchant.registration[0] == "(" and chance(rng, 0.3)
    scale, bold = rng.choice((1.0, 1.0, 1.12)), chance(rng, 0.4)
    for number, line in enumerate(merchant.name):
        last = number == len(merchant.name) - 1
        text = f"{line} {merchant.registration}" if inside and last else line
        sheet.add(Cell(text, x, align), scale=scale, bold=bold)
    till.record["merchant_name"] = " ".join(merchant.name)
    if merchant.registration and not inside and chance(rng, 0.85):
        sheet.add(Cell(merchant.registration, x, align))


def _address(till: Till, merchant: Merchant, x: float, align: str) -> None:
    for line in merchant.address:
        till.sheet.add(Cell(line, x, align))
    till.record["merchant_address"] = " ".join(merchant.address)
    if merchant.country_line:
        till.record["country"] = merchant.country_line


def _site(rng: random.Random, till: Till, merchant: Merchant, x: float, align: str) -> None:
    if chance(rng, 0.1):
        word = "".join(sign for sign in merchant.name[0].split()[0] if sign.isalnum())
        till.sheet.add(Cell(f"WWW.{word}.COM", x, align))


def _phone(rng: random.Random, till: Till, merchant: Merchant, x: float, align: str) -> None:
    if "merchant_phone" in till.lacking or not merchant.phone or chance(rng, 0.2):
        return
    word = till.says(rng, "phone")
    between = rng.choice(("", " ") if word.endswith(":") else (" : ", ": ", ":", " "))
    cells = [Cell(word + between + merchant.phone, x, align)]
    if chance(rng, 0.12):
        fax = "FAX: " + digits(rng, 2) + "-" + digits(rng, 8)
        cells = [Cell(cells[0].text, 0.02), Cell(fax, 0.98, "right")]
    till.sheet.add(*cells)
    till.record["merchant_phone"] = merchant.phone


def _tax_id(rng: random.Random, till: Till, merchant: Merchant, x: float, align: str) -> None:
    if not merchant.tax_id or not chance(rng, 0.85):
        return
    word = rng.choice(till.country.tax_id)
    between = rng.choice((": ", " : ", ":", " "))
    text = f"{word}{between}{merchant.tax_id}"
    till.sheet.add(Cell(f"({text})" if chance(rng, 0.15) else text, x, align))
    till.record["merchant_tax_id"] = merchant.tax_id


def _title(rng: random.Random, till: Till) -> None:
    title = till.says(rng, "title")
    if chance(rng, 0.5):
        till.sheet.space(0.6)
    till.sheet.add(Cell(title, 0.5, "centre"), scale=rng.choice((1.0, 1.15)), bold=chance(rng, 0.5))
    till.record["receipt_type"] = title


def print_meta(rng: random.Random, till: Till) -> None:
    """Number, date, time and till, with dates around that are not the answer."""
    sheet = till.sheet
    sheet.space(0.5)
    if chance(rng, 0.3):
        sheet.rule(rng.choice("-=*"))
    layout = weighted(rng, {"stacked": 5.0, "grid": 3, "bare": 2})
    split = rng.choice((0.3, 0.36, 0.42)) if chance(rng, 0.5) else 0.0
    entries = [_number(rng, till), *_when(rng, till, bare=layout == "bare"), *_staff(rng, till)]
    if layout == "grid":
        _print_grid(till, entries)
    else:
        rng.shuffle(entries)
        for entry in entries:
            _print(till, entry, split)
    if chance(rng, 0.08):
        later = till.write_date(till.day + timedelta(days=rng.choice((7, 14, 30))))
        sheet.add(Cell(f"{till.says(rng, 'due')}: {later}"))


def _text(till: Till, entry: _Entry) -> str:
    word, value = entry
    if not word:
        return value
    if not value:
        return word + till.colon
    between = {"": " ", " :": " : "}.get(till.colon, ": ")
    return word + (": " if between == " " and word[-1].isdigit() else between) + value


def _print(till: Till, entry: _Entry, split: float) -> None:
    """One labelled value, label and value in one run or in two columns."""
    word, value = entry
    if split and word:
        till.sheet.add(Cell(word), Cell((": " if till.colon else "") + value, split))
    else:
        till.sheet.add(Cell(_text(till, entry)))


def _print_grid(till: Till, entries: list[_Entry]) -> None:
    """Two entries a row where they fit beside each other."""
    waiting = list(entries)
    while waiting:
        first = waiting.pop(0)
        room = till.sheet.columns - len(_text(till, first)) - 2
        second = next((entry for entry in waiting if len(_text(till, entry)) <= room), None)
        cells = [Cell(_text(till, first))]
        if second:
            waiting.remove(second)
            cells.append(Cell(_text(till, second), 1.0, "right"))
        till.sheet.add(*cells)


def _number(rng: random.Random, till: Till) -> _Entry:
    number = pattern(rng, rng.choice(_NUMBERS))
    till.record["receipt_number"] = number
    return till.says(rng, "number"), number


def _when(rng: random.Random, till: Till, *, bare: bool) -> list[_Entry]:
    """Date and time, together or apart, without a word before them where `bare`."""
    dated, timed = "transaction_date" not in till.lacking, "transaction_time" not in till.lacking
    day = till.write_date(till.day)
    if dated:
        till.record["transaction_date"] = day
    if timed:
        till.record["transaction_time"] = till.time
    word = "" if bare else till.says(rng, "date")
    if dated and timed and chance(rng, 0.55):
        return [(word, f"{day}{rng.choice((' ', ' ', ' / '))}{till.time}")]
    clock = ("" if bare else till.says(rng, "time"), till.time)
    return [(word, day)] * dated + [clock] * timed


def _staff(rng: random.Random, till: Till) -> list[_Entry]:
    extra = {word: pattern(rng, value) for word, value in _EXTRAS.items()}
    entries: list[_Entry] = []
    if chance(rng, 0.7):
        entries.append((till.says(rng, "cashier"), rng.choice((*_STAFF, digits(rng, 4)))))
    words = rng.sample(list(extra), rng.choice((0, 0, 1, 2)))
    return entries + [(till.spell(word), extra[word]) for word in words]
