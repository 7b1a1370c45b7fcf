"""One page with all that is known about it.

    key -> HTML -> printed -> drawn -> truth, graph, lines -> tests -> page

`make_page` reads as that sentence. A page whose layout is faulty is not made; the next attempt
draws another one.
"""

import asyncio
import io
import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image

from extraction.lines import Box, Line
from extraction.markdown.front_matter import TEXT
from extraction.markdown.rotation import turned_back
from extraction.unit_tests import Page as JudgedPage
from extraction.unit_tests import read_case
from trainer.synth.degrade import degrade
from trainer.synth.dice import chance
from trainer.synth.pages.compose import PageSource, compose
from trainer.synth.pages.html_tree import Element, parse_html
from trainer.synth.pages.page_tests import Test, TestCounts, page_tests
from trainer.synth.pages.pieces import Piece, read_pieces, running_texts
from trainer.synth.pages.renderer import Printed, Renderer
from trainer.synth.pages.truth import graph_of, page_record
from trainer.synth.pseudo_labels.text_layer import layer_lines, missing_ratio

ATTEMPTS: Final = 6
"""How often a page is drawn anew before its place stays empty."""

_LEAST_WORDS = 25
_MOST_MISSING = 0.004
_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class PageWishes:
    """What pages are made.

    Attributes:
        styles: to draw from; all where there are none.
        languages: ISO 639-1, to draw from; all where there are none.
        longest_pixels: of the image's longer side.
        degraded_share: of pages that look scanned, 0 to 1.
        turned_share: of pages that lie on a side or on their head, 0 to 1.
        least_tests: a page with fewer is drawn anew.
        counts: most tests of each kind.
    """

    styles: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    longest_pixels: int = 1288
    degraded_share: float = 0.3
    turned_share: float = 0.04
    least_tests: int = 10
    counts: TestCounts = field(default_factory=TestCounts)


@dataclass(frozen=True, slots=True)
class SyntheticPage:
    """A page and the truth about it.

    Attributes:
        name: of the page; its tests' `pdf` is NAME.pdf.
        key: makes the page again, with the same wishes, words and typefaces.
        style: report, paper, invoice, form, magazine, medical, book or leaflet.
        language: ISO 639-1.
        columns: of the running text.
        image: JPEG.
        size: of the image, width and height in pixels.
        record: the page as the type `document` has it.
        tests: in olmOCR-bench's form; the truth passes all of them.
        lines: of the text layer, on the image.
        graph: as the type `graph` has it; None where the page names things that are not marked.
        html: the body that was printed.
        pdf: the page as it was printed, before scanning and turning.
        degraded: whether it looks scanned.
        tests_dropped: tests that the truth did not pass; a fault of ours, counted by kind.
    """

    name: str
    key: str
    style: str
    language: str
    columns: int
    image: bytes
    size: tuple[int, int]
    record: dict[str, Any]
    tests: tuple[Test, ...]
    lines: tuple[Line, ...]
    graph: dict[str, Any] | None
    html: str
    pdf: bytes
    degraded: bool
    tests_dropped: dict[str, int]


@dataclass(frozen=True, slots=True)
class Made:
    """A page, and why the attempts before it failed; no page where all did."""

    page: SyntheticPage | None
    faults: Counter[str]


async def make_page(
    renderer: Renderer, executor: Executor, seed: int, index: int, wishes: PageWishes
) -> Made:
    """The page of a place in a series: the same for the same arguments and typefaces.

    Args:
        renderer: prints it.
        executor: of one thread, because PDFium has no more.
        seed: of the series.
        index: from 0.
        wishes: what pages are made.
    """
    faults: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    for attempt in range(ATTEMPTS):
        key = f"{seed}/{index}/{attempt}"
        source = compose(key, styles=wishes.styles, languages=wishes.languages)
        printed = await renderer.print(source.html, source.width, source.height)
        found = list(printed.faults)
        if printed.words < _LEAST_WORDS:
            found.append("hardly any text")
        if not found:
            page = await loop.run_in_executor(executor, finish, source, printed, wishes)
            if isinstance(page, SyntheticPage):
                return Made(page, faults)
            found.append(page)
        faults.update(found)
    return Made(None, faults)


