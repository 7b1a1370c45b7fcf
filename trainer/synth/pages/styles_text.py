"""What stands on a page of running text: report, paper, magazine, book."""

from markupsafe import Markup

from trainer.synth.dice import chance
from trainer.synth.pages import formulas
from trainer.synth.pages.blocks import (
    Aside,
    Block,
    Figure,
    Formula,
    Heading,
    Items,
    Layout,
    Note,
    Paragraph,
    Quote,
    Text,
    inline_math,
    note_mark,
)
from trainer.synth.pages.facts import Cast
from trainer.synth.pages.figures import draw_figure
from trainer.synth.pages.look import Look
from trainer.synth.pages.tables import figures_table
from trainer.synth.pages.writer import Writer

# More than any page holds: what does not fit is cut.
_BLOCKS = 34
_ROOMY_PIXELS = 560


def report(writer: Writer, look: Look) -> Layout:
    """A page of a report, in one or two columns; some are one large table or drawing."""
    rng = writer.rng
    columns = 2 if look.width > _ROOMY_PIXELS and chance(rng, 0.4) else 1
    cast = Cast(writer) if chance(rng, 0.5) else None
    flow: list[Block] = [Heading(writer.title(), 1 if columns == 1 else 2)]
    kind = rng.choices(("mixed", "table", "diagram"), (0.84, 0.1, 0.06))[0]
    caption = f"{writer.label('table')} {rng.randint(1, 9)}. {writer.topic}"
    if kind == "table":
        flow = [flow[0], figures_table(writer, caption, rng.randint(16, 26)), _prose(writer, cast)]
    elif kind == "diagram":
        columns = 1
        flow = [flow[0], _figure(writer, look), _figure(writer, look), _prose(writer, cast)]
    else:
        number = 0
        for index in range(_BLOCKS):
            if index % 5 == 4:  # noqa: PLR2004 a heading after each four blocks
                number += 1
                flow.append(_section(writer, number))
            flow.append(_report_block(writer, look, cast, roomy=columns == 1))
    header = (writer.label("report"), "", writer.dated(form="medium") if cast is None else "")
    return Layout(
        flow,
        columns=columns,
        header=header if chance(rng, 0.75) else ("", "", ""),
        footer=_footer(writer, writer.label("confidential")),
        states_graph=cast is not None,
    )


def _section(writer: Writer, number: int) -> Heading:
    numbered = f"{number}. " if writer.rng.random() < 0.5 else ""  # noqa: PLR2004 half of them
    return Heading(f"{numbered}{writer.title()}", writer.rng.choice((2, 2, 3)))


def _report_block(writer: Writer, look: Look, cast: Cast | None, *, roomy: bool) -> Block:
    rng = writer.rng
    kind = rng.choices(
        ("prose", "list", "table", "figure", "aside"), (0.62, 0.14, 0.12, 0.08, 0.04)
    )[0]
    if kind == "list":
        return _list(writer)
    if kind == "table":
        caption = f"{writer.label('table')} {rng.randint(1, 9)}. {writer.title()}"
        return figures_table(writer, caption, rng.randint(3, 7), wide=roomy)
    if kind == "figure":
        return _figure(writer, look)
    if kind == "aside":
        return Aside(writer.title(), [writer.sentences(1, 3)])
    return _prose(writer, cast)


def paper(writer: Writer, look: Look) -> Layout:
    """A page of a scientific paper: two columns, mathematics, references; the first or another."""
    rng = writer.rng
    first, last = chance(rng, 0.35), chance(rng, 0.2)
    flow: list[Block] = []
    names = ["introduction", "methods", "results", "discussion", "conclusion"]
    at = 0 if first else rng.randrange(len(names))
    mark = str(rng.randint(1, 6))
    noted = chance(rng, 0.4)
    for index in range(_BLOCKS):
        if index % 4 == 0 and (first or index):
            name = writer.label(names[at % len(names)]) if index % 8 == 0 else writer.title()
            flow.append(Heading(f"{at % len(names) + 1} {name}", 2 if index % 8 == 0 else 3))
            at += index % 8 == 0
        if index == 1 and noted:
            text = Markup("{}{} {}").format(writer.sentence(), note_mark(mark), writer.sentence())
            flow.append(Paragraph(text))
        else:
            flow.append(_paper_block(writer, index))
        if last and index > 6:  # noqa: PLR2004 a last page has some text before its references
            flow += _references(writer)
            break
    caption = f"{writer.label('figure')} {rng.randint(1, 6)}. {writer.sentence()}"
    wide = [draw_figure(writer, look.accent, caption)] if chance(rng, 0.18) else []
    return Layout(
        flow,
        top=_paper_head(writer) if first else wide,
        bottom=wide if first else (),
        notes=[Note(mark, writer.sentence())] if noted else (),
        columns=2 if chance(rng, 0.8) else 1,
        header=("", "", "") if first else (writer.organisation(), "", writer.topic),
        footer=("", str(rng.randint(1, 980)), ""),
    )


