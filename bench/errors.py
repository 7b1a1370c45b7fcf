"""Where the score of the receipts is lost: every miss by its cause, as one HTML page.

    python bench/errors.py FOLDER --rows ROWS.jsonl [--out errors.html]
    python bench/errors.py FOLDER [--split 400-499] [--out errors.html]

FOLDER holds `receipts.jsonl` and the images, as in SROIE. ROWS is what `bench/accuracy.py sroie
--rows` wrote; without it the running service is asked (DOCLOOP_URL, DOCLOOP_API_KEY). The OCR's
lines of the missed receipts are read again here; `--lines` keeps them in a file. The causes are
described in `error_causes.py`; the table is printed too.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from accuracy import run
from accuracy_client import read_rows
from error_causes import misses
from error_page import render, table
from rich.console import Console
from rich.progress import track
from rich.table import Table

from extraction.lines import LineReader
from extraction.pages import load_pages

_PERFECT = 100.0


def lines_of(
    ids: Iterable[str],
    references: Mapping[str, Mapping[str, Any]],
    folder: Path,
    kept: Path | None,
    threads: int,
) -> dict[str, list[str]]:
    """What the OCR reads on these receipts, in reading order; `kept` is read and grown."""
    known: dict[str, list[str]] = {}
    if kept is not None and kept.exists():
        known = {row["id"]: row["texts"] for row in read_rows(kept)}
    missing = [name for name in ids if name not in known]
    if missing:
        reader = LineReader(threads)
        for name in track(missing, "reading lines", console=Console(stderr=True)):
            (page,) = load_pages((folder / references[name]["image"]).read_bytes())
            known[name] = [line.text for line in reader.read(page)]
            if kept is not None:
                with kept.open("a") as file:
                    file.write(json.dumps({"id": name, "texts": known[name]}) + "\n")
    return known


def show(figures: dict[str, Any], fields: list[str]) -> None:
    """The table of causes and fields: points lost, and values."""
    printed = Table("cause", *fields, "all", caption="points of the overall mean (values)")
    for row in figures["rows"]:
        cells = [f"{c['points']:.2f} ({c['count']})" if c["count"] else "" for c in row["cells"]]
        printed.add_row(row["cause"], *cells, f"{row['points']:.2f} ({row['count']})")
    sums = [f"{points:.2f}" for points in figures["columns"]]
    printed.add_row("all", *sums, f"{figures['total']:.2f} ({figures['count']})")
    Console().print(printed)


def main() -> int:
    """Parses the command line, writes the page, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=Path, help="of bench/accuracy.py; else the service is asked")
    parser.add_argument("--split", default="400-499", help="positions, where the service is asked")
    parser.add_argument("--out", type=Path, default=Path("errors.html"))
    parser.add_argument("--lines", type=Path, help="keep the OCR's lines here, read them from here")
    parser.add_argument("--threads", type=int, default=2, help="of the OCR")
    parser.add_argument("--concurrency", type=int, default=4)
    arguments = parser.parse_args()
    if arguments.rows:
        rows = read_rows(arguments.rows)
    else:
        rows = asyncio.run(run(argparse.Namespace(task="sroie", **vars(arguments))))["rows"]
    if not rows:
        parser.error("there are no receipts in that range")
    references = {row["id"]: row for row in read_rows(arguments.folder / "receipts.jsonl")}
    missed = [row["id"] for row in rows if min(row["scores"].values()) < _PERFECT]
    lines = lines_of(missed, references, arguments.folder, arguments.lines, arguments.threads)
    found = misses(rows, references, {row["id"]: lines.get(row["id"], []) for row in rows})
    arguments.out.write_text(render(found, rows, references, arguments.folder), encoding="utf-8")
    fields = [name for name in rows[0]["scores"] if name != "overall"]
    show(table(found, fields), fields)
    Console(stderr=True).print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
