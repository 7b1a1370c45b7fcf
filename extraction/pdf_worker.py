"""The child process that draws one PDF: bytes in on stdin, pixels out on stdout.

It imports the standard library and PDFium only, so it starts fast and fits into little memory.
The answer is, for each page, a line of JSON `{"size": [width, height, bytes per row]}` and the RGB
bytes of its rows; then the line `{"error": null}`, or `{"error": what is wrong, ...}`.
"""

import contextlib
import itertools
import json
import math
import resource
import sys
from typing import Any, BinaryIO

from extraction.page_limits import PageLimits

POINTS_PER_INCH = 72
# A page that is one picture at least this much of its area is drawn at the picture's resolution.
SCAN_COVER_RATIO = 0.8


class Refused(Exception):
    """The document cannot be drawn; `facts` is the answer."""

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__()


def main() -> None:
    """Reads the limits from the command line and the PDF from stdin; answers on stdout."""
    bounds = json.loads(sys.argv[2])
    limits = PageLimits(**bounds)
    memory, seconds = limits.pdf_memory_bytes, math.ceil(limits.pdf_seconds)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer = sys.stdout.buffer
    facts: dict[str, object] = {"error": None}
    try:
        draw(sys.stdin.buffer.read(), limits, answer)
    except Refused as refused:
        facts = refused.facts
    answer.write(json.dumps(facts).encode() + b"\n")
    answer.flush()


def draw(content: bytes, limits: PageLimits, answer: BinaryIO) -> None:
    """Draws all pages on white and writes each one to the answer.

    Raises:
        Refused: with the facts of the answer.
    """
    import pypdfium2
    import pypdfium2.raw

    try:
        document = pypdfium2.PdfDocument(content)
        found = len(document)
    except pypdfium2.PdfiumError as error:
        if error.err_code in {pypdfium2.raw.FPDF_ERR_PASSWORD, pypdfium2.raw.FPDF_ERR_SECURITY}:
            raise Refused(error="encrypted") from error
        raise Refused(error="it is a damaged PDF") from error
    if found > limits.pages:
        raise Refused(error="pages", found=found)
    if found < 1:
        raise Refused(error="it is a PDF without pages")
    with contextlib.suppress(pypdfium2.PdfiumError):  # a damaged form, the pages may be fine
        document.init_forms()
    for index in range(found):
        try:
            page = document[index]
            _draw_page(page, limits, answer)
            page.close()
        except pypdfium2.PdfiumError as error:
            raise Refused(error=f"page {index + 1} is damaged") from error


def _draw_page(page: Any, limits: PageLimits, answer: BinaryIO) -> None:
    width, height = page.get_size()
    # NaN fails every comparison, so the test is for what is good.
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise Refused(error="a page has no area")
    finest = min(limits.pdf_dpi / POINTS_PER_INCH, _scan_scale(page, width * height))
    scale = min(limits.scale(width, height), finest)
    if min(width, height) * scale < limits.least_side_pixels:
        raise Refused(error="a page is too small or too narrow to be read")
    bitmap = page.render(scale=scale, rev_byteorder=True, limit_image_cache=True)
    size = [bitmap.width, bitmap.height, bitmap.stride]
    answer.write(json.dumps({"size": size}).encode() + b"\n")
    answer.write(bitmap.buffer)
    bitmap.close()


def _scan_scale(page: Any, area: float) -> float:
    """Pixels per point of the one picture that fills a scanned page, infinite for other pages.

    Drawing a scan finer than it is costs reading time and adds nothing.
    """
    import pypdfium2
    import pypdfium2.raw

    try:
        objects = list(itertools.islice(page.get_objects(max_depth=1), 2))
        if len(objects) != 1 or objects[0].type != pypdfium2.raw.FPDF_PAGEOBJ_IMAGE:
            return math.inf
        left, bottom, right, top = objects[0].get_bounds()
        columns, lines = objects[0].get_px_size()
    except pypdfium2.PdfiumError:
        return math.inf
    covered = (right - left) * (top - bottom)
    if not SCAN_COVER_RATIO * area <= covered < math.inf:
        return math.inf
    # By area, as a picture may lie on its side; never below a screen's 72 dpi.
    return max(math.sqrt(columns * lines / covered), 1.0)
