"""The marks of a page's layout: what they say, and that they cost next to nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extraction.document_types.catalogue import BUILT_IN
from extraction.layout import GAP, Layout, render_page
from extraction.lines import Box, Line
from extraction.prompt import Asked, build_prompt, prompt_hash, render_lines
from tests.factories_lines import page_of

RECEIPT = BUILT_IN["receipt"]


def line(text: str, left: float, top: float, *, width: float = 0.0, height: float = 0.02) -> Line:
    """A text whose letters are as wide as usual where no width is given."""
    right = left + (width or 0.015 * len(text))
    return Line(text, Box(left, top, right, top + height), 0.99, 0)


def marked(*lines: Line) -> list[str]:
    return render_page(list(lines), Layout.MARKED, str)


ITEMS = [line(f"ITEM NUMBER {n}", 0.05, 0.3 + 0.03 * n) for n in range(4)]
WIDE = line("A LINE FROM ONE SIDE OF THE PAGE TO THE OTHER ONE OF IT", 0.05, 0.2, width=0.9)


def test_columns_are_tabs_and_what_is_close_is_not() -> None:
    amounts = [line("9.00", 0.88, 0.3), line("RM", 0.8, 0.33), line("1.00", 0.88, 0.33)]
    assert marked(WIDE, *ITEMS[:2], *amounts)[-2:] == [
        "ITEM NUMBER 0\t\t9.00",
        f"ITEM NUMBER 1\t\tRM{GAP}1.00",
    ]


def test_a_row_that_begins_on_the_right_says_so_and_a_centred_one_says_nothing() -> None:
    rows = marked(WIDE, line("TO THE RIGHT", 0.7, 0.23), line("CENTRED", 0.45, 0.26))
    assert rows == [WIDE.text, "\t\tTO THE RIGHT", "CENTRED"]


@pytest.mark.parametrize(
    ("width", "height", "large"),
    [(0.3, 0.04, True), (0.14, 0.04, False), (0.3, 0.02, False)],
)
def test_large_letters_are_both_higher_and_wider(width: float, height: float, large: bool) -> None:
    """A slanted line has a high box, and a short word at times a wide one."""
    name = line("STORE NAME", 0.35, 0.1, width=width, height=height)
    assert marked(name, WIDE, *ITEMS)[0] == ("# STORE NAME" if large else "STORE NAME")


def test_blocks_are_set_apart() -> None:
    lower = [
        replace(item, box=replace(item.box, top=item.box.top + 0.2, bottom=item.box.bottom + 0.2))
        for item in ITEMS
    ]
    rows = marked(*ITEMS, *lower)
    assert rows == [*(i.text for i in ITEMS), "", *(i.text for i in ITEMS)]


def test_a_page_on_its_side_is_marked_as_upright() -> None:
    page = [WIDE, *ITEMS, line("9.00", 0.88, 0.3)]
    turned = [Line(item.text, item.box.turned(-1), item.score, 0, 1) for item in page]
    assert marked(*turned) == marked(*page)


def test_a_page_of_one_line_or_of_no_width_is_rendered() -> None:
    assert marked(line("ALONE", 0.8, 0.9)) == ["ALONE"]
    assert marked(Line("THIN", Box(0.5, 0.5, 0.5, 0.6), 0.9, 0)) == ["THIN"]


boxes = st.tuples(*[st.floats(0, 0.8)] * 2, *[st.floats(0, 0.2)] * 2).map(
    lambda t: Box(t[0], t[1], t[0] + t[2], t[1] + t[3])
)
pages = st.lists(
    st.builds(Line, st.text("AB1.", min_size=1, max_size=9), boxes, st.just(0.9), st.just(0)),
    max_size=12,
)


@given(pages)
def test_marks_change_no_text_and_no_order(lines: list[Line]) -> None:
    def words(layout: Layout) -> list[str]:
        return render_lines(lines, layout=layout).replace("# ", "").split()

    assert words(Layout.MARKED) == words(Layout.ROWS)


def test_a_model_is_asked_as_it_was_trained() -> None:
    lines = page_of("STORE", ("TOTAL", "9.00"))
    plain, marks = Asked(RECEIPT), Asked(RECEIPT, layout=Layout.MARKED)
    assert f"TOTAL{GAP}9.00" in build_prompt(plain, lines).messages[1].text
    assert "TOTAL\t9.00" in build_prompt(marks, lines).messages[1].text
    assert prompt_hash(plain) != prompt_hash(marks)
