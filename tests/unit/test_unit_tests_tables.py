"""table: Markdown and HTML, spans, headings, and what a model writes instead of HTML."""

import random
from typing import Any

import pytest

from bench.unit_tests_naive import beside, grid_of, headings
from extraction.unit_tests import Page, read_case
from extraction.unit_tests.html_tables import html_tables
from extraction.unit_tests.markdown_tables import markdown_tables
from extraction.unit_tests.tables import HeadingDirection, Source, Table

MARKDOWN = """Before.

| Name | 2023 | 2024 |
| :--- | ---: | :-: |
| Iron | 1.5 | 2.5 |
| Tin |  | 3.5 |

After."""
HTML = """<table>
<thead><tr><th rowspan="2">Metal</th><th colspan="2">Year</th></tr>
<tr><th>2023</th><th>2024</th></tr></thead>
<tr><td rowspan=2>Iron<br>ore</td><td>1.5</td><td>2.5</td></tr>
<tr><td>4.5 &amp; 5</td><td><b>6.5</b></td></tr>
<tr><td>Tin</td><td colspan="2">7.5</td></tr>
</table>"""


def passed(content: str, **fields: Any) -> bool:
    where = {"pdf": "a.pdf", "page": 1, "id": "a", "type": "table"}
    return read_case(where | fields).run(Page(content)).passed


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"cell": "Iron"}, True),
        ({"cell": "Copper"}, False),
        ({"cell": "1.5", "up": "2023", "right": "2.5", "left": "Iron"}, True),
        ({"cell": "1.5", "up": "2024"}, False),
        ({"cell": "3.5", "up": "2.5", "left": "", "top_heading": "2024"}, True),
        ({"cell": "3.5", "left_heading": "Tin"}, True),
        ({"cell": "2.5", "left_heading": "Tin"}, False),
        ({"cell": "Name", "up": "Name"}, False),
        ({"cell": "3.5", "down": "anything"}, False),
        ({"cell": "1.6"}, False),
        ({"cell": "1.6", "max_diffs": 1}, True),
        ({"cell": "Iron", "ignore_markdown_tables": True}, False),
        ({"cell": "--:"}, False),
    ],
)
def test_markdown(fields: dict[str, Any], expected: bool) -> None:
    assert passed(MARKDOWN, **fields) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"cell": "2.5", "left": "1.5", "up": "2024", "top_heading": "Year"}, True),
        ({"cell": "2.5", "top_heading": "2024"}, True),
        ({"cell": "2.5", "top_heading": "Metal"}, False),
        ({"cell": "6.5", "left_heading": "Iron ore"}, True),
        ({"cell": "4.5 & 5", "left": "Iron ore", "up": "1.5"}, True),
        ({"cell": "7.5", "up": "4.5 & 5"}, True),
        ({"cell": "7.5", "up": "6.5"}, True),
        ({"cell": "7.5", "up": "1.5"}, False),
        ({"cell": "Iron ore", "right": "1.5"}, True),
        ({"cell": "Iron ore", "right": "4.5 & 5", "down": "Tin"}, True),
        ({"cell": "Metal", "down": "Iron ore", "right": "2023"}, True),
        ({"cell": "2023", "left": "Metal", "up": "Year"}, True),
    ],
)
def test_html(fields: dict[str, Any], expected: bool) -> None:
    assert passed(HTML, **fields) is expected


def test_without_headings_the_edge_is_the_heading() -> None:
    table = "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>"
    assert passed(table, cell="d", top_heading="b", left_heading="c")
    assert not passed(table, cell="a", top_heading="a"), "nothing is above the edge"


def test_a_table_needs_two_lines_and_pipes() -> None:
    assert markdown_tables("| a | b |") == []
    assert [cell.text for cell in markdown_tables("a | b\nc | d")[0].cells] == ["a", "b", "c", "d"]
    assert len(markdown_tables("a|b\nc|d\n\ne|f\ng|h")) == 2
    assert markdown_tables("|---|\n|---|") == []


