"""How fast receipts are read end to end, where the time goes, and what the service weighs.

    python bench/speed.py FOLDER [--model build/model] [--single 20] [--saturated 60] [--out speed]

FOLDER holds `receipts.jsonl` and the images, as in SROIE. A service of its own (`docloop serve`,
Postgres and engine included) is asked for the four fields of receipts that all differ: first one at
a time, which gives p50, p90 and where the time goes; then `--concurrency` at a time without pause,
which gives receipts a second. Memory is sampled each second over all processes of the service; PSS
counts a page that several share once. It wants a machine that does nothing else: what else used the
cores is printed beside the figures. Written are OUT.json, OUT.png and OUT.svg.
"""

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from accuracy_client import post, read_rows
from accuracy_sroie import FIELDS
from rich.console import Console
from rich.table import Table
from running_service import RunningService
from speed_plot import plot_speed

STAGES = ("decode", "lines", "prompt", "queue", "engine prefill", "engine decode", "engine, rest")
_AFTER = ("checks", "store and HTTP")
_WARM_UP = 2
_FORM = {"document_type": "receipt", "fields": ",".join(FIELDS.values())}
_SUM = re.compile(r"^vllm:request_(prefill|decode)_time_seconds_sum\{[^}]*\} (\S+)", re.MULTILINE)
_TARGETS = {"p50_seconds": 3.0, "receipts_per_second": 0.6, "peak_gib": 5.0}
console = Console(stderr=True)


