"""What every accuracy bench needs: documents out, answers in, rows of a file, a mean."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import Progress

RETRIES = 5
_UNDER_WAY = frozenset({"queued", "running"})
console = Console(stderr=True)

Post = Callable[[Path, dict[str, str]], Awaitable[dict[str, Any]]]


async def post(client: httpx.AsyncClient, path: Path, form: dict[str, str]) -> dict[str, Any]:
    """The prediction for one file; {} where the service cannot read it. A .txt is sent as text."""
    content = await asyncio.to_thread(path.read_bytes)
    sent: dict[str, Any] = {"data": form, "files": {"file": (path.name, content)}}
    if path.suffix == ".txt":
        parts = {**form, "text": content.decode()}
        sent = {"files": {name: (None, value) for name, value in parts.items()}}
    for _ in range(RETRIES):
        response = await client.post("/extract", **sent)
        if response.status_code not in {429, 503}:
            break
        await asyncio.sleep(float(response.headers.get("Retry-After", "2")))
    response = await _finished(client, response)
    if response.status_code != httpx.codes.OK:
        console.print(f"{path.name}: {response.status_code} {response.text[:300]}")
        return {}
    answer: dict[str, Any] = response.json()
    if answer.get("state") == "failed":
        console.print(f"{path.name}: {(answer.get('error') or {}).get('detail')}")
        return {}
    return answer


def few_at_once(client: httpx.AsyncClient, concurrency: int) -> Post:
    """`post` by this client, with at most so many requests under way."""
    slots = asyncio.Semaphore(concurrency)

    async def send(path: Path, form: dict[str, str]) -> dict[str, Any]:
        async with slots:
            return await post(client, path, form)

    return send


async def _finished(client: httpx.AsyncClient, response: httpx.Response) -> httpx.Response:
    """The answer itself, where a document takes longer than a request may."""
    place = response.headers.get("Location")
    while place and response.is_success and response.json().get("state") in _UNDER_WAY:
        await asyncio.sleep(float(response.headers.get("Retry-After", "1")))
        response = await client.get(place)
    return response


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


def read_rows(path: Path, split: str | None = None) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file; `split` "400-499" takes positions, both ends included."""
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    if split is None:
        return rows
    first, last = (int(part) for part in split.split("-"))
    return rows[first : last + 1]
