"""How well the running service reads documents that it was not trained on.

    python bench/accuracy.py sroie FOLDER [--split 400-499] [--ocr off] [--json]
    python bench/accuracy.py mrz FOLDER [--json]
    python bench/accuracy.py travel [FOLDER] [--count 300] [--json]
    python bench/accuracy.py hard [FOLDER] [--json]
    python bench/accuracy.py pages SHARDS [--count 300] [--json]
    python bench/accuracy.py graphs FOLDER [--count 300] [--json]

The service's address and key come from DOCLOOP_URL and DOCLOOP_API_KEY. `sroie` prints the mean
fuzzy score per field and overall (the mean of `rapidfuzz.fuzz.ratio` over the four fields and the
receipts; what is missing or failed counts 0) and the share of values that are exactly equal. `mrz`
prints how many documents have exactly the lines of `specimens.jsonl`, and how many have every check
digit proven. `travel` draws documents of the five formats in layouts that training never draws
(FOLDER keeps them) and prints the exact share of each field. `hard` does the same with photographs
and with pages of no type that the service knows; FOLDER/sheet.png shows them. `pages` and `graphs`
take what `docloop synth pages` and `docloop synth texts` wrote, and print the share of unit tests
that pass, valid graphs and the F1 of entities and relations. `--rows` keeps every answer, for
`bench/errors.py` and for looking.
"""

import argparse
import asyncio
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from accuracy_client import Post, few_at_once, gather, mean, post, read_rows
from accuracy_generated import (
    graphs,
    graphs_table,
    pages,
    pages_table,
    write_graphs,
    write_pages,
)
from accuracy_hard import draw_sheet, hard, hard_table, write_hard_pages
from accuracy_mrz import mrz, mrz_table
from accuracy_sroie import FIELDS, sroie, sroie_table
from accuracy_travel import travel, travel_table, write_documents
from rich.console import Console
from rich.table import Table

__all__ = ["FIELDS", "gather", "mean", "post", "read_rows"]  # what other benches share

_TABLES = {
    "sroie": sroie_table,
    "mrz": mrz_table,
    "travel": travel_table,
    "hard": hard_table,
    "pages": pages_table,
    "graphs": graphs_table,
}
_DRAWN = frozenset({"travel", "hard"})


async def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures against the service, at most `--concurrency` requests at a time."""
    key = os.environ.get("DOCLOOP_API_KEY", "")
    url = os.environ.get("DOCLOOP_URL", "http://127.0.0.1:8000")
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=600) as client:
        return await measure(arguments, few_at_once(client, arguments.concurrency))


async def measure(arguments: argparse.Namespace, send: Post) -> dict[str, Any]:
    """The figures of the chosen task, its rows, and the seconds that its requests took."""
    folder: Path = arguments.folder
    begin, end = math.inf, -math.inf

    async def timed(path: Path, form: dict[str, str]) -> dict[str, Any]:
        nonlocal begin, end
        begin = min(begin, time.perf_counter())
        answer = await send(path, {**form, "ocr": arguments.ocr})
        end = max(end, time.perf_counter())
        return answer

    if arguments.task == "sroie":
        rows = read_rows(folder / "receipts.jsonl", arguments.split)
        result = await sroie(rows, folder, timed)
    elif arguments.task == "mrz":
        result = await mrz(read_rows(folder / "specimens.jsonl"), folder, timed)
    elif arguments.task == "travel":
        truths = await asyncio.to_thread(write_documents, folder, arguments.count)
        result = await travel(truths, folder, timed)
    elif arguments.task == "hard":
        pages_of = await asyncio.to_thread(write_hard_pages, folder)
        result = await hard(pages_of, folder, timed)
        await asyncio.to_thread(draw_sheet, result["rows"], folder)
    else:
        result = await _generated(arguments, timed)
    return {**result, "seconds": round(max(end - begin, 0.0), 1)}


async def _generated(arguments: argparse.Namespace, send: Post) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        write = write_pages if arguments.task == "pages" else write_graphs
        rows = await asyncio.to_thread(write, arguments.folder, Path(scratch), arguments.count)
        return await (pages if arguments.task == "pages" else graphs)(rows, send)


def show(task: str, result: dict[str, Any]) -> None:
    """One table."""
    header, *rows = _TABLES[task](result)
    table = Table(caption=f"{result['seconds']} s")
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def main() -> int:
    """Parses the command line; 1 where no document could be read at all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("task", choices=tuple(_TABLES))
    parser.add_argument(
        "folder", type=Path, nargs="?", help="of the documents; travel, hard: kept here"
    )
    parser.add_argument("--split", help="positions, as 400-499; all where it is left out")
    parser.add_argument("--count", type=int, default=300, help="documents to draw or take")
    parser.add_argument("--ocr", choices=("on", "off"), default="on", help="off: image alone")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--rows", type=Path, help="write each document's result here")
    parser.add_argument("--concurrency", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.folder is None:
            if arguments.task not in _DRAWN:
                parser.error(f"{arguments.task} needs the folder of its documents")
            arguments.folder = Path(scratch)
        result = asyncio.run(run(arguments))
    if arguments.rows:
        lines = [json.dumps(row, ensure_ascii=False) for row in result["rows"]]
        arguments.rows.write_text("\n".join(lines) + "\n")
    if arguments.json:
        print(json.dumps({name: value for name, value in result.items() if name != "rows"}))
    else:
        show(arguments.task, result)
    return 0 if any(row.get("answer", True) for row in result["rows"]) else 1


if __name__ == "__main__":
    sys.exit(main())