@dataclass
class Memory:
    """The most that the service's processes took together, by kind of process, in bytes (PSS)."""

    peak: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    resident: int = 0

    def sample(self, service: RunningService) -> None:
        """Looks once; a process that ends meanwhile counts nothing."""
        kinds: dict[str, int] = {}
        resident = 0
        for process in service.processes():
            try:
                held = process.memory_full_info()
                kind = _kind(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            kinds[kind] = kinds.get(kind, 0) + held.pss
            resident += held.rss
        if sum(kinds.values()) > self.peak:
            self.peak, self.kinds, self.resident = sum(kinds.values()), kinds, resident


def _kind(process: psutil.Process) -> str:
    words = f"{process.name()} {' '.join(process.cmdline()[:6])}"
    if "postgres" in words:
        return "Postgres"
    return "engine" if "vllm" in words.lower() else "API and OCR"


async def watch(service: RunningService, memory: Memory) -> None:
    """Samples until it is cancelled."""
    while True:
        await asyncio.to_thread(memory.sample, service)
        await asyncio.sleep(1)


async def timed(client: httpx.AsyncClient, path: Path) -> tuple[float, dict[str, Any]]:
    """Seconds from sending a receipt to its answer, and the answer."""
    begin = time.perf_counter()
    answer = await post(client, path, _FORM)
    if not answer:
        raise RuntimeError(f"{path.name} was not answered; a speed without answers means nothing")
    return time.perf_counter() - begin, answer


async def engine_seconds(client: httpx.AsyncClient) -> dict[str, float]:
    """What the engine has spent on prompts and on answers since it started."""
    text = (await client.get("/metrics")).text
    return {name: float(value) for name, value in _SUM.findall(text)}


async def one_at_a_time(client: httpx.AsyncClient, paths: Sequence[Path]) -> dict[str, Any]:
    """p50, p90, and the mean seconds of each stage."""
    before = await engine_seconds(client)
    results = [await timed(client, path) for path in paths]
    after = await engine_seconds(client)
    count = len(results)
    stages = {
        name: statistics.fmean(a["timings_seconds"].get(name, 0.0) for _, a in results)
        for name in ("decode", "lines", "prompt", "queue", "engine", "checks")
    }
    prefill, decode = (
        (after.get(name, 0.0) - before.get(name, 0.0)) / count for name in ("prefill", "decode")
    )
    wall = statistics.fmean(seconds for seconds, _ in results)
    spent = {
        **{name: stages[name] for name in ("decode", "lines", "prompt", "queue")},
        "engine prefill": prefill,
        "engine decode": decode,
        "engine, rest": max(stages["engine"] - prefill - decode, 0.0),
        "checks": stages["checks"],
        "store and HTTP": max(wall - sum(stages.values()), 0.0),
    }
    return {
        "receipts": count,
        "p50_seconds": statistics.median(seconds for seconds, _ in results),
        "p90_seconds": quantile([seconds for seconds, _ in results], 0.9),
        "mean_seconds": wall,
        "stages_seconds": spent,
        "prompt_tokens": statistics.median(a["usage"]["prompt_tokens"] for _, a in results),
        "completion_tokens": statistics.median(a["usage"]["completion_tokens"] for _, a in results),
    }


async def saturated(
    client: httpx.AsyncClient, paths: Sequence[Path], concurrency: int
) -> dict[str, Any]:
    """Receipts a second while so many requests are always under way."""
    waiting = list(reversed(paths))
    seconds: list[float] = []

    async def work() -> None:
        while waiting:
            seconds.append((await timed(client, waiting.pop()))[0])

    begin = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    wall = time.perf_counter() - begin
    return {
        "receipts": len(paths),
        "concurrency": concurrency,
        "receipts_per_second": len(paths) / wall,
        "p50_seconds": statistics.median(seconds),
        "p90_seconds": quantile(seconds, 0.9),
    }


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def foreign_cores(service: RunningService, seconds: float = 3.0) -> float:
    """How many cores the rest of the machine uses while the service idles."""
    own = service.processes()

    def busy() -> float:
        return sum(sum(p.cpu_times()[:2]) for p in own if p.is_running())

    before_own, before = busy(), psutil.cpu_times()
    time.sleep(seconds)
    after_own, after = busy(), psutil.cpu_times()
    used = sum(after) - sum(before) - (after.idle - before.idle) - (after.iowait - before.iowait)
    return max(used - (after_own - before_own), 0.0) / seconds


async def measure(arguments: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Starts the service, measures both ways, stops it."""
    rows = read_rows(arguments.folder / "receipts.jsonl", arguments.split)
    paths = [arguments.folder / row["image"] for row in rows]
    wanted = _WARM_UP + arguments.single + arguments.saturated
    if len(paths) < wanted:
        raise SystemExit(f"{wanted} different receipts are needed, and there are {len(paths)}")
    service = RunningService(data, arguments.model.resolve(), dict(arguments.set or []))
    memory = Memory()
    service.start()
    try:
        ready = await service.wait_ready(600)
        async with service.client(900.0) as client:
            watcher = asyncio.create_task(watch(service, memory))
            for path in paths[:_WARM_UP]:
                await timed(client, path)
            others = await asyncio.to_thread(foreign_cores, service)
            single = await one_at_a_time(client, paths[_WARM_UP : _WARM_UP + arguments.single])
            rest = paths[_WARM_UP + arguments.single : wanted]
            many = await saturated(client, rest, arguments.concurrency)
            watcher.cancel()
    finally:
        await asyncio.to_thread(service.stop)
    return {
        "model": json.loads((arguments.model / "docloop.json").read_text())["version"],
        "cores": psutil.cpu_count(),
        "foreign_cores": round(others, 2),
        "ready_seconds": ready,
        "single": single,
        "saturated": many,
        "memory": {
            "peak_gib": memory.peak / 2**30,
            "resident_gib": memory.resident / 2**30,
            "kinds_gib": {kind: size / 2**30 for kind, size in memory.kinds.items()},
        },
        "targets": _TARGETS,
    }


def show(result: dict[str, Any]) -> None:
    """Three tables: the figures beside their targets, the stages, the processes."""
    single, many, memory = result["single"], result["saturated"], result["memory"]
    figures = Table("figure", "measured", "target")
    figures.add_row("p50, one at a time", f"{single['p50_seconds']:.2f} s", "at most 3 s")
    figures.add_row("p90, one at a time", f"{single['p90_seconds']:.2f} s", "")
    title = f"receipts a second, {many['concurrency']} at a time"
    figures.add_row(title, f"{many['receipts_per_second']:.2f}", "at least 0.6")
    figures.add_row("memory of all processes", f"{memory['peak_gib']:.2f} GiB", "under 5 GiB")
    figures.add_row("cores that others used", f"{result['foreign_cores']:.2f}", "0")
    stages = Table("stage", "mean seconds", "share")
    for name in (*STAGES, *_AFTER):
        seconds = single["stages_seconds"][name]
        stages.add_row(name, f"{seconds:.3f}", f"{100 * seconds / single['mean_seconds']:.0f} %")
    kinds = Table("processes", "GiB")
    for kind, size in sorted(memory["kinds_gib"].items(), key=lambda pair: -pair[1]):
        kinds.add_row(kind, f"{size:.2f}")
    out = Console()
    for table in (figures, stages, kinds):
        out.print(table)


def setting(text: str) -> tuple[str, str]:
    """NAME=VALUE of one setting of the service."""
    name, _, value = text.partition("=")
    return name, value


def main() -> int:
    """Parses the command line; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, default=Path("build/model"))
    parser.add_argument("--split", default="400-499")
    parser.add_argument("--single", type=int, default=20, help="receipts one at a time")
    parser.add_argument("--saturated", type=int, default=60, help="receipts many at a time")
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--set", type=setting, action="append", help="DOCLOOP_NAME=VALUE")
    parser.add_argument("--out", type=Path, default=Path("speed"), help="path without ending")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="docloop-speed-") as data:
        result = asyncio.run(measure(arguments, Path(data)))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    show(result)
    for path in plot_speed(result, arguments.out):
        console.print(str(path))
    is_met = (
        result["single"]["p50_seconds"] <= _TARGETS["p50_seconds"]
        and result["saturated"]["receipts_per_second"] >= _TARGETS["receipts_per_second"]
        and result["memory"]["peak_gib"] < _TARGETS["peak_gib"]
    )
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
