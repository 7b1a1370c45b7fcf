"""What two experts read on a PDF's pages: its own text layer, and OCR of the drawn page.

Real PDFs are hostile until shown otherwise. So they are drawn by `extraction.pdf`, in a child of
bounded memory and time, and their text layer is read in another one: this module run as a program
takes a PDF on stdin and writes its lines as JSON to stdout.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from extraction.lines import Box, Line
from extraction.page_limits import PageLimits
from extraction.pages import Page
from extraction.pdf import read_pdf

if TYPE_CHECKING:
    from extraction.lines import LineReader

LAYER = "text_layer"
OCR = "ocr"

_ROOT = Path(__file__).resolve().parents[3]
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from trainer.synth.pseudo_labels.experts import main; main()"
)
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
_MEMORY_BYTES = 4 << 30  # numpy and OpenCV reserve much more than they use
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ReadPage:
    """One page and what the experts read.

    Attributes:
        image: upright as the PDF has it.
        experts: name -> lines; an expert that has nothing to say is left out.
    """

    image: Image.Image
    experts: dict[str, list[Line]]


def read_pages(pdf: bytes, reader: "LineReader | None") -> list[ReadPage]:
    """The pages of a PDF.

    Args:
        pdf: its bytes.
        reader: reads the drawn pages; None for the text layer alone.

    Raises:
        UnreadableDocument: it cannot be opened or drawn.
    """
    images = read_pdf(pdf, PageLimits())
    layers = _layers(pdf)
    pages = []
    for index, image in enumerate(images):
        experts = {LAYER: layers[index] if index < len(layers) else []}
        if reader is not None:
            experts[OCR] = reader.read(Page(index, image))
        pages.append(ReadPage(image, {name: lines for name, lines in experts.items() if lines}))
    return pages


def _layers(pdf: bytes) -> list[list[Line]]:
    """The lines of each page's text layer; none where the child fails."""
    try:
        child = subprocess.run(  # noqa: S603 our own interpreter and our own program
            [sys.executable, "-I", "-c", _PROGRAM, str(_ROOT)],
            input=pdf,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
    except subprocess.TimeoutExpired:
        return []
    if child.returncode != 0:
        return []
    return [
        [Line(**{**line, "box": Box(**line["box"])}) for line in page]
        for page in json.loads(child.stdout)
    ]


def main() -> None:
    """Reads a PDF from stdin and writes the lines of its pages to stdout."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    seconds = math.ceil(_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    json.dump(
        [[asdict(line) for line in page] for page in _read(sys.stdin.buffer.read())], sys.stdout
    )


def _read(pdf: bytes) -> Sequence[Sequence[Line]]:
    import pypdfium2

    from trainer.synth.pseudo_labels.text_layer import layer_lines

    document = pypdfium2.PdfDocument(pdf)
    return [layer_lines(document[index], index) for index in range(len(document))]
