"""What a swap costs, and whether it loses or mixes anything, while clients ask without pause.

    python bench/swap.py [--requests 10000] [--swaps 20] [--way reload|adapter|second-engine|all]
                         [--concurrency 8] [--direct] [--json]

Without `--direct` the running service is asked over HTTP (its own Postgres, pages as images), and
the champion is moved by `POST /models/{id}/promote` and `/models/rollback` in turn; with it the
`SwappingEngine` is asked alone. Versions are tiny models of random weights in fp32: greedy, a page
has one answer per version, taken while nothing else is asked. "mixed" counts the answers that are
not those of the version they name. "pause" is how long new requests were held, "swap" the time from
the promotion to the old version's end; the longest request is beside them, for a caller sees that.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from swap_scenes import WAYS, Direct, Scene, Service

console = Console(stderr=True)


@dataclass
class Run:
    """What was seen of one way."""

    answered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    mixed: int = 0
    seconds: list[float] = field(default_factory=list)
    swaps: int = 0
    swaps_failed: int = 0

    @property
    def requests(self) -> int:
        """All that were sent and ended."""
        return self.answered.total() + self.failed.total()


async def measure(scene: Scene, requests: int, swaps: int, concurrency: int) -> Run:
    """Ask all the while, and swap so often, evenly over the requests."""
    own = await learn(scene)
    run, numbers = Run(), iter(range(requests))
    over = asyncio.Event()

    async def client() -> None:
        # Goes on until the swaps are done, for the last ones have to be asked too.
        while (number := next(numbers, None)) is not None or not over.is_set():
            page = (number or run.requests) % scene.pages
            began = time.perf_counter()
            try:
                version, answer = await scene.ask(page)
            except Exception as error:  # noqa: BLE001 - any failed request is counted
                run.failed[f"{type(error).__name__}: {error}"[:200]] += 1
                continue
            run.seconds.append(time.perf_counter() - began)
            run.answered[version] += 1
            run.mixed += answer != own[version][page]

    async def promotions() -> None:
        try:
            for number in range(swaps):
                while run.requests < requests * (number + 0.5) / swaps:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                try:
                    await scene.change(number)
                    run.swaps += 1
                except Exception as error:  # noqa: BLE001 - shown in the table
                    run.swaps_failed += 1
                    console.print(f"[red]swap {number + 1}: {error}")
                console.print(f"{scene.way}: {run.requests} requests, {run.swaps} swaps")
        finally:
            over.set()

    await asyncio.gather(promotions(), *(client() for _ in range(concurrency)))
    return run


async def learn(scene: Scene) -> dict[str, list[Any]]:
    """Each version's own answers, asked one at a time; ends with the first version again."""
    own: dict[str, list[Any]] = {}
    for number in range(-len(scene.versions), 0):
        await scene.change(number)
        answers = [await scene.ask(page) for page in range(scene.pages)]
        (version,) = {version for version, _ in answers}
        own[version] = [answer for _, answer in answers]
    if len({json.dumps(answer) for answers in own.values() for answer in answers}) < 2 * len(own):
        raise RuntimeError("the versions answer alike, so nothing would show")
    scene.pauses.clear()
    scene.totals.clear()
    return own


def as_row(scene: Scene, run: Run) -> dict[str, Any]:
    """The figures of one way; seconds."""
    return {
        "way": scene.way,
        "requests": run.requests,
        "failed": run.failed.total(),
        "failures": dict(run.failed),
        "mixed": run.mixed,
        "by_version": dict(run.answered),
        "swaps": run.swaps,
        "swaps_failed": run.swaps_failed,
        "pause_p50_seconds": quantile(scene.pauses, 0.5),
        "pause_p99_seconds": quantile(scene.pauses, 0.99),
        "swap_p50_seconds": quantile(scene.totals, 0.5),
        "swap_p99_seconds": quantile(scene.totals, 0.99),
        "request_p50_seconds": quantile(run.seconds, 0.5),
        "request_p99_seconds": quantile(run.seconds, 0.99),
        "request_longest_seconds": max(run.seconds, default=0.0),
    }


def quantile(seconds: Sequence[float], share: float) -> float:
    """Of the observed values, the one at that share; 0 where there are none."""
    ordered = sorted(seconds)
    return ordered[round(share * (len(ordered) - 1))] if ordered else 0.0


def show(result: dict[str, Any]) -> None:
    """One table."""
    table = Table(title=result["setting"])
    heads = ("way", "requests", "failed", "mixed", "swaps", "pause p50", "pause p99")
    for head in (*heads, "swap p50", "swap p99", "request p50", "request p99", "longest"):
        table.add_column(head, justify="right")
    for row in result["rows"]:
        names = ("pause_p50", "pause_p99", "swap_p50", "swap_p99", "request_p50", "request_p99")
        table.add_row(
            *(row["way"], str(row["requests"]), str(row["failed"]), str(row["mixed"])),
            f"{row['swaps']} of {row['swaps'] + row['swaps_failed']}",
            *(f"{row[f'{name}_seconds']:.2f} s" for name in names),
            f"{row['request_longest_seconds']:.2f} s",
        )
    Console(width=150).print(table)
    for row in result["rows"]:
        for why, count in row["failures"].items():
            console.print(f"[red]{row['way']}: {count} x {why}")


async def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Each asked way after the other, with a service or an engine of its own."""
    rows = []
    for way in WAYS if arguments.way == "all" else (arguments.way,):
        kind: Callable[[str, Path], Scene] = Direct if arguments.direct else Service
        async with running(kind(way, folder / way)) as scene:
            seen = await measure(scene, arguments.requests, arguments.swaps, arguments.concurrency)
            await scene.collect()
            rows.append(as_row(scene, seen))
    place = "the engine alone" if arguments.direct else "the running service"
    setting = f"{place}, tiny random models in fp32, {arguments.concurrency} at a time"
    return {"setting": setting, "rows": rows}


@asynccontextmanager
async def running(scene: Scene) -> AsyncIterator[Scene]:
    """A scene that is up, and ended however it goes."""
    try:
        await scene.start()
        yield scene
    finally:
        await scene.stop()


def main() -> int:
    """Parses the command line; 1 where a request failed, an answer was mixed or a swap failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--way", choices=(*WAYS, "all"), default="reload")
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--direct", action="store_true", help="without the service")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="docloop-swap-"))
    try:
        result = asyncio.run(run(arguments, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        print(json.dumps(result))
    else:
        show(result)
    bad = any(row["failed"] or row["mixed"] or row["swaps_failed"] for row in result["rows"])
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
