"""Where each character stands on pages, real and generated, as our OCR's models see it.

PP-OCR's recogniser says at which step of a line it saw a character, so a page that nobody has
labelled tells a tower what it could learn to read. Each character is about half a cell exact.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.progress import track

from extraction.pages import load_pages
from extraction.written import written_part
from trainer.stage import read_lines
from trainer.synth.passports import make_passport
from trainer.synth.receipts import make_receipt

# Lines that were read with less are not learned from, nor is anything said of where they stand.
_LEAST_SCORE = 0.8
_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page with its characters.

    Attributes:
        image: grey.
        part: left, top, right and bottom of the written part, as ratios of the page.
        characters: of all lines, without white space, each line from left to right.
        places: float [n, 2], the middle (x, y) of each character, as ratios.
        unsure: float [m, 4], boxes of lines that were not read well, as ratios.
    """

    image: Image.Image
    part: tuple[float, float, float, float]
    characters: str
    places: np.ndarray
    unsure: np.ndarray


def read_pages(files: Sequence[Path], cache: Path, *, threads: int) -> list[ReadPage]:
    """The pages of image files; what the OCR saw is kept in `cache`, a second a page is saved.

    Args:
        files: of single pages.
        cache: a JSON Lines file of our own, grown as needed.
        threads: of the OCR.
    """
    known = {row["file"]: row["lines"] for row in read_lines(cache)} if cache.exists() else {}
    missing = [file for file in files if file.name not in known]
    if missing:
        ocr = _load(threads)
        cache.parent.mkdir(parents=True, exist_ok=True)
        with cache.open("a", encoding="utf-8") as kept:
            for file in track(missing, description="where characters stand"):
                known[file.name] = _lines_of(ocr, _open(file))
                kept.write(json.dumps({"file": file.name, "lines": known[file.name]}) + "\n")
                kept.flush()
    return [_page(_open(file), known[file.name]) for file in files]


def draw_pages(count: int, folder: Path, seed: int) -> list[Path]:
    """Files of so many generated receipts and as many travel documents; those there are kept.

    They stand for clean pages and for layouts that real receipts do not have. They are read like
    real ones: a generator knows its lines, but not where each character lies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for index in track(range(count), description="generated pages"):
        for kind, make in (("receipt", make_receipt), ("passport", make_passport)):
            file = folder / f"{kind}-{index}.jpg"
            if not file.exists():
                drawn = make(random.Random(f"{seed}/places/{kind}/{index}")).image
                partial = file.with_suffix(".partial")
                drawn.save(partial, "JPEG", quality=_JPEG_QUALITY)
                partial.rename(file)
            files.append(file)
    return files


def _open(file: Path) -> Image.Image:
    return load_pages(file.read_bytes())[0].image


def _load(threads: int) -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.use_cls": False,
            "Global.return_word_box": True,
            "Global.return_single_char_box": True,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        }
    )


def _lines_of(ocr: Any, image: Image.Image) -> list[dict[str, Any]]:
    """Lines with score, box, and characters with their middles, all as ratios of the page."""
    size = np.array(image.size)
    found = ocr(np.asarray(image.convert("RGB"))[:, :, ::-1])
    if found.boxes is None or not found.word_results:
        return []
    lines = []
    for corners, score, words in zip(found.boxes, found.scores, found.word_results, strict=True):
        told = [(text, np.asarray(box).mean(axis=0) / size) for text, _, box in words if text]
        box = [*(corners.min(axis=0) / size), *(corners.max(axis=0) / size)]
        lines.append(
            {
                "score": round(float(score), 3),
                "box": [round(float(edge), 4) for edge in box],
                "characters": "".join(text[0] for text, _ in told),
                "places": [[round(float(at), 5) for at in middle] for _, middle in told],
            }
        )
    return lines


def _page(image: Image.Image, lines: Sequence[dict[str, Any]]) -> ReadPage:
    sure = [line for line in lines if line["score"] >= _LEAST_SCORE and line["places"]]
    sure.sort(key=lambda line: float(line["places"][0][0]))
    unsure = [line["box"] for line in lines if line["score"] < _LEAST_SCORE]
    part = written_part(image)
    return ReadPage(
        image.convert("L"),
        (part.left, part.top, part.right, part.bottom),
        "".join(line["characters"] for line in sure),
        np.array([place for line in sure for place in line["places"]]).reshape(-1, 2),
        np.array(unsure).reshape(-1, 4),
    )