def _paper_head(writer: Writer) -> list[Block]:
    authors = ", ".join(writer.person() for _ in range(writer.rng.randint(1, 4)))
    return [
        Heading(writer.title(), 1),
        Paragraph(authors, "authors"),
        Paragraph(writer.organisation(), "plain"),
        Heading(writer.label("abstract"), 4),
        Paragraph(writer.sentences(4, 6), "abstract"),
    ]


def _paper_block(writer: Writer, index: int) -> Block:
    rng = writer.rng
    draw = rng.random()
    if draw < 0.2:  # noqa: PLR2004 the shares of a paper's blocks
        return Formula(formulas.displayed(rng), f"({index + 1})" if chance(rng, 0.6) else "")
    if draw < 0.5:  # noqa: PLR2004
        parts: list[Text] = [writer.sentence()]
        for _ in range(rng.randint(1, 3)):
            parts += [inline_math(formulas.inline(rng)), writer.sentence()]
        return Paragraph(Markup(" ").join(parts))
    if draw < 0.58:  # noqa: PLR2004
        caption = f"{writer.label('table')} {rng.randint(1, 9)}. {writer.title()}"
        return figures_table(writer, caption, rng.randint(3, 6), wide=False)
    if draw < 0.64:  # noqa: PLR2004
        return _list(writer)
    return Paragraph(writer.sentences(3, 7))


def _references(writer: Writer) -> list[Block]:
    rows: list[Block] = [Heading(writer.label("references"), 2)]
    for number in range(1, writer.rng.randint(6, 14)):
        year = writer.rng.randint(1958, 2024)
        text = f"[{number}] {writer.surname()}, {writer.surname()} ({year}). {writer.title()}. "
        rows.append(Paragraph(f"{text}{writer.organisation()}.", "reference"))
    return rows


def magazine(writer: Writer, look: Look) -> Layout:
    """A page of a magazine: two or three columns, a large title, a box, a quotation."""
    rng = writer.rng
    cast = Cast(writer) if chance(rng, 0.6) else None
    opens = chance(rng, 0.7)
    top: list[Block] = []
    if opens:
        by: Text = Markup("{} {}").format(
            writer.label("by"), writer.person() if cast is None else cast.person()
        )
        top = [
            Paragraph(writer.topic.upper(), "kicker plain"),
            Heading(writer.title(), 1),
            Paragraph(writer.sentence(), "standfirst"),
            Paragraph(by, "by"),
        ]
    flow: list[Block] = [Paragraph(writer.sentences(4, 6), "opening" if opens else "")]
    for index in range(_BLOCKS):
        draw = rng.random()
        if index % 5 == 3:  # noqa: PLR2004 a heading now and then
            flow.append(Heading(writer.title(), 3))
        if draw < 0.1:  # noqa: PLR2004 the shares of a magazine's blocks
            flow.append(_figure(writer, look))
        elif draw < 0.16:  # noqa: PLR2004
            flow.append(Quote(Markup('<span class="pull">{}</span>').format(writer.sentence())))
        elif draw < 0.22:  # noqa: PLR2004
            flow.append(Aside(writer.title(), [writer.sentences(1, 2), writer.sentences(1, 2)]))
        else:
            flow.append(_prose(writer, cast))
    number = str(rng.randint(4, 130))
    issue = f"{writer.label('issue')} {rng.randint(1, 12)}"
    return Layout(
        flow,
        top=top,
        columns=rng.choice((2, 3, 3)),
        header=("", "", "") if opens else (writer.topic, "", issue),
        footer=(number, "", issue) if chance(rng, 0.5) else (issue, "", number),
        states_graph=cast is not None,
    )