def finish(source: PageSource, printed: Printed, wishes: PageWishes) -> SyntheticPage | str:
    """Draws a printed page and says what is on it; what is wrong with it where something is."""
    rng = random.Random(f"finish/{source.key}")
    image, lines = _drawn(printed.pdf, wishes.longest_pixels)
    if image is None:
        return "more than one sheet"
    body = parse_html(printed.body)
    texts = [run for piece in read_pieces(body) for run in piece.plain]
    if missing_ratio(lines, [*texts, *running_texts(body)]) > _MOST_MISSING:
        return "letters that are not drawn"
    drawings = [_drawing(box, source) for box in printed.figures]
    scanned = chance(rng, wishes.degraded_share)
    degrees = rng.choice((90, 180, 270)) if chance(rng, wishes.turned_share) else 0
    if scanned:
        image, moved = degrade(image, [*lines, *drawings], rng, strength=0.8)
        lines, drawings = moved[: len(lines)], moved[len(lines) :]
    if degrees:
        image = image.rotate(degrees, expand=True)
        lines, drawings = turned_back(lines, degrees), turned_back(drawings, degrees)
    pieces = read_pieces(body, [_pixels(line.box, image.size) for line in drawings])
    record = page_record(
        pieces,
        language=source.language or None,
        degrees=degrees,
        table_ratio=printed.table_ratio,
        figure_ratio=printed.figure_ratio,
    )
    name = f"page_{source.key.replace('/', '_')}"
    tests, dropped = checked(
        page_tests(pieces, running_texts(body), name=name, rng=rng, counts=wishes.counts),
        record[TEXT],
    )
    if len(tests) < wishes.least_tests:
        return "too few tests"
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return SyntheticPage(
        name=name,
        key=source.key,
        style=source.style,
        language=source.language,
        columns=source.columns,
        image=buffer.getvalue(),
        size=image.size,
        record=record,
        tests=tuple(tests),
        lines=tuple(lines),
        graph=_graph(source, body, pieces),
        html=printed.body,
        pdf=printed.pdf,
        degraded=scanned,
        tests_dropped=dropped,
    )


def checked(tests: Sequence[Test], text: str) -> tuple[list[Test], dict[str, int]]:
    """The tests that a text passes, and how many of each kind it does not."""
    page = JudgedPage(text)
    kept, dropped = [], Counter[str]()
    for test in tests:
        if read_case(test).run(page).passed:
            kept.append(test)
        else:
            dropped[test["type"]] += 1
    return kept, dict(dropped)


def _drawn(pdf: bytes, longest_pixels: int) -> tuple[Image.Image | None, list[Line]]:
    import pypdfium2

    document = pypdfium2.PdfDocument(pdf)
    try:
        if len(document) != 1:
            return None, []
        page = document[0]
        scale = longest_pixels / max(page.get_size())
        image: Image.Image = page.render(scale=scale).to_pil().convert("RGB")
        return image, layer_lines(page)
    finally:
        document.close()


def _drawing(box: tuple[float, float, float, float], source: PageSource) -> Line:
    """A drawing as a line, so that it goes where the page's lines go."""
    left, top, right, bottom = box
    wide, high = source.width, source.height
    return Line("figure", Box(left / wide, top / high, right / wide, bottom / high), 1.0, 0)


def _pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    wide, high = size
    return (
        round(box.left * wide),
        round(box.top * high),
        round(box.width * wide),
        round(box.height * high),
    )


def _graph(source: PageSource, body: Element, pieces: Sequence[Piece]) -> dict[str, Any] | None:
    if not source.states_graph:
        return None
    graph = graph_of(body)
    text = "\n".join(piece.markdown for piece in pieces)
    whole = all(entity["text"] in text for entity in graph["entities"])
    return graph if whole and graph["relations"] else None
