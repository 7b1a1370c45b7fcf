"""The SROIE receipts as training documents: our own OCR's lines with the task's four answers."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.progress import track

from extraction.lines import Box, Line, LineReader
from extraction.pages import load_pages
from trainer.stage import read_lines

# The task's names, and the names of the same fields in the receipt type.
FIELD_NAMES = {
    "company": "merchant_name",
    "date": "transaction_date",
    "address": "merchant_address",
    "total": "total",
}


@dataclass(frozen=True, slots=True)
class ReadReceipt:
    """One receipt as the service would see it, and its answers.

    Attributes:
        id: the receipt's number in the set, as "037".
        lines: what our OCR read.
        transcript: what the annotators read.
        record: the answers as printed, under the receipt type's names.
        image: file of the page.
    """

    id: str
    lines: list[Line]
    transcript: list[Line]
    record: dict[str, str]
    image: Path | None = None


def read_receipts(folder: Path, cache: Path, *, split: range, threads: int) -> list[ReadReceipt]:
    """The receipts of a split; the OCR's lines are kept in `cache` and read only once.

    Args:
        folder: holds `receipts.jsonl` and the images.
        cache: a JSON Lines file of our own, grown as needed.
        split: positions in `receipts.jsonl`.
        threads: of the OCR.
    """
    rows = read_lines(folder / "receipts.jsonl")
    rows = [rows[index] for index in split if index < len(rows)]
    known = dict(_cached(cache))
    missing = [row for row in rows if row["id"] not in known]
    if missing:
        cache.parent.mkdir(parents=True, exist_ok=True)
        reader = LineReader(threads)
        with cache.open("a", encoding="utf-8") as file:
            for row in track(missing, description="reading receipts"):
                page = load_pages((folder / row["image"]).read_bytes())[0]
                known[row["id"]] = reader.read(page)
                lines = [asdict(line) for line in known[row["id"]]]
                file.write(json.dumps({"id": row["id"], "lines": lines}) + "\n")
                file.flush()
    return [
        ReadReceipt(
            row["id"],
            known[row["id"]],
            [Line(line["text"], Box(*line["bbox"]), 1.0, 0) for line in row["lines"]],
            {FIELD_NAMES[name]: text for name, text in row["fields"].items() if text},
            folder / row["image"],
        )
        for row in rows
    ]


def _cached(cache: Path) -> Iterator[tuple[str, list[Line]]]:
    if not cache.exists():
        return
    for row in read_lines(cache):
        yield row["id"], lines_from(row["lines"])


def lines_from(stored: list[dict[str, object]]) -> list[Line]:
    """Lines as `dataclasses.asdict` wrote them."""
    return [Line(**{**line, "box": Box(**line["box"])}) for line in stored]  # type: ignore[arg-type]