def book(writer: Writer, look: Look) -> Layout:
    """A page of a book: one column of prose, footnotes, sometimes the head of a chapter."""
    rng = writer.rng
    cast = Cast(writer) if chance(rng, 0.5) else None
    opens = chance(rng, 0.3)
    flow: list[Block] = []
    if opens:
        chapter = f"{writer.label('chapter')} {rng.randint(1, 30)}"
        flow = [Heading(chapter, 2), Heading(writer.title(), 1)]
    flow.append(Paragraph(writer.sentences(4, 7), "opening" if opens else ""))
    notes = []
    for mark in range(1, rng.choice((1, 1, 2, 3))):
        text = Markup("{}{} {}").format(
            writer.sentences(1, 2), note_mark(str(mark)), writer.sentences(1, 3)
        )
        flow.append(Paragraph(text))
        notes.append(Note(str(mark), writer.sentence()))
    for _ in range(_BLOCKS):
        draw = rng.random()
        if draw < 0.05:  # noqa: PLR2004 the shares of a book's blocks
            flow.append(Quote(writer.sentences(1, 2)))
        elif draw < 0.09:  # noqa: PLR2004
            flow.append(_figure(writer, look))
        elif draw < 0.13:  # noqa: PLR2004
            flow.append(_list(writer))
        else:
            flow.append(_prose(writer, cast))
    number = str(rng.randint(2, 640))
    header = (writer.topic, "", number) if chance(rng, 0.5) else (number, "", writer.topic)
    below = chance(rng, 0.4)
    return Layout(
        flow,
        notes=notes,
        header=("", "", "") if opens or below else header,
        footer=("", number, "") if opens or below else ("", "", ""),
        states_graph=cast is not None,
    )


def leaflet(writer: Writer, _look: Look) -> Layout:
    """A small sheet of little text, for models and machines that long pages are too much for."""
    rng = writer.rng
    flow: list[Block] = [Heading(writer.title(), 1)]
    for index in range(6):
        kind = rng.choices(("prose", "list", "heading"), (0.6, 0.25, 0.15))[0] if index else "prose"
        if kind == "list":
            flow.append(_list(writer))
        elif kind == "heading":
            flow.append(Heading(writer.title(), 2))
        flow.append(Paragraph(writer.sentences(2, 3)))
    header = ("", writer.label("report"), "") if chance(rng, 0.5) else ("", "", "")
    footer = _footer(writer, writer.label("confidential"))
    return Layout(flow, columns=1, header=header, footer=footer)


def _prose(writer: Writer, cast: Cast | None) -> Paragraph:
    """A paragraph; with a share of statements of fact where the page has a cast."""
    if cast is not None and chance(writer.rng, 0.5):
        return Paragraph(cast.paragraph(writer.rng.randint(1, 2), writer.rng.randint(1, 3)))
    text: Text = writer.sentences(2, 6)
    if chance(writer.rng, 0.18):
        bold = Markup("{} <strong>{}</strong> {}")
        slanted = Markup("{} <em>{}</em> {}")
        pattern = writer.rng.choice((bold, slanted))
        text = pattern.format(text, writer.sentence(), writer.sentence())
    return Paragraph(text)


def _list(writer: Writer) -> Items:
    rows = [f"{writer.item()}." for _ in range(writer.rng.randint(3, 5))]
    return Items(rows, ordered=chance(writer.rng, 0.45))


def _figure(writer: Writer, look: Look) -> Figure:
    caption = f"{writer.label('figure')} {writer.rng.randint(1, 12)}. {writer.title()}."
    return draw_figure(writer, look.accent, caption if chance(writer.rng, 0.85) else "")


def _footer(writer: Writer, text: str) -> tuple[str, str, str]:
    rng = writer.rng
    number, count = sorted((rng.randint(1, 90), rng.randint(2, 120)))
    page = f"{writer.label('page')} {number}"
    if chance(rng, 0.4):
        page = f"{page} {writer.label('of')} {count}"
    return rng.choice(
        ((text, "", page), ("", page, ""), ("", f"- {number} -", ""), (page, "", text))
    )
