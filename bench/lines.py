"""How fast and how well are receipts read: our reader beside RapidOCR's defaults, in one run.

    python bench/lines.py FOLDER [--first 400] [--count 12] [--threads 2]

FOLDER holds `receipts.jsonl` (with the annotators' `lines`) and the images, as in SROIE. The score
is the mean over the annotators' lines of the best `rapidfuzz.fuzz.ratio` with any line that was
read, without case and spaces: the annotators write mostly capitals, and join and part words freely.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rapidfuzz import fuzz, process

from extraction.lines import LineReader
from extraction.pages import Page, load_pages


def score(read: list[str], annotated: list[str]) -> float:
    """Mean best match, 0 to 100."""
    best = [
        process.extractOne(text, read, scorer=fuzz.ratio, processor=_letters) for text in annotated
    ]
    return statistics.fmean(match[1] if match else 0.0 for match in best)


def _letters(text: str) -> str:
    return "".join(text.split()).casefold()


def rapidocr_defaults() -> Callable[[Page], list[str]]:
    """RapidOCR as it comes: onnxruntime on all cores, with the orientation classifier."""
    from rapidocr import RapidOCR

    ocr = RapidOCR(params={"Global.log_level": "error"})

    def read(page: Page) -> list[str]:
        pixels = np.ascontiguousarray(np.asarray(page.image)[:, :, ::-1])
        return list(ocr(pixels).txts or ())

    return read


def main() -> None:
    """Prints one row per reader."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=400)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    with (options.folder / "receipts.jsonl").open(encoding="utf-8") as file:
        receipts = [json.loads(row) for row in file]
    receipts = receipts[options.first : options.first + options.count]
    if not receipts:
        parser.error("no receipts in that range")

    ours = LineReader(options.threads)
    readers: dict[str, Callable[[Page], list[str]]] = {
        "RapidOCR defaults": rapidocr_defaults(),
        f"LineReader({options.threads})": lambda page: [line.text for line in ours.read(page)],
    }
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    scores: dict[str, list[float]] = {name: [] for name in readers}
    # CPU time of all threads: what is left to compare when the machine has other work.
    cpu: dict[str, list[float]] = {name: [] for name in readers}
    (warm_up,) = load_pages((options.folder / receipts[0]["image"]).read_bytes())
    for read in readers.values():
        read(warm_up)
    for receipt in receipts:
        (page,) = load_pages((options.folder / receipt["image"]).read_bytes())
        annotated = [line["text"] for line in receipt["lines"]]
        # One after the other on each receipt, so that other load on the machine meets both.
        for name, read in readers.items():
            start, cpu_start = time.perf_counter(), time.process_time()
            texts = read(page)
            seconds[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - cpu_start)
            scores[name].append(score(texts, annotated))

    print(f"{len(receipts)} receipts from {options.first}")
    print(f"{'reader':<20} {'s/receipt':>10} {'slowest':>8} {'CPU s':>6} {'score':>7}")
    for name in readers:
        mean, slowest = statistics.fmean(seconds[name]), max(seconds[name])
        figures = statistics.fmean(cpu[name]), statistics.fmean(scores[name])
        print(f"{name:<20} {mean:>10.2f} {slowest:>8.2f} {figures[0]:>6.2f} {figures[1]:>7.2f}")


if __name__ == "__main__":
    main()
