"""Bands of pages: what stands in the shown rows is asked, and nothing else."""

import random

from PIL import Image, ImageDraw

from extraction.lines import Box, Line
from extraction.tower_reader import SIDE
from extraction.written import written_part
from trainer.default_model.vision.bands import band_of


def page_with(boxes: list[Box], size: tuple[int, int]) -> tuple[Image.Image, list[Line]]:
    """Each line is a row of strokes in its box."""
    page = Image.new("RGB", size, (240, 240, 240))
    draw = ImageDraw.Draw(page)
    for box in boxes:
        left, top = box.left * size[0], box.top * size[1]
        for x in range(round(left), round(box.right * size[0]), 8):
            draw.rectangle([x, top, x + 3, box.bottom * size[1]], fill="black")
    return page, [Line(f"line {number}", box, 1.0, 0) for number, box in enumerate(boxes)]


def test_a_band_asks_for_the_lines_whose_middle_it_shows() -> None:
    boxes = [Box(0.2, top / 20, 0.8, top / 20 + 0.02) for top in range(2, 19)]
    page, lines = page_with(boxes, (500, 1000))
    part, asked = written_part(page), set()
    for seed in range(80):
        found = band_of(page, lines, random.Random(seed))
        assert found is not None
        (first, count), text = found
        assert 0 <= first < first + count <= SIDE
        rows = set(text.splitlines()) - {""}
        asked |= rows
        for line in lines:
            middle = (line.box.top + line.box.bottom) / 2
            row = (middle - part.top) / part.height * SIDE
            assert (first <= row < first + count) == (line.text in rows)
    assert asked == {line.text for line in lines}


def test_a_row_is_asked_as_it_stands_however_the_lines_are_listed() -> None:
    texts = [Box(0.05, top, 0.5, top + 0.02) for top in (0.1, 0.15, 0.2)]
    amounts = [Box(0.7, top, 0.9, top + 0.02) for top in (0.1, 0.15, 0.2)]
    page, lines = page_with([*texts, *amounts, Box(0.1, 0.9, 0.9, 0.92)], (500, 1000))
    asked = {found[1] for seed in range(40) if (found := band_of(page, lines, random.Random(seed)))}
    assert any("line 0  line 3\nline 1  line 4\nline 2  line 5" in text for text in asked)


def test_nothing_is_asked_of_an_empty_page() -> None:
    assert band_of(Image.new("RGB", (500, 900)), [], random.Random(1)) is None
