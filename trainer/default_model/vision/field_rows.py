"""The rows of the later stages: questions about real and generated documents, with their pages.

    document -> its fields, from the lines or from the page alone
             -> the text of a band of its page

The prompts are those of serving, and pages are kept as serving shows them.
"""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.progress import track

from extraction.lines import Line, LineReader
from extraction.page_view import PageView
from extraction.pages import Page, load_pages
from extraction.tower_reader import SIDE
from trainer.default_model.dataset import Asker, Mix
from trainer.default_model.sroie import ReadReceipt, lines_from
from trainer.default_model.vision.bands import band_of
from trainer.default_model.vision.plan import DocumentSection
from trainer.examples import Example
from trainer.stage import read_lines, write_lines
from trainer.synth.document import SyntheticDocument
from trainer.synth.ocr_noise import misread
from trainer.synth.other_pages import make_other_page
from trainer.synth.passports import make_passport
from trainer.synth.receipts import make_receipt
from trainer.synth.vision.paper import ink_on_paper
from trainer.synth.vision.sheets import letter

READ, TRANSCRIBE = "Read the document and answer with its text.", "Write out the text."
ROWS, HELD_OUT = "rows.jsonl", "held-out.jsonl"
_PAGES = "pages"
_JPEG_QUALITY = 90
_NOISE = 0.15
_MAKERS = {"receipt": make_receipt, "passport": make_passport}
# Pages of which nothing can be taken for a receipt's or a holder's.
_NEITHER = ("letter", "article", "columns", "paper", "notes", "numbers", "recipe", "code", "noise")
# One way to ask, in which held-out documents are measured: all that can be told in JSON.
_PLAIN = Mix(0, 0, 0, renamed=0, reasoning=0, entity_tokens=0, transcript=0, misread=0, whole=1,
             four_of_generated=1, partial_receipts=0, partial_passports=0)  # fmt: skip


class View(StrEnum):
    """What an example shows of its document: fields are asked, of a part its text."""

    LINES = "lines"
    ALONE = "alone"
    PART = "part"


_WHOLE = (0, SIDE)  # the band that is the whole page


@dataclass(frozen=True, slots=True)
class Kept:
    """Where rows go.

    Attributes:
        folder: gets the rows, the pages' files and what the OCR read.
        view: how pages are shown.
    """

    folder: Path
    view: PageView

    def row(
        self,
        example: Example,
        view: View,
        image: Image.Image | None,
        key: str,
        band: tuple[int, int] = _WHOLE,
    ) -> Any:
        """The row as the learning loop has its own, and the page's file."""
        files = []
        if view is not View.LINES and image is not None:
            files = [str(self._page(image, key))]
        return {
            **example.as_row(),
            "image_files": files,
            "band": list(band),
            "view": str(view),
            "source": example.source,
        }

    def _page(self, image: Image.Image, key: str) -> Path:
        path = self.folder / _PAGES / f"{key.replace('/', '-')}.jpg"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shown = self.view.fit(image, self.view.side([image.size], alone=True))
            partial = path.with_suffix(".partial")
            shown.save(partial, "JPEG", quality=_JPEG_QUALITY)
            partial.rename(path)
        return path


def write_rows(
    section: DocumentSection,
    receipts: Sequence[ReadReceipt],
    folder: Path,
    *,
    seed: int,
    threads: int,
) -> tuple[Path, Path]:
    """Writes the rows to learn, in their order, and those that are measured; once.

    Args:
        section: how many of what.
        receipts: real ones; the last of them are measured.
        folder: where rows, pages and readings are kept.
        seed: of the documents, the questions and the order.
        threads: of the OCR.
    """
    learned, held_out = folder / ROWS, folder / HELD_OUT
    if not (learned.exists() and held_out.exists()):
        kept = Kept(folder, section.view)
        rng = random.Random(f"{seed}/fields")
        reader = _CachedReader(folder / "read.jsonl", threads)
        last = len(receipts) - min(section.measured, len(receipts))
        rows = [*_real(section, receipts[:last], kept, rng)]
        rows += _generated(section, kept, rng, reader, seed)
        rows += _others(section, kept, rng, seed)
        rows += _parts(section, receipts[:last], kept, rng, seed)
        rng.shuffle(rows)
        write_lines(held_out, _measured(section, receipts[last:], kept, rng, seed))
        write_lines(learned, rows)
    return learned, held_out


def _real(
    section: DocumentSection, receipts: Sequence[ReadReceipt], kept: Kept, rng: random.Random
) -> Iterator[Any]:
    asker = Asker(Mix(section.sroie, 0, 0), rng, section.layout)
    for number in track(range(section.sroie if receipts else 0), description="real receipts"):
        if number % len(receipts) == 0:
            order = rng.sample(range(len(receipts)), len(receipts))
        receipt = receipts[order[number % len(receipts)]]
        for view in (View.LINES, View.ALONE):
            example = asker.of_sroie(receipt, hidden=view is View.ALONE)
            yield kept.row(example, view, _image(receipt), example.source)


