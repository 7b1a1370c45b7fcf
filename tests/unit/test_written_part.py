"""The written part of a page is found, and stretched to a square."""

import numpy as np
from PIL import Image, ImageDraw

from extraction.page_view import PageView
from extraction.pages import Page
from extraction.written import stretched, written_part


def page(left: int, top: int, right: int, bottom: int) -> Image.Image:
    """Strokes in a box of a page of 600 x 1000."""
    image = Image.new("RGB", (600, 1000), (250, 245, 240))
    draw = ImageDraw.Draw(image)
    for y in range(top, bottom, 20):
        for x in range(left, right, 10):
            draw.rectangle([x, y, x + 4, y + 11], fill=(30, 30, 30))
    return image


def test_margins_are_left_out_but_for_a_little() -> None:
    part = written_part(page(150, 200, 450, 700))
    found = np.array([part.left * 600, part.top * 1000, part.right * 600, part.bottom * 1000])
    assert np.abs(found - [150, 200, 450, 700]).max() < 25
    assert found[0] < 150
    assert found[3] > 690


def test_dust_is_no_print() -> None:
    image = page(150, 200, 450, 700)
    image.putpixel((590, 990), (0, 0, 0))
    assert written_part(image).right < 0.8


def test_an_empty_page_and_a_tiny_one_are_taken_whole() -> None:
    for size in ((600, 1000), (1, 1), (3, 900)):
        part = written_part(Image.new("L", size, "white"))
        assert (part.left, part.top, part.right, part.bottom) == (0, 0, 1, 1)
        assert stretched(Image.new("L", size, "white"), 96).size == (96, 96)


def test_the_print_fills_the_square() -> None:
    grey = np.asarray(stretched(page(150, 200, 450, 700), 480))
    assert grey.shape == (480, 480)
    dark = grey < 128
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    assert max(rows[0], columns[0]) < 30
    assert min(rows[-1], columns[-1]) > 440


def test_a_model_that_reads_a_grid_gets_one_square_alone_and_none_beside_lines() -> None:
    view = PageView.read(
        {"tile_pixels": 384, "most_tiles": 0, "most_tiles_alone": 1, "stretched": True}
    )
    pages = [Page(number, page(100, 100, 500, 900)) for number in range(2)]
    assert view.show(pages, 2, alone=False).images == ()
    shown = view.show(pages, 2, alone=True)
    assert len(shown.images) == 1
    assert shown.options == {"size": {"longest_edge": 384}}
    assert view.fit(pages[0].image, 384).size == (384, 384)
