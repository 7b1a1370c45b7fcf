"""Parts of pages: what stands in a window is asked, what it cuts is not shown."""

import random

import numpy as np
from PIL import Image, ImageDraw

from extraction.lines import Box, Line
from extraction.page_view import PageView
from trainer.default_model.vision.page_parts import part_of

VIEW = PageView(tile_pixels=512, most_tiles=1, most_tiles_alone=5, padded=True)
GREY = (230, 230, 230)


def page_with(boxes: list[Box], size: tuple[int, int]) -> tuple[Image.Image, list[Line]]:
    """Each line is a black bar in its box."""
    page = Image.new("RGB", size, GREY)
    draw = ImageDraw.Draw(page)
    for box in boxes:
        left, top = box.left * size[0], box.top * size[1]
        draw.rectangle([left, top, box.right * size[0], box.bottom * size[1]], fill="black")
    return page, [Line(f"line {number}", box, 1.0, 0) for number, box in enumerate(boxes)]


def test_every_window_shows_the_lines_that_it_asks_for() -> None:
    boxes = [Box(0.1, top / 20, 0.9, top / 20 + 0.02) for top in range(1, 20)]
    page, lines = page_with(boxes, (500, 1024))
    asked = set()
    for seed in range(30):
        found = part_of(page, lines, VIEW, random.Random(seed))
        assert found is not None
        part, text = found
        rows = text.splitlines()
        asked |= set(rows)
        assert part.width == 500
        assert part.height <= 512
        dark = (np.asarray(part.convert("L"))[:, 250] < 100).astype(int)
        assert (np.diff(dark) == 1).sum() == len(rows), "a bar a line, none cut"
    assert asked == {line.text for line in lines}


def test_a_row_is_asked_as_it_stands_however_the_lines_are_listed() -> None:
    texts = [Box(0.05, top, 0.5, top + 0.02) for top in (0.1, 0.15, 0.2)]
    amounts = [Box(0.7, top, 0.9, top + 0.02) for top in (0.1, 0.15, 0.2)]
    page, lines = page_with([*texts, *amounts], (500, 1024))
    asked = set()
    for seed in range(10):
        found = part_of(page, lines, VIEW, random.Random(seed))
        assert found is not None
        asked.add(found[1])
    whole = "line 0  line 3\nline 1  line 4\nline 2  line 5"
    assert whole in asked
    assert all(whole.endswith(text) for text in asked), "windows that begin further down"


def test_a_line_that_the_window_cuts_is_painted_over() -> None:
    page, lines = page_with([Box(0.05, 0.1, 0.2, 0.15), Box(0.0, 0.3, 1.0, 0.35)], (1024, 700))
    shown = 0
    for seed in range(40):
        found = part_of(page, lines, VIEW, random.Random(seed))
        if found is None:  # the window stood right of the short line
            continue
        shown += 1
        assert found[1] == "line 0"
        dark = np.asarray(found[0].convert("L")) < 100
        assert dark[:100].any()
        assert not dark[120:].any()
    assert shown


def test_nothing_is_asked_of_an_empty_page() -> None:
    page = Image.new("RGB", (500, 900))
    assert part_of(page, [], VIEW, random.Random(1)) is None
    cut, lines = page_with([Box(0.0, 0.3, 1.0, 0.35)], (1024, 700))
    assert part_of(cut, lines, VIEW, random.Random(1)) is None
