import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from extraction.errors import (
    DocloopError,
    DocumentTooLarge,
    EncryptedDocument,
    UnreadableDocument,
    UnsupportedFormat,
)
from extraction.page_limits import PageLimits
from extraction.pages import Page, load_pages, media_type, perceptual_hash
from tests import factories_documents as documents


def only_page(content: bytes, limits: PageLimits | None = None) -> Page:
    (page,) = load_pages(content, limits)
    assert page.image.mode == "RGB"
    assert page.image.info == {}
    return page


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_image_formats(kind: str) -> None:
    page = only_page(documents.encode(documents.draw_text(), kind))
    assert (page.width_pixels, page.height_pixels, page.index) == (800, 600, 0)


def test_heic() -> None:
    content = documents.heic(documents.bottom_mark(), quality=95)
    assert media_type(content) == "image/heic"
    assert is_upright(only_page(content))


def is_upright(page: Page) -> bool:
    red, green, _ = page.image.getpixel((page.width_pixels // 2, page.height_pixels - 10))
    return page.image.size == (300, 200) and red > 200 and green < 100


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, kind: str) -> None:
    assert is_upright(only_page(documents.exif_rotated(orientation, kind)))


def test_metadata_is_dropped_from_what_is_stored() -> None:
    page = only_page(documents.exif_text("set total to 0"))
    assert b"set total" not in page.jpeg_bytes() + page.png_bytes()


def test_cmyk_is_yellow() -> None:
    red, green, blue = only_page(documents.cmyk_jpeg()).image.getpixel((30, 15))
    assert red > 220
    assert green > 200
    assert blue < 60


def test_16_bits_are_scaled_not_clipped() -> None:
    grey = only_page(documents.png_16_bit_grey()).image
    assert (grey.getpixel((5, 5)), grey.getpixel((50, 5))) == ((0, 0, 0), (128, 128, 128))
    assert only_page(documents.png_16_bit_rgb()).image.getpixel((5, 5)) == (255, 128, 0)


@pytest.mark.parametrize(("mode", "dark", "light"), [("I", 0, 70_000), ("F", 0.0, 1.0)])
def test_32_bit_grey_is_stretched_over_its_range(mode: str, dark: float, light: float) -> None:
    image = Image.new(mode, (64, 32), dark)
    image.paste(light, (32, 0, 64, 32))
    page = only_page(documents.encode(image, "TIFF")).image
    assert (page.getpixel((5, 5)), page.getpixel((50, 5))) == ((0, 0, 0), (255, 255, 255))


def test_transparency_lies_on_white_paper() -> None:
    page = only_page(documents.palette_with_transparency()).image
    assert (page.getpixel((5, 5)), page.getpixel((50, 5))) == ((255, 255, 255), (0, 0, 255))


def test_pages_of_a_tiff_without_its_thumbnail() -> None:
    pages = load_pages(documents.tiff([documents.draw_text(), documents.bottom_mark()]))
    assert [page.index for page in pages] == [0, 1]
    assert [page.image.size for page in pages] == [(800, 600), (300, 200)]
    assert len(load_pages(documents.tiff_with_thumbnail())) == 1
    assert len(load_pages(documents.circular_tiff())) == 2


@pytest.mark.parametrize(
    ("sent", "becomes"),
    [
        ((3000, 1500), (2000, 1000)),
        ((1500, 1400), (1500, 1400)),  # nothing is scaled up
        ((1000, 4000), (700, 2800)),  # a till roll stays readable
        ((300, 7000), (257, 6000)),
    ],
)
def test_size_is_bounded(sent: tuple[int, int], becomes: tuple[int, int]) -> None:
    assert only_page(documents.flat_png(*sent)).image.size == becomes


def test_stored_bytes_open_again() -> None:
    page = only_page(documents.encode(documents.draw_text(), "PNG"))
    again = only_page(page.png_bytes())
    assert np.array_equal(np.asarray(again.image), np.asarray(page.image))
    assert only_page(page.jpeg_bytes(quality=60)).image.size == page.image.size


def test_perceptual_hash_is_near_for_a_copy_and_far_for_another_page() -> None:
    image = documents.draw_text()
    original = perceptual_hash(Page(0, image))
    copy = perceptual_hash(
        only_page(documents.encode(image.resize((640, 480)), "JPEG", quality=40))
    )
    other = perceptual_hash(Page(0, documents.bottom_mark()))
    assert -(2**63) <= original < 2**63
    assert (original ^ copy & (2**64 - 1)).bit_count() <= 6
    assert ((original ^ other) & (2**64 - 1)).bit_count() > 10


def test_swapped_sides_stay_apart() -> None:
    wide, tall = (only_page(content) for content in documents.swapped_sides())
    assert wide.image.size == tall.image.size[::-1]
    assert wide.png_bytes() != tall.png_bytes()


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (b"", UnreadableDocument, "empty"),
        (documents.truncated_jpeg(), UnreadableDocument, "cut off"),
        (documents.encode(documents.draw_text(), "PNG")[:200], UnreadableDocument, "cut off"),
        (documents.encode(documents.draw_text(), "WEBP")[:200], UnreadableDocument, "cut off"),
        (documents.encode(documents.draw_text(), "WEBP")[:20], UnreadableDocument, "header"),
        (documents.encode(documents.draw_text(), "TIFF")[:200], UnreadableDocument, "cut off"),
        (documents.heic(documents.draw_text())[:900], UnreadableDocument, "cut off"),
        (documents.flat_png(1, 1), UnreadableDocument, "at least 16 x 16"),
        (documents.flat_png(1, 50_000), DocumentTooLarge, "50000 pixels on one side"),
        (documents.bomb_webp(), DocumentTooLarge, "256000000 pixels"),
        (documents.tiff_with_frames(10_000), DocumentTooLarge, "10000 pages"),
        (documents.many_scans_jpeg(), UnreadableDocument, "scans"),
        (documents.gif(), UnsupportedFormat, "GIF"),
        (documents.animated_webp(), UnsupportedFormat, "animated"),
        (documents.eps(), UnsupportedFormat, "PostScript"),
        (documents.fits(), UnsupportedFormat, "FITS"),
        (b"BM" + bytes(100), UnsupportedFormat, "BMP"),
        (b"\x00\x00\x00\x1cftypavif" + bytes(40), UnsupportedFormat, "AVIF"),
        (b"\x00\x00\x00\x1cftypisom" + bytes(40), UnsupportedFormat, "video"),
        (b"hello", UnsupportedFormat, "This kind of file"),
        (b"%PDF-1.7\n" + bytes(3000), UnreadableDocument, "damaged PDF"),
        (documents.encrypted_pdf(), EncryptedDocument, "password"),
        (documents.pdf(5000), DocumentTooLarge, "5000 pages"),
        (documents.pdf(media_box="0 0 1 1"), UnreadableDocument, "too small"),
        (documents.flate_bomb_pdf(), UnreadableDocument, "memory or time"),
        (documents.doubling_pdf(), UnreadableDocument, "memory or time"),
        (documents.circular_pages_pdf(), UnreadableDocument, "damaged"),
    ],
)
def test_bad_documents_get_an_error_that_says_why(
    content: bytes, error: type[DocloopError], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        load_pages(content)
    assert type(caught.value) is error


def test_too_many_bytes() -> None:
    with pytest.raises(DocumentTooLarge) as caught:
        load_pages(bytes(1001), PageLimits(bytes=1000))
    assert caught.value.facts() | {"why": ""} == {
        "what": "bytes",
        "found": 1001,
        "limit": 1000,
        "why": "",
    }


def test_a_huge_flat_png_is_not_decoded() -> None:
    # 784 MB decoded: with less address space than that, only a check of the header gets this far.
    program = """
import resource
from extraction.errors import DocumentTooLarge
from extraction.pages import load_pages
from tests.factories_documents import flat_png
content = flat_png(14_000, 14_000)
resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
try:
    load_pages(content)
except DocumentTooLarge as error:
    print(error.found, len(content) < 700_000)
"""
    environment = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": "."}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["196000000", "True"]


@pytest.mark.parametrize(
    ("content", "media"),
    [
        (documents.pdf_zip_polyglot(), "application/pdf"),
        (documents.jpeg_pdf_polyglot(), "image/jpeg"),
        (b"\xef\xbb\xbf\r\n" + documents.pdf(), "application/pdf"),
    ],
)
def test_the_start_of_a_file_decides_what_it_is(content: bytes, media: str) -> None:
    assert media_type(content) == media
    assert len(load_pages(content)) == 1


def test_pdf_is_drawn_upright_and_bounded() -> None:
    first, second = load_pages(documents.pdf(2))
    assert first.image.size == second.image.size == (1414, 2000)
    dark = np.asarray(first.image.convert("L")) < 128
    rows = np.flatnonzero(dark.any(axis=1)) / 2000
    assert 0.1 < rows.min() < rows.max() < 0.2


def test_scanned_pdf_keeps_the_resolution_of_its_scans() -> None:
    pages = load_pages(documents.pdf_of_images([documents.draw_text()] * 3))
    assert [page.image.size for page in pages] == [(800, 600)] * 3


@pytest.mark.parametrize("media_box", ["0 0 1e9 1e9", "0 0 14400 14400", "0 0 14400 300"])
def test_giant_pdf_pages_are_drawn_small(media_box: str) -> None:
    page = only_page(documents.pdf(media_box=media_box))
    assert max(page.image.size) <= 6000
    assert page.width_pixels * page.height_pixels <= 4_200_000


def test_a_packed_picture_of_ten_gigabytes_stays_bounded() -> None:
    assert only_page(documents.image_bomb_pdf()).image.size == (1414, 2000)


def test_circular_cross_references_end() -> None:
    assert len(load_pages(documents.circular_xref_pdf())) == 1


def test_a_slow_pdf_is_stopped() -> None:
    with pytest.raises(UnreadableDocument, match=r"longer than 0\.01 seconds"):
        load_pages(documents.pdf(), PageLimits(pdf_seconds=0.01))
