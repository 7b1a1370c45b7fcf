"""What stands on a page of labels and values: invoice, form, medical record."""

from datetime import timedelta
from decimal import Decimal

from markupsafe import Markup

from trainer.synth.dice import chance, pattern
from trainer.synth.pages.blocks import (
    Block,
    Cell,
    Choice,
    Heading,
    Items,
    Layout,
    Pairs,
    Paragraph,
    Table,
    Text,
)
from trainer.synth.pages.look import Look
from trainer.synth.pages.tables import table_style
from trainer.synth.pages.writer import Writer, capitalised

_CENT = Decimal("0.01")
_TAX_RATES = ("0.05", "0.10", "0.19", "0.20", "0.22")


def invoice(writer: Writer, look: Look) -> Layout:
    """An invoice: two parties, a table of items, sums, terms; the bank's details at the foot."""
    del look
    rng, label = writer.rng, writer.label
    seller, day = writer.organisation(), writer.recent_day()
    number = pattern(rng, rng.choice(("####-###", "@@-#####", "20##/####", "########")))
    top: list[Block] = [
        Heading(f"{label('invoice')} {number}", 1),
        Paragraph(_lines(seller, writer.street(), f"{writer.postcode()} {writer.city()}"), "plain"),
        Pairs(
            [
                (label("date"), writer.dated(day, "short")),
                (label("due"), writer.dated(day + timedelta(days=30), "short")),
            ]
        ),
        Heading(label("bill_to"), 3),
        Heading(label("ship_to"), 3),
        *(
            Paragraph(
                _lines(writer.person(), writer.street(), f"{writer.postcode()} {writer.city()}"),
                "plain",
            )
            for _ in range(2)
        ),
    ]
    rows = [
        [
            Cell(label(name), head=True, css="right" if index else "")
            for index, name in enumerate(("item", "quantity", "unit_price", "amount"))
        ]
    ]
    total = Decimal(0)
    for name in writer.some_of("goods", rng.randint(3, 9)):
        quantity, price = rng.randint(1, 24), Decimal(rng.randint(95, 48_000)) / 100
        amount = quantity * price
        total += amount
        figures = (str(quantity), writer.amount(price), writer.amount(amount))
        rows.append([Cell(name), *(Cell(text, css="right") for text in figures)])
    rate = Decimal(rng.choice(_TAX_RATES))
    tax = (total * rate).quantize(_CENT)
    sums = (
        (label("subtotal"), total),
        (f"{label('tax')} {writer.percent(float(rate), 0)}", tax),
        (label("total"), total + tax),
    )
    flow: list[Block] = [Table(rows, "", table_style(writer))]
    if chance(rng, 0.5):
        rows += [
            [Cell(name, head=True, across=3, css="right"), Cell(writer.money(value), css="right")]
            for name, value in sums
        ]
    else:
        flow.append(Pairs([(name, writer.money(value)) for name, value in sums]))
    flow.append(Paragraph(label("terms")))
    if chance(rng, 0.5):
        flow.append(Paragraph(writer.sentences(1, 2)))
    bank = f"{label('bank')}: {pattern(rng, '@@## #### #### #### ##')}"
    page = f"{label('page')} 1 {label('of')} {rng.randint(1, 3)}"
    return Layout(
        flow, top=top, footer=rng.choice(((bank, "", page), ("", bank, ""), ("", page, "")))
    )


def form(writer: Writer, look: Look) -> Layout:
    """A filled form: sections of labelled fields, questions with boxes, a signature."""
    del look
    rng, label = writer.rng, writer.label
    boxed = " boxed" if chance(rng, 0.6) else ""
    sections: list[list[Block]] = [
        [
            Pairs(
                [
                    (label("surname"), writer.surname()),
                    (label("given_names"), writer.given_name()),
                    (label("born"), writer.dated(form="short")),
                    (label("record"), pattern(rng, "@###-####")),
                ],
                f"two{boxed}",
            )
        ],
        [
            Pairs(
                [
                    (label("address"), f"{writer.street()}, {writer.postcode()} {writer.city()}"),
                    (label("phone"), writer.phone()),
                    (label("email"), writer.email()),
                ],
                boxed.strip(),
            )
        ],
        [
            Choice(text, (label("yes"), label("no")), rng.choice((0, 1, None)))
            for text in writer.some_of("question", rng.randint(2, 4))
        ],
    ]
    if chance(rng, 0.5):
        sections.append(
            [
                Paragraph(writer.sentences(2, 4)),
                Items([writer.item() for _ in range(3)], ordered=True),
            ]
        )
    if chance(rng, 0.35):
        sections.append([_years(writer)])
    flow: list[Block] = [Heading(label("form"), 1), Paragraph(writer.sentences(1, 2))]
    for number, blocks in enumerate(sections, start=1):
        flow.append(Heading(f"{label('part')} {number}: {writer.title()}", 2))
        flow += blocks
    flow += [
        Paragraph(label("declaration"), "plain"),
        Paragraph(f"{label('signature')}, {label('date')}", "sign"),
    ]
    code = pattern(rng, "@@ ###-##")
    return Layout(
        flow,
        header=(code, "", label("office_use")) if chance(rng, 0.6) else ("", "", ""),
        footer=(code, "", f"{label('page')} {rng.randint(1, 4)}"),
    )


