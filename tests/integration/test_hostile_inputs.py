"""Files and PDFs that mean harm, through POST /extract of the whole app.

Whatever is sent, the answer is a record or a problem that says what to change, memory stays
bounded, and the next document is read as before. Texts and injections are in
`test_hostile_texts.py`, bodies and feedback in `test_hostile_requests.py`.
"""

import asyncio
import io
import resource
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from db.tables import Document
from extraction.lines import LineReader
from extraction.page_limits import PageLimits
from tests import factories_documents as made
from tests.factories_api import Serving, form, make_extractor, receipt_engine, serving
from tests.probes import count_rows, memory, problem_in

MEGABYTE = 1_000_000
# The flat picture's pixels alone would take 590 MB. A refusal decodes nothing.
MOST_REFUSED_BYTES = 60 * MEGABYTE
UNREADABLE, UNSUPPORTED, LARGE = "unreadable-document", "unsupported-format", "document-too-large"

REFUSED: dict[str, tuple[Callable[[], bytes], int, str, str]] = {
    "empty": (bytes, 422, UNREADABLE, "it is empty"),
    "truncated-jpeg": (made.truncated_jpeg, 422, UNREADABLE, "cut off"),
    "1x1": (lambda: made.encode(Image.new("RGB", (1, 1)), "PNG"), 422, UNREADABLE, "16 x 16"),
    "1x50000": (
        lambda: made.encode(Image.new("RGB", (1, 50_000)), "PNG"),
        413,
        LARGE,
        "50000 pixels on one side",
    ),
    "flat-14000x14000": (made.flat_png, 413, LARGE, "196000000 pixels"),
    "tiff-of-10000-frames": (made.tiff_with_frames, 413, LARGE, "10000 pages"),
    "jpeg-of-1000-scans": (made.many_scans_jpeg, 422, UNREADABLE, "scans"),
    "webp-of-16000x16000": (made.bomb_webp, 413, LARGE, "256000000 pixels"),
    "animated-webp": (made.animated_webp, 415, UNSUPPORTED, "animated"),
    "eps": (made.eps, 415, UNSUPPORTED, "PostScript"),
    "fits": (made.fits, 415, UNSUPPORTED, "FITS"),
    "gif": (made.gif, 415, UNSUPPORTED, "GIF"),
    "text-called-png": (lambda: b"Total 9.00\n" * 50, 415, UNSUPPORTED, "send JPEG"),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, UNSUPPORTED, "SVG"),
    "zip": (lambda: b"PK\x03\x04" + bytes(100), 415, UNSUPPORTED, "ZIP"),
    "encrypted-pdf": (made.encrypted_pdf, 422, "encrypted-document", "password"),
    "pdf-of-5000-pages": (lambda: made.pdf(pages=5000), 413, LARGE, "5000 pages"),
    # Half as much again as a PDF's process may have.
    "pdf-of-endless-spaces": (lambda: made.flate_bomb_pdf(1600), 422, UNREADABLE, "memory or time"),
    "pdf-of-a-billion-drawings": (made.doubling_pdf, 422, UNREADABLE, "than is allowed"),
    "pdf-of-circular-pages": (made.circular_pages_pdf, 422, UNREADABLE, "damaged"),
    "pdf-cut-off": (lambda: made.pdf()[:200], 422, UNREADABLE, "damaged"),
}

# What is odd and yet a document: how large its first page becomes.
READ: dict[str, tuple[Callable[[], bytes], tuple[int, int]]] = {
    "cmyk": (made.cmyk_jpeg, (64, 32)),
    "16-bit-grey": (made.png_16_bit_grey, (64, 32)),
    "16-bit-rgb": (made.png_16_bit_rgb, (32, 32)),
    "transparent-palette": (made.palette_with_transparency, (64, 32)),
    "circular-tiff": (made.circular_tiff, (16, 16)),
    "tiff-with-thumbnail": (made.tiff_with_thumbnail, (800, 600)),
    "pdf-before-zip": (made.pdf_zip_polyglot, (1414, 2000)),
    "jpeg-before-pdf": (made.jpeg_pdf_polyglot, (800, 600)),
    "flat-7000x7000": (lambda: made.flat_png(7000, 7000), (2000, 2000)),
    "pdf-with-giant-media-box": (lambda: made.pdf(media_box="0 0 1e9 1e9"), (1546, 2000)),
    "pdf-with-long-media-box": (lambda: made.pdf(media_box="0 0 100000 842"), (6000, 51)),
    "pdf-with-giant-picture": (made.image_bomb_pdf, (1414, 2000)),
    "pdf-with-circular-references": (made.circular_xref_pdf, (1414, 2000)),
}


@pytest.fixture
async def up(database_url: str, tmp_path: Path) -> AsyncIterator[Serving]:
    # The bounds of a PDF, a third of the default so that the test ends sooner.
    engine = receipt_engine()
    limits = PageLimits(pdf_seconds=10.0)
    extractor = make_extractor(engine, limits=limits)
    async with serving(database_url, tmp_path, engine=engine, extractor=extractor) as up:
        yield up


def sent(content: bytes, name: str = "a.png", media_type: str = "image/png") -> dict[str, Any]:
    return {"files": {"file": (name, content, media_type)}, "data": {"document_type": "receipt"}}


async def still_answers(up: Serving) -> None:
    """A good document is read, and the process says that it is ready."""
    answer = await up.extract(**form(document_type="receipt"))
    assert answer["record"]["total"] == "9.00"
    assert (await up.client.get("/readyz")).status_code == 200