def _image(receipt: ReadReceipt) -> Image.Image | None:
    return None if receipt.image is None else load_pages(receipt.image.read_bytes())[0].image


def _generated(
    section: DocumentSection, kept: Kept, rng: random.Random, reader: "_CachedReader", seed: int
) -> Iterator[Any]:
    asker = Asker(Mix(0, section.receipts, section.passports), rng, section.layout)
    wanted = [("receipt", index) for index in range(section.receipts)]
    wanted += [("passport", index) for index in range(section.passports)]
    for kind, index in track(wanted, description="generated documents"):
        key = f"{seed}/{kind}/{index}"
        document = _drawn(key, kind)
        if index < section.read_documents:
            document = replace(document, lines=reader.read(key, document.image))
        for view in (View.LINES, View.ALONE):
            example = asker.of_generated(document, hidden=view is View.ALONE)
            yield kept.row(example, view, document.image, key)


def _drawn(key: str, kind: str) -> SyntheticDocument:
    document = _MAKERS[kind](random.Random(f"fields/{key}"))
    return replace(document, lines=misread(document.lines, random.Random(f"{key}/ocr"), _NOISE))


def _others(section: DocumentSection, kept: Kept, rng: random.Random, seed: int) -> Iterator[Any]:
    """Half of them as lines, half as a drawn letter without its lines."""
    asker = Asker(Mix(0, 0, 0), rng, section.layout)
    for index in track(range(section.others), description="other pages"):
        key = f"{seed}/neither/{index}"
        draw = random.Random(f"fields/{key}")
        if index % 2:
            page = Image.fromarray(np.asarray(ink_on_paper(draw, letter(draw).ink, colour=True)))
            yield kept.row(asker.of_neither(()), View.ALONE, page, key)
        else:
            lines = misread(make_other_page(draw.choice(_NEITHER), draw), draw, _NOISE)
            yield kept.row(asker.of_neither(lines), View.LINES, None, key)


def _parts(
    section: DocumentSection,
    receipts: Sequence[ReadReceipt],
    kept: Kept,
    rng: random.Random,
    seed: int,
) -> Iterator[Any]:
    """Half of them of real receipts, with what the annotators read; half of generated documents."""
    for index in track(range(section.parts), description="parts of pages"):
        key = f"{seed}/part/{index}"
        if receipts and index % 2:
            receipt = rng.choice(receipts)
            key, page = f"sroie/{receipt.id}", _image(receipt)
            lines: Sequence[Line] = receipt.transcript
        else:
            make = _MAKERS[rng.choice(list(_MAKERS))]
            document = make(random.Random(f"fields/{key}"))
            page, lines = document.image, document.lines
        part = None if page is None else band_of(page, lines, rng)
        if part is not None:
            band, text = part
            example = Example((("system", READ), ("user", TRANSCRIBE)), text, key)
            yield kept.row(example, View.PART, page, key, band)


def _measured(
    section: DocumentSection,
    receipts: Sequence[ReadReceipt],
    kept: Kept,
    rng: random.Random,
    seed: int,
) -> Iterator[Any]:
    """Each held-out document in both ways."""
    asker = Asker(_PLAIN, rng, section.layout)
    for view in (View.LINES, View.ALONE):
        for receipt in receipts:
            example = asker.of_sroie(receipt, hidden=view is View.ALONE)
            yield kept.row(example, view, _image(receipt), example.source)
        for kind in _MAKERS:
            for index in range(section.measured):
                key = f"{seed}/held-out/{kind}/{index}"
                document = _drawn(key, kind)
                example = asker.of_generated(document, hidden=view is View.ALONE)
                yield kept.row(example, view, document.image, key)


class _CachedReader:
    """Our OCR; what it read is kept, for a reading costs seconds."""

    def __init__(self, file: Path, threads: int) -> None:
        self._file, self._threads = file, threads
        self._reader: LineReader | None = None
        rows = read_lines(file) if file.exists() else []
        self._known = {row["key"]: lines_from(row["lines"]) for row in rows}

    def read(self, key: str, image: Image.Image) -> Any:
        """The lines of a page."""
        if key not in self._known:
            self._reader = self._reader or LineReader(self._threads)
            self._known[key] = self._reader.read(Page(0, image))
            self._file.parent.mkdir(parents=True, exist_ok=True)
            stored = {"key": key, "lines": [asdict(line) for line in self._known[key]]}
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(stored) + "\n")
        return self._known[key]
