"""How well the running service reads documents that it was not trained on.

    python bench/accuracy.py sroie FOLDER [--split 400-499] [--json]
    python bench/accuracy.py mrz FOLDER [--json]

The service's address and key come from DOCLOOP_URL and DOCLOOP_API_KEY. `sroie` prints the mean
fuzzy score per field and overall (the mean of `rapidfuzz.fuzz.ratio` over the four fields and the
receipts; what is missing or failed counts 0). `mrz` prints how many documents have exactly the
lines of `specimens.jsonl`, and how many have every check digit proven.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from extraction.scoring import sroie_score

# The task's names of the receipt type's fields.
FIELDS = {
    "company": "merchant_name",
    "date": "transaction_date",
    "address": "merchant_address",
    "total": "total",
}
RETRIES = 5
console = Console(stderr=True)

Post = Callable[[Path, dict[str, str]], Awaitable[dict[str, Any]]]


async def post(client: httpx.AsyncClient, path: Path, form: dict[str, str]) -> dict[str, Any]:
    """The prediction for one file; {} where the service cannot read it."""
    content = await asyncio.to_thread(path.read_bytes)
    for _ in range(RETRIES):
        response = await client.post("/extract", data=form, files={"file": (path.name, content)})
        if response.status_code not in {429, 503}:
            break
        await asyncio.sleep(float(response.headers.get("Retry-After", "2")))
    if response.status_code != httpx.codes.OK:
        console.print(f"{path.name}: {response.status_code} {response.text[:300]}")
        return {}
    answer: dict[str, Any] = response.json()
    return answer


async def sroie(rows: Sequence[dict[str, Any]], folder: Path, send: Post) -> dict[str, Any]:
    """Scores over receipts; values are compared as printed, as the task asks."""
    form = {"document_type": "receipt", "fields": ",".join(FIELDS.values())}
    answers = await gather(rows, lambda row: send(folder / row["image"], form))
    results: list[dict[str, Any]] = []
    for row, answer in zip(rows, answers, strict=True):
        read = answer.get("fields", {})
        texts = {task: (read.get(name) or {}).get("raw") for task, name in FIELDS.items()}
        scores = sroie_score(row["fields"], texts)
        results.append({"id": row["id"], "scores": scores, "read": texts, "answer": answer})
    means = {
        name: mean([result["scores"][name] for result in results]) for name in (*FIELDS, "overall")
    }
    exact = {
        f"{name}_exact": 100 * mean([float(result["scores"][name] == 100) for result in results])  # noqa: PLR2004
        for name in FIELDS
    }
    return {"receipts": len(rows), **means, **exact, "rows": results}


async def mrz(rows: Sequence[dict[str, Any]], folder: Path, send: Post) -> dict[str, Any]:
    """How many zones are exactly right, and how many are proven by their check digits."""
    form = {"document_type": "passport"}
    answers = await gather(rows, lambda row: send(folder / row["image"], form))
    results = []
    for row, answer in zip(rows, answers, strict=True):
        zone = (answer.get("record") or {}).get("mrz") or {}
        digits = [c for c in answer.get("checks", []) if c["name"].startswith("mrz.")]
        results.append(
            {
                "image": row["image"],
                "equal": zone.get("lines") == row["mrz"],
                "proven": bool(digits) and all(c["verdict"] == "pass" for c in digits),
                "read": zone.get("lines"),
            }
        )
    return {
        "documents": len(rows),
        "equal": sum(result["equal"] for result in results),
        "proven": sum(result["proven"] for result in results),
        "rows": results,
    }


async def gather(
    rows: Sequence[dict[str, Any]], ask: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """The answers in the rows' order, with a progress bar."""
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("documents", total=len(rows))

        async def one(row: dict[str, Any]) -> dict[str, Any]:
            answer = await ask(row)
            progress.advance(task)
            return answer

        return await asyncio.gather(*(one(row) for row in rows))


def mean(values: Sequence[float]) -> float:
    """0 for nothing, so that an empty split cannot look perfect."""
    return sum(values) / len(values) if values else 0.0


def read_rows(path: Path, split: str | None) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file; `split` "400-499" takes positions, both ends included."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    if split is None:
        return rows
    first, last = (int(part) for part in split.split("-"))
    return rows[first : last + 1]


async def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures against the service, at most `--concurrency` requests at a time."""
    key = os.environ.get("DOCLOOP_API_KEY", "")
    url = os.environ.get("DOCLOOP_URL", "http://127.0.0.1:8000")
    slots = asyncio.Semaphore(arguments.concurrency)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=600) as client:

        async def send(path: Path, form: dict[str, str]) -> dict[str, Any]:
            async with slots:
                return await post(client, path, form)

        begin = time.perf_counter()
        if arguments.task == "sroie":
            rows = read_rows(arguments.folder / "receipts.jsonl", arguments.split)
            result = await sroie(rows, arguments.folder, send)
        else:
            rows = read_rows(arguments.folder / "specimens.jsonl", None)
            result = await mrz(rows, arguments.folder, send)
        return {**result, "seconds": round(time.perf_counter() - begin, 1)}


def show(result: dict[str, Any]) -> None:
    """One table."""
    table = Table("figure", "value")
    for name, value in result.items():
        if name != "rows":
            table.add_row(name, f"{value:.2f}" if isinstance(value, float) else str(value))
    Console().print(table)


def main() -> int:
    """Parses the command line; 1 where no document could be read at all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("task", choices=("sroie", "mrz"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", help="positions, as 400-499; all where it is left out")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--rows", type=Path, help="write each document's result here")
    parser.add_argument("--concurrency", type=int, default=4)
    arguments = parser.parse_args()
    result = asyncio.run(run(arguments))
    if arguments.rows:
        lines = [json.dumps(row, ensure_ascii=False) for row in result["rows"]]
        arguments.rows.write_text("\n".join(lines) + "\n")
    if arguments.json:
        print(json.dumps({name: value for name, value in result.items() if name != "rows"}))
    else:
        show(result)
    return 0 if result["rows"] else 1


if __name__ == "__main__":
    sys.exit(main())