async def first_page(up: Serving, answer: dict[str, Any]) -> Image.Image:
    response = await up.client.get(answer["pages"][0]["url"])
    assert response.status_code == 200
    return Image.open(io.BytesIO(response.content))


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refused_file_says_why_and_costs_nothing(up: Serving, name: str) -> None:
    make, status, slug, words = REFUSED[name]
    content = make()
    with memory() as growth:
        response = await up.client.post("/extract", **sent(content))
    problem = problem_in(response, status, slug)
    assert words in problem["detail"], problem["detail"]
    assert growth.bytes < MOST_REFUSED_BYTES, growth.bytes
    assert up.engine.prompts == []
    assert await count_rows(up, Document) == 0
    await still_answers(up)


def greatest_child_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


@pytest.mark.parametrize("name", READ)
async def test_an_odd_file_is_read_upright_and_small(up: Serving, name: str) -> None:
    make, size = READ[name]
    content = make()
    before = greatest_child_bytes()
    with memory() as growth:
        response = await up.client.post("/extract", **sent(content))
    assert response.status_code == 200, response.text
    page = response.json()["pages"][0]
    assert (page["width_pixels"], page["height_pixels"]) == size
    # The greatest picture that is decoded is 50 MP of RGB, 150 MB, 200 as Pillow holds it.
    assert growth.bytes < 400 * MEGABYTE, growth.bytes
    # What drew a PDF has its own bound. The system keeps the greatest child of the whole run, which
    # is a model server where the end-to-end tests came first; pyproject.toml has them come last.
    drawn = greatest_child_bytes()
    assert drawn == before or drawn < PageLimits().pdf_memory_bytes, drawn
    await still_answers(up)


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_an_exif_rotated_page_is_upright(up: Serving, orientation: int) -> None:
    content = made.exif_rotated(orientation)
    page = await first_page(up, await up.extract(**sent(content)))
    assert page.size == (300, 200)
    red, green, _ = page.getpixel((150, 190))  # type: ignore[misc]
    assert (red > 200, green < 60) == (True, True)
    assert page.getpixel((150, 20))[1] > 240  # type: ignore[index]
    assert not page.getexif()


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.pdf", "application/pdf"),
        ("a.exe", "application/x-msdownload"),
        ("../../etc/passwd", "image/svg+xml"),
        ("a\u202egnp.exe", "text/html"),
        ("x" * 3000, ""),
    ],
)
async def test_the_bytes_decide_not_the_declared_type(
    up: Serving, name: str, media_type: str
) -> None:
    answer = await up.extract(**sent(made.encode(made.draw_text(), "PNG"), name, media_type))
    assert answer["state"] == "done"
    response = await up.client.get(answer["pages"][0]["url"])
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["x-content-type-options"] == "nosniff"
    refused = await up.client.post("/extract", **sent(b"<html>", "a.png", "image/png"))
    problem_in(refused, 415, UNSUPPORTED)


async def test_equal_pixels_with_swapped_sides_are_two_documents(up: Serving) -> None:
    wide, tall = made.swapped_sides()
    answers = [await up.extract(**sent(content)) for content in (wide, tall)]
    sizes = [(a["pages"][0]["width_pixels"], a["pages"][0]["height_pixels"]) for a in answers]
    assert sizes == [(300, 200), (200, 300)]
    pages = [await first_page(up, answer) for answer in answers]
    assert [page.size for page in pages] == sizes
    assert await count_rows(up, Document) == 2


async def test_twenty_flat_pictures_at_once_are_not_decoded(up: Serving) -> None:
    content = made.flat_png()
    with memory() as growth:
        responses = await asyncio.gather(
            *(up.client.post("/extract", **sent(content)) for _ in range(20))
        )
    for response in responses:
        problem_in(response, 413, LARGE)
    # The bodies themselves, 600 KB each, at each end of the transport.
    assert growth.bytes < 100 * MEGABYTE, growth.bytes
    await still_answers(up)


async def test_a_pdf_that_draws_for_ever_keeps_nobody_waiting(up: Serving) -> None:
    slow = asyncio.create_task(up.client.post("/extract", **sent(made.slow_pdf())))
    await asyncio.sleep(1.0)
    began = time.monotonic()
    await still_answers(up)
    seconds = time.monotonic() - began
    assert not slow.done(), seconds
    problem = problem_in(await slow, 422, UNREADABLE)
    assert "longer than 10 seconds" in problem["detail"]


async def test_the_real_line_reader_survives_odd_pages(database_url: str, tmp_path: Path) -> None:
    engine = receipt_engine()
    reader = await asyncio.to_thread(LineReader, 1)
    extractor = make_extractor(engine, reader)
    async with serving(database_url, tmp_path, engine=engine, extractor=extractor) as up:
        noise = Image.effect_noise((900, 700), 100).convert("RGB")
        for content in (
            made.encode(Image.new("RGB", (20_000, 16)), "PNG"),
            made.encode(Image.new("RGB", (16, 16), "white"), "PNG"),
            made.encode(noise, "PNG"),
            made.cmyk_jpeg(),
            made.png_16_bit_grey(),
            made.encode(made.draw_text().rotate(180), "JPEG"),
        ):
            answer = await up.extract(**sent(content))
            assert answer["state"] == "done"
        assert answer["fields"]["total"]["evidence"] is not None
