import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image, ImageDraw

from extraction.lines import Box, Line, LineReader, _clean, rows
from extraction.pages import Page
from tests.factories_documents import RECEIPT_LINES, draw_text


@pytest.fixture(scope="module")
def reader() -> LineReader:
    return LineReader(threads=1)


def squeezed(lines: list[Line]) -> list[str]:
    return [line.text.replace(" ", "").lower() for line in lines]


EXPECTED = [text.replace(" ", "").lower() for text in RECEIPT_LINES]


def test_reads_lines_in_order_with_boxes(reader: LineReader) -> None:
    lines = reader.read(Page(3, draw_text()))
    assert squeezed(lines) == EXPECTED
    assert {line.page for line in lines} == {3}
    assert all(line.score > 0.9 and line.quarter_turns == 0 for line in lines)
    tops = [line.box.top for line in lines]
    assert tops == sorted(tops)
    # 36-pixel letters, drawn 40 pixels from the left and top of a page of 800 x 600.
    assert lines[0].box.left == pytest.approx(40 / 800, abs=0.02)
    assert lines[0].box.top == pytest.approx(45 / 600, abs=0.03)


@pytest.mark.parametrize(
    ("turn", "quarter_turns"),
    [
        (Image.Transpose.ROTATE_90, 3),
        (Image.Transpose.ROTATE_180, 2),
        (Image.Transpose.ROTATE_270, 1),
    ],
)
def test_turned_page_is_read_and_mapped_back(
    reader: LineReader, turn: Image.Transpose, quarter_turns: int
) -> None:
    upright = reader.read(Page(0, draw_text()))
    lines = reader.read(Page(0, draw_text().transpose(turn)))
    assert squeezed(lines) == EXPECTED
    assert [line.quarter_turns for line in lines] == [quarter_turns] * 4
    for line, straight in zip(lines, upright, strict=True):
        assert line.box.turned(quarter_turns).overlap(straight.box) > 0.8
    assert [len(row) for row in rows(lines)] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "size", [(1, 1), (7, 500), (30, 30), (300, 200), (40, 3000), (3000, 40), (2500, 2500)]
)
def test_blank_pages_of_any_shape_have_no_lines(reader: LineReader, size: tuple[int, int]) -> None:
    assert reader.read(Page(0, Image.new("RGB", size, "white"))) == []


def test_long_till_roll_is_read(reader: LineReader) -> None:
    image = draw_text(size=(700, 6000))
    image.paste(draw_text(("Total 12.34",), (700, 200)), (0, 5700))
    lines = reader.read(Page(0, image))
    assert squeezed(lines) == [*EXPECTED, "total12.34"]
    assert lines[-1].box.top == pytest.approx(5745 / 6000, abs=0.005)


def test_one_reader_serves_several_threads(reader: LineReader) -> None:
    pages = [Page(index, draw_text((f"Number {index}0{index}",))) for index in range(6)]
    with ThreadPoolExecutor(3) as pool:
        read = list(pool.map(reader.read, pages))
    assert [squeezed(lines) for lines in read] == [[f"number{i}0{i}"] for i in range(6)]
    assert [lines[0].page for lines in read] == list(range(6))


def test_without_openvino_it_warns_and_reads(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    lines = LineReader(threads=1).read(Page(0, draw_text()))
    assert squeezed(lines) == EXPECTED
    assert "OpenVINO cannot be imported" in caplog.text


def test_table_rows_of_a_skewed_page(reader: LineReader) -> None:
    image = Image.new("RGB", (1000, 800), "white")
    draw = ImageDraw.Draw(image)
    for row in range(6):
        for column, text in enumerate((f"Item {row}", f"{row}", f"{row}.50")):
            draw.text((100 + 350 * column, 150 + 60 * row), text, fill="black", font_size=32)
    # At 3 degrees the right column is 37 pixels above the left one, more than half of a row.
    skewed = image.rotate(3, expand=False, fillcolor="white", resample=Image.Resampling.BICUBIC)
    for row, lines in enumerate(rows(reader.read(Page(0, skewed)))):
        assert squeezed(lines)[0] == f"item{row}"
        assert squeezed(lines)[-1] == f"{row}.50"


def line(text: str, *sides: float, page: int = 0) -> Line:
    return Line(text, Box(*sides), 1.0, page)


def texts(lines: list[Line]) -> list[list[str]]:
    return [[line.text for line in row] for row in rows(lines)]


def test_rows_group_by_height_and_order_by_side() -> None:
    assert texts(
        [
            line("price", 0.8, 0.105, 0.9, 0.13),
            line("below", 0.1, 0.14, 0.3, 0.165),
            line("name", 0.1, 0.1, 0.3, 0.125),
        ]
    ) == [["name", "price"], ["below"]]


def test_rows_keep_a_large_line_apart_from_two_small_ones_beside_it() -> None:
    assert texts(
        [
            line("LOGO", 0.1, 0.1, 0.3, 0.2),
            line("first", 0.4, 0.1, 0.6, 0.12),
            line("second", 0.4, 0.17, 0.6, 0.19),
        ]
    ) == [["first"], ["LOGO"], ["second"]]


def test_rows_never_stack_lines_that_stand_above_each_other() -> None:
    assert texts([line("upper", 0.1, 0.10, 0.5, 0.14), line("lower", 0.1, 0.115, 0.5, 0.155)]) == [
        ["upper"],
        ["lower"],
    ]


def test_rows_keep_pages_apart() -> None:
    assert texts(
        [line("second page", 0.1, 0.1, 0.3, 0.12, page=1), line("first page", 0.5, 0.1, 0.7, 0.12)]
    ) == [["first page"], ["second page"]]
    assert rows([]) == []


@pytest.mark.parametrize("slope", [-0.06, -0.02, 0.0, 0.02, 0.06])
def test_rows_of_a_slanted_table(slope: float) -> None:
    cells = [
        line(
            f"{row}{column}",
            x := 0.05 + 0.2 * column,
            y := 0.2 + 0.03 * row + slope * x,
            x + 0.1,
            y + 0.02 + abs(slope) * 0.1,
        )
        for row in range(8)
        for column in range(5)
    ]
    assert texts(cells) == [[f"{row}{column}" for column in range(5)] for row in range(8)]


def test_box_geometry() -> None:
    box = Box(0.1, 0.2, 0.3, 0.6)
    assert box.union(Box(0.0, 0.5, 0.2, 0.7)) == Box(0.0, 0.2, 0.3, 0.7)
    assert box.overlap(box) == pytest.approx(1.0)
    assert box.overlap(Box(0.5, 0.2, 0.6, 0.6)) == 0.0
    assert box.overlap(Box(0.2, 0.2, 0.4, 0.6)) == pytest.approx(1 / 3)
    for turns in range(4):
        back = box.turned(turns).turned(-turns)
        assert (back.left, back.top, back.right, back.bottom) == pytest.approx((0.1, 0.2, 0.3, 0.6))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a\x00b\x1b[0m", "ab[0m"),
        ("  two \t\n words ", "two words"),
        ("e\u0301", "\u00e9"),  # NFC
        ("abc\u202edef\u200b", "abcdef"),  # bidirectional override, zero width
        (
            "\u0627\u0644\u0645\u062c\u0645\u0648\u0639",
            "\u0627\u0644\u0645\u062c\u0645\u0648\u0639",
        ),
    ],
)
def test_texts_are_clean(given: str, kept: str) -> None:
    assert _clean(given) == kept