def _years(writer: Writer) -> Table:
    """Amounts by year and town; two towns share the first year."""
    label = writer.label
    year = writer.rng.randint(1980, 2015)
    rows = [
        [
            Cell(label("year"), head=True),
            Cell(label("region"), head=True),
            Cell(label("amount"), head=True),
        ]
    ]
    rows.append([Cell(str(year), head=True, down=2), *_place(writer)])
    rows.append(_place(writer))
    years = range(year + 1, year + writer.rng.randint(2, 4))
    rows += [[Cell(str(other), head=True), *_place(writer)] for other in years]
    return Table(rows, writer.topic, table_style(writer))


def _place(writer: Writer) -> list[Cell]:
    amount = writer.number(writer.rng.randint(1000, 90_000))
    return [Cell(writer.city()), Cell(amount, css="right")]


def medical(writer: Writer, look: Look) -> Layout:
    """A discharge letter: patient, diagnoses, history, laboratory values with spans, medication."""
    del look
    rng, label = writer.rng, writer.label
    record, woman = pattern(rng, "##-######"), chance(rng, 0.5)
    patient = Pairs(
        [
            (label("patient"), writer.person(woman=woman)),
            (label("born"), writer.dated(form="short")),
            (label("sex"), label("female" if woman else "male")),
            (label("record"), record),
        ],
        rng.choice(("two", "", "two boxed")),
    )
    top: list[Block] = [
        Heading(label("medical"), 1),
        Paragraph(f"{label('ward')} {rng.randint(1, 12)}", "plain"),
        patient,
    ]
    flow: list[Block] = [
        Heading(label("diagnosis"), 2),
        Items(writer.some_of("diagnoses", rng.randint(1, 3)), ordered=True),
        Heading(label("history"), 2),
        Paragraph(_findings(writer, 2)),
        Heading(label("examination"), 2),
        Paragraph(_findings(writer, 3)),
        Heading(label("laboratory"), 2),
        _laboratory(writer),
        Heading(label("medication"), 2),
        _medication(writer),
        Heading(label("plan"), 2),
        Paragraph(writer.sentences(2, 4)),
        Paragraph(f"{label('physician')}: {writer.person()}", "sign"),
    ]
    return Layout(
        flow,
        top=top,
        columns=2 if chance(rng, 0.15) else 1,
        header=(writer.organisation(), "", writer.dated(form="medium"))
        if chance(rng, 0.7)
        else ("", "", ""),
        footer=(record, "", f"{label('page')} 1 {label('of')} 2"),
    )


def _findings(writer: Writer, count: int) -> str:
    return " ".join(f"{capitalised(writer.finding())}." for _ in range(count))


def _laboratory(writer: Writer) -> Table:
    """Values in two groups whose names cover their rows."""
    rng, label = writer.rng, writer.label
    names = ("test", "result", "range")
    rows = [
        [Cell(label("laboratory"), head=True), *(Cell(label(name), head=True) for name in names)]
    ]
    analytes = writer.some_of("analytes", 6)
    for index, panel in enumerate(writer.label_list("panels")):
        own = analytes[index * 3 : index * 3 + 3]
        for row, analyte in enumerate(own):
            low, high = sorted((rng.randint(1, 90), rng.randint(91, 180)))
            cells = [
                Cell(analyte),
                Cell(writer.number(rng.randint(10, 1999) / 10), css="right"),
                Cell(f"{low}–{high}"),  # noqa: RUF001 a range is printed with a dash
            ]
            group = [Cell(panel, head=True, down=len(own))] if row == 0 else []
            rows.append([*group, *cells])
    return Table(rows, "", table_style(writer))


def _medication(writer: Writer) -> Table:
    label = writer.label
    rows = [[Cell(label(name), head=True) for name in ("medication", "dose", "frequency")]]
    frequencies = writer.label_list("frequencies")
    drugs = writer.some_of("drugs", writer.rng.randint(2, 5))
    doses = [f"{writer.rng.choice((5, 10, 20, 40, 100, 250, 500))} mg" for _ in drugs]
    rows += [
        [Cell(drug), Cell(dose), Cell(writer.rng.choice(frequencies))]
        for drug, dose in zip(drugs, doses, strict=True)
    ]
    return Table(rows, "", table_style(writer))


def _lines(*texts: str) -> Text:
    return Markup("<br>").join(texts)
