"""PDF -> upright RGB images, drawn in a child process of bounded memory and time.

PDFium cannot be bounded from inside: a stream of a few kilobytes unpacks to gigabytes, a page of
nested patterns draws for hours, and neither it nor Python can stop that. It is not thread-safe
either. So each PDF gets a child of its own (65 ms to start) that the kernel limits; a crash ends
the child alone.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from extraction.errors import DocumentTooLarge, EncryptedDocument, UnreadableDocument
from extraction.page_limits import PageLimits

_ROOT = Path(__file__).resolve().parents[1]
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from extraction.pdf_worker import main; main()"
)
# The child parses hostile bytes, so it does not see the service's keys and passwords.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")


def read_pdf(content: bytes, limits: PageLimits) -> list[Image.Image]:
    """The pages of a PDF, drawn on white, form fields and annotations included.

    Raises:
        UnreadableDocument: damaged, without pages, or above the bounds of memory or time.
        EncryptedDocument: it needs a password.
        DocumentTooLarge: more pages than the limit; none was drawn.
    """
    try:
        child = subprocess.run(  # noqa: S603 our own interpreter and our own program
            [sys.executable, "-I", "-c", _PROGRAM, str(_ROOT), json.dumps(asdict(limits))],
            input=content,
            capture_output=True,
            timeout=limits.pdf_seconds,
            check=False,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
    except subprocess.TimeoutExpired as error:
        raise UnreadableDocument(
            f"drawing its pages takes longer than {limits.pdf_seconds:g} seconds"
        ) from error
    if child.returncode != 0:
        raise UnreadableDocument("drawing its pages takes more memory or time than is allowed")
    return _parse(child.stdout, limits)


def _parse(answer: bytes, limits: PageLimits) -> list[Image.Image]:
    """Reads what `pdf_worker.main` writes."""
    images = []
    pixels = memoryview(answer)
    start = 0
    while True:
        line_end = answer.index(b"\n", start)
        facts = json.loads(answer[start:line_end])
        if "size" not in facts:
            break
        width, height, stride = facts["size"]
        start = line_end + 1 + stride * height
        rows = pixels[line_end + 1 : start]
        images.append(Image.frombytes("RGB", (width, height), rows, "raw", "RGB", stride, 1))
    match facts["error"]:
        case None:
            return images
        case "encrypted":
            raise EncryptedDocument
        case "pages":
            raise DocumentTooLarge("pages", facts["found"], limits.pages)
        case why:
            raise UnreadableDocument(why)