@pytest.mark.parametrize(
    ("content", "texts", "why"),
    [
        ("<table><tr><td>a<td>b</tr></table>", [["ab"]], "an open cell swallows the next"),
        ("<TABLE><TR><TD>a</TD></TR></TABLE>", [["a"]], "capitals"),
        ("<table><tr><td>a</td>", [["a"]], "never closed"),
        ("<table><tr><td>a<!-- b --></td></tr></table>", [["a"]], "a comment is no text"),
        ("<table><tr><td>a<br></br>b</td></tr></table>", [["a b"]], "a needless end tag"),
        (
            "<table><tr><td>&lt;5 &micro;&#x6d; &foo; A&B</td></tr></table>",
            [["<5 \u03bcm &foo A&B"]],
            "entities",
        ),
        ("<table><tr><td>a<script>b</script></td></tr></table>", [["a"]], "a script is no text"),
        ("<table><tr></tr></table>", [], "no cell"),
        ("<table><tr><p><td>a</td></p></tr></table>", [], "a cell that is no child of a row"),
        ("a < b <table><tr><td>c</td></tr></table>", [["c"]], "a sign is no tag"),
        (
            "<table><tr><td>o<table><tr><td>i</td></tr></table></td></tr></table>",
            [["oi", "i"], ["i"]],
            "a nested table's rows are those of both",
        ),
    ],
)
def test_html_as_models_write_it(content: str, texts: list[list[str]], why: str) -> None:
    assert [[cell.text for cell in table.cells] for table in html_tables(content)] == texts, why


@pytest.mark.parametrize("span", ["0", "-1", "x", "", "99999999", "1e9"])
def test_spans_of_any_value(span: str) -> None:
    table = (
        f"<table><tr><td rowspan='{span}' colspan='{span}'>a</td><td>b</td></tr>"
        "<tr><td>c</td><td>d</td></tr></table>"
    )
    (read,) = html_tables(table)
    assert [cell.text for cell in read.cells] == ["a", "b", "c", "d"]
    assert passed(table, cell="a", right="b")


def test_a_grid_as_wide_as_no_page_is_no_table() -> None:
    row = "<td colspan=1000>a</td>" * 9
    assert html_tables(f"<table><tr>{row}</tr></table>") == []


def test_rows_below_the_last() -> None:
    table = Table([[Source("a", rows=9), Source("b"), Source("c", rows=5)], [Source("d")]])
    a, b, c, d = table.cells
    assert table.beside(a, "right") == (b, d, c), "c is next to a where nothing is between"
    assert table.beside(b, "down") == (d,)


def random_table(rng: random.Random) -> Table:
    return Table(
        [
            [
                Source(
                    str(rng.random()),
                    rows=rng.choice((1, 1, 1, 2, 3)),
                    columns=rng.choice((1, 1, 1, 2, 3)),
                    heading=rng.random() < 0.2,
                )
                for _ in range(rng.randint(0, 4))
            ]
            for _ in range(rng.randint(1, 5))
        ]
    )


HEADINGS: tuple[tuple[HeadingDirection, tuple[int, int]], ...] = (
    ("up", (-1, 0)),
    ("left", (0, -1)),
)


def test_neighbours_are_those_of_the_naive_way() -> None:
    rng = random.Random(3)
    steps: dict[Any, tuple[int, int]] = {
        "up": (-1, 0),
        "down": (1, 0),
        "left": (0, -1),
        "right": (0, 1),
    }
    for _ in range(300):
        table = random_table(rng)
        grid = grid_of(table)
        for cell in table.cells:
            for name, step in steps.items():
                assert set(table.beside(cell, name)) == beside(grid, cell, *step)
            assert set(table.headings(cell, "up")) == headings(grid, cell, -1, 0)
            assert set(table.headings(cell, "left")) == headings(grid, cell, 0, -1)
        for direction, step in HEADINGS:
            for wanted in table.cells:
                expected = {c for c in table.cells if wanted in headings(grid, c, *step)}
                assert table.under_heading(direction, lambda c, w=wanted: c is w) == expected


def test_a_long_table_is_read_in_passes() -> None:
    content = "a|b|c\n" * 5000
    assert not passed(content, cell="c", top_heading="a")
    assert passed(content, cell="c", top_heading="c", left_heading="a")


def test_tables_inside_each_other_end() -> None:
    assert len(html_tables("<table><tr><td>a" * 500)) == 8
