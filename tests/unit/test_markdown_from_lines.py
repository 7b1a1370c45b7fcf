"""What lines alone give: reading order, headings, tables, and no furniture."""

from collections.abc import Sequence

from extraction.layout import Layout
from extraction.lines import Box, Line
from extraction.markdown.from_lines import pages_from_lines
from extraction.prompt import render_lines

LETTER = 0.009
HEIGHT = 0.012


def line(
    text: str, left: float, top: float, *, scale: float = 1.0, page: int = 0, turns: int = 0
) -> Line:
    box = Box(left, top, left + LETTER * scale * len(text), top + HEIGHT * scale)
    return Line(text, box.turned(-turns), 0.95, page, turns)


def column(texts: Sequence[str], left: float, top: float) -> list[Line]:
    return [line(text, left, top + 0.016 * row) for row, text in enumerate(texts)]


LEFT = [
    "In the first column the text runs down to",
    "the end of the page before anybody goes on",
    "to the second one, which is a com-",
    "mon way to set a journal's pages as we do",
]
RIGHT = [
    "Here the second column goes on, beside the",
    "first, with lines that stand at the heights",
    "of the lines on its left, so that rows mix.",
    "And with this line the page is at its end.",
]


def markdown(lines: Sequence[Line]) -> str:
    return str(pages_from_lines([lines])[0]["natural_text"])


def test_columns_are_read_one_after_the_other_below_their_title() -> None:
    title = line("A title over both columns", 0.25, 0.08, scale=2.1)
    lines = [title, *column(LEFT, 0.08, 0.15), *column(RIGHT, 0.53, 0.15)]
    text = markdown(sorted(lines, key=lambda item: item.box.top))
    assert text == (
        "# A title over both columns\n\n"
        "In the first column the text runs down to the end of the page before anybody goes on to "
        "the second one, which is a common way to set a journal's pages as we do\n\n"
        "Here the second column goes on, beside the first, with lines that stand at the heights of "
        "the lines on its left, so that rows mix. And with this line the page is at its end."
    )


def test_a_prompt_of_a_page_shows_the_same_order() -> None:
    lines = [*column(LEFT, 0.08, 0.15), *column(RIGHT, 0.53, 0.15)]
    mixed = sorted(lines, key=lambda item: (item.box.top, item.box.left))
    shown = render_lines(mixed, layout=Layout.COLUMNS).split("\n")
    assert [text for text in shown if text] == LEFT + RIGHT


def test_short_cells_in_line_are_a_table() -> None:
    rows = [("Item", "Count", "Price"), ("Milk", "2", "9.00"), ("Bread & salt", "1", "4.50")]
    lines = [
        line(text, 0.1 + 0.3 * at, 0.1 + 0.02 * row)
        for row, cells in enumerate(rows)
        for at, text in enumerate(cells)
    ]
    lines.insert(0, line("Below stands what was bought that day in the shop", 0.1, 0.05))
    page = pages_from_lines([lines])[0]
    assert page["natural_text"] == (
        "Below stands what was bought that day in the shop\n\n"
        "<table>\n"
        "<tr><th>Item</th><th>Count</th><th>Price</th></tr>\n"
        "<tr><td>Milk</td><td>2</td><td>9.00</td></tr>\n"
        "<tr><td>Bread &amp; salt</td><td>1</td><td>4.50</td></tr>\n"
        "</table>"
    )
    assert page["is_table"] is False
    assert pages_from_lines([lines[1:]])[0]["is_table"] is True


def test_a_cell_over_two_columns_spans_them() -> None:
    lines = [
        line("Before and after the war", 0.40, 0.1),
        line("Year", 0.1, 0.12),
        line("Oats", 0.42, 0.12),
        line("Rye", 0.56, 0.12),
        *[
            line(text, left, 0.14 + 0.02 * row)
            for row, cells in enumerate([("1913", "10.1", "11.2"), ("1919", "7.3", "8.9")])
            for text, left in zip(cells, (0.1, 0.42, 0.56), strict=True)
        ],
    ]
    lines.insert(0, line("Harvest", 0.1, 0.1))
    assert '<td colspan="2">Before and after the war</td>' in markdown(lines) or (
        '<th colspan="2">Before and after the war</th>' in markdown(lines)
    )


def test_headers_footers_and_page_numbers_are_left_out() -> None:
    pages = []
    for number in range(3):
        body = column([f"{text} ({number})" for text in LEFT * 4], 0.1, 0.2)
        header = line("Journal of Harvests", 0.1, 0.03)
        footer = line(f"Page {number + 7} of 12", 0.45, 0.96)
        pages.append([header, *body, footer])
    for page in pages_from_lines(pages):
        assert "Journal" not in page["natural_text"]
        assert "of 12" not in page["natural_text"]
        assert page["natural_text"].startswith("In the first column")


def test_one_page_s_edges_are_told_by_their_gap_and_by_their_pieces() -> None:
    body = column(LEFT * 4, 0.1, 0.12)
    running = [line("400", 0.1, 0.1), line("HUSBANDRY", 0.4, 0.1), line("[Ch. XIX.", 0.8, 0.1)]
    outermost = line("Downloaded from http://a.example on July 12", 0.1, 0.02)
    footer = line("www.journal.example", 0.4, 0.96)
    text = markdown([outermost, *running, *body, footer])
    assert text.startswith("In the first column")
    assert "journal" not in text.split("journal's")[-1]
    title = line("A title at the edge", 0.1, 0.02, scale=2.1)
    assert markdown([title, *body]).startswith("# A title at the edge")


def test_a_list_stays_a_list_and_an_address_keeps_its_lines() -> None:
    lines = column(
        ["• one thing", "• another thing that is rather longer than the first"], 0.1, 0.1
    )
    assert markdown(lines) == "- one thing\n\n- another thing that is rather longer than the first"
    address = column(
        ["12 Hill Road", "Ipoh", "a line that is as long as the block is wide"], 0.1, 0.1
    )
    assert markdown(address).startswith("12 Hill Road\nIpoh\n")


def test_facts_say_what_lines_can_tell() -> None:
    page = pages_from_lines([column(LEFT + RIGHT, 0.1, 0.1)])[0]
    assert page["primary_language"] == "en"
    assert (page["is_rotation_valid"], page["rotation_correction"]) == (True, 0)
    assert page["is_diagram"] is None, "nobody has looked"
    sideways = [line(text, 0.1, 0.1 + 0.02 * row, turns=1) for row, text in enumerate(LEFT)]
    turned = pages_from_lines([sideways])[0]
    assert (turned["is_rotation_valid"], turned["rotation_correction"]) == (False, 270)
    assert turned["natural_text"].startswith("In the first column the text runs down to")


def test_a_page_without_lines_says_nothing() -> None:
    assert set(pages_from_lines([[]])[0].values()) == {None}
