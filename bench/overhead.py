"""What the service adds to its engine: throughput and latency, `/extract` against the engine alone.

    python bench/overhead.py [--requests 64] [--rounds 4] [--concurrency 1,8,16] [--json]

One vLLM server with a tiny vision model of random weights; the service, real and with its own
Postgres (fsync on), asks it over HTTP. The straight requests are the bytes that the service's own
client would send for the same pages (`api.engine.client`), sent to the same server. Both ways
alternate in one run: straight, service, service, straight. Every page differs, so that the service
stores a document, a page and a prediction for each; the engine's prefix cache is off, so that the
second way finds nothing warm. "CPU ms" is what the API's process and Postgres spend on a request;
they share the machine's cores with the engine. In the end every answered prediction is looked up
in the database.
"""

import argparse
import asyncio
import io
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
from rich.console import Console
from rich.table import Table
from running_service import RunningService, draw_page

from api.engine.client import build_request, encode_request
from api.engine.local import LocalEngine
from api.engine.options import LocalOptions
from db.embedded import start_postgres
from extraction.answer import answer_tokens, grammar_of
from extraction.document_types.custom import type_from_schema
from extraction.engine import Sampling
from extraction.pages import load_pages
from extraction.prompt import Asked, build_prompt
from extraction.traits import ModelTraits

VERSION = "tiny-vision"
TYPE = "bench"
LEAST_RATIO, MOST_ADDED_SECONDS = 0.95, 0.015
# A random model writes until a value is full: this many characters are about as many tokens.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        name: {"type": "string", "maxLength": 24}
        for name in ("merchant", "date", "total", "address", "number")
    },
}
console = Console(stderr=True)


@dataclass
class Way:
    """What one way of asking took."""

    seconds: list[float] = field(default_factory=list)
    wall_seconds: float = 0.0
    tokens: list[int] = field(default_factory=list)
    cpu_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def throughput(self) -> float:
        """Requests per second."""
        return len(self.seconds) / self.wall_seconds

    def quantile(self, share: float) -> float:
        """Latency in seconds."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


@dataclass(frozen=True)
class Request:
    """One page, ready to be sent either way."""

    upload: bytes
    content_type: str
    straight: bytes


def prepare(numbers: Sequence[int], traits: ModelTraits) -> list[Request]:
    """The same pages for both ways; all that a client does beforehand is done here."""
    asked = Asked(type_from_schema(TYPE, SCHEMA, 1), style=traits.style, layout=traits.layout)
    sampling = Sampling(answer_tokens(asked), grammar=grammar_of(asked, traits.special_tokens))
    requests = []
    for number in numbers:
        file = io.BytesIO()
        draw_page(number).save(file, "JPEG", quality=90)
        content = file.getvalue()
        (page,) = load_pages(content)
        prompt = build_prompt(asked, (), shown=traits.pages.show([page], 1, alone=True))
        form = httpx.Request(
            "POST",
            "http://bench/extract",
            data={"document_type": TYPE, "ocr": "off"},
            files={"file": ("page.jpg", content, "image/jpeg")},
        )
        requests.append(
            Request(
                upload=form.read(),
                content_type=form.headers["content-type"],
                straight=encode_request(build_request(prompt, sampling, model=traits.version)),
            )
        )
    return requests


async def drive(
    requests: Sequence[Request],
    concurrency: int,
    send: Callable[[Request], Awaitable[int]],
    way: Way,
) -> None:
    """Send all, so many at a time, and note what each took."""
    waiting = iter(requests)

    async def caller() -> None:
        for request in waiting:
            began = time.perf_counter()
            way.tokens.append(await send(request))
            way.seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(concurrency)))
    way.wall_seconds += time.perf_counter() - began


def cpu_seconds(service: RunningService) -> dict[str, float]:
    """Processor time so far of the API's process, and of Postgres with its backends."""
    postmaster = psutil.Process(service.postgres_pid())
    parts = {
        "api": [psutil.Process(service.pid)],
        "postgres": [postmaster, *postmaster.children()],
    }
    return {
        name: sum(p.cpu_times().user + p.cpu_times().system for p in processes)
        for name, processes in parts.items()
    }


async def measure(
    engine: LocalEngine, service: RunningService, arguments: argparse.Namespace
) -> tuple[list[dict[str, Any]], set[str]]:
    """One row per concurrency, and the ids of all predictions that were answered."""
    traits = ModelTraits.load(service.model)
    if traits is None or engine.address is None:
        raise RuntimeError("the engine is not up")
    answered: set[str] = set()
    straight_client = httpx.AsyncClient(
        base_url=engine.address,
        headers={
            "authorization": f"Bearer {engine.api_key}",
            "content-type": "application/json",
        },
        timeout=300,
        trust_env=False,
        limits=httpx.Limits(keepalive_expiry=4.0),
    )
    async with straight_client, service.client(300) as service_client:

        async def send_straight(request: Request) -> int:
            response = await straight_client.post("/v1/chat/completions", content=request.straight)
            return int(response.raise_for_status().json()["usage"]["completion_tokens"])

        async def send_service(request: Request) -> int:
            response = await service_client.post(
                "/extract",
                content=request.upload,
                headers={"content-type": request.content_type},
            )
            prediction = response.raise_for_status().json()
            answered.add(prediction["id"])
            return int(prediction["usage"]["completion_tokens"])

        (await service_client.put(f"/document-types/{TYPE}", json=SCHEMA)).raise_for_status()
        rows, next_number = [], 0
        for concurrency in arguments.concurrency:
            straight, serviced = Way(), Way()
            count = max(arguments.requests, concurrency)
            for turn in range(-1, arguments.rounds):
                numbers = range(next_number, next_number + count)
                next_number += count
                requests = await asyncio.to_thread(prepare, numbers, traits)
                if turn < 0:  # warms connections, caches and the engine's grammar
                    few = requests[: 2 * concurrency]
                    await drive(few, concurrency, send_straight, Way())
                    await drive(few, concurrency, send_service, Way())
                    continue
                order = [(send_straight, straight), (send_service, serviced)]
                for send, way in order if turn % 2 == 0 else reversed(order):
                    before = cpu_seconds(service)
                    await drive(requests, concurrency, send, way)
                    for name, seconds in cpu_seconds(service).items():
                        spent = way.cpu_seconds.get(name, 0.0) + seconds - before[name]
                        way.cpu_seconds[name] = spent
                console.print(f"concurrency {concurrency}: round {turn + 1} done")
            if sorted(straight.tokens) != sorted(serviced.tokens):
                console.print("[yellow]the answers' lengths differ between the two ways")
            rows.append(as_row(concurrency, straight, serviced))
    return rows, answered


def as_row(concurrency: int, straight: Way, serviced: Way) -> dict[str, Any]:
    """Figures of one concurrency; seconds."""
    return {
        "concurrency": concurrency,
        "requests": len(serviced.seconds),
        "answer_tokens": statistics.mean(straight.tokens),
        "straight_per_second": straight.throughput,
        "service_per_second": serviced.throughput,
        "throughput_ratio": serviced.throughput / straight.throughput,
        "straight_p50_seconds": straight.quantile(0.5),
        "added_p50_seconds": serviced.quantile(0.5) - straight.quantile(0.5),
        "straight_p99_seconds": straight.quantile(0.99),
        "added_p99_seconds": serviced.quantile(0.99) - straight.quantile(0.99),
        "cpu_seconds": {k: v / len(serviced.seconds) for k, v in serviced.cpu_seconds.items()},
    }


def stored(service: RunningService, answered: set[str]) -> dict[str, Any]:
    """How many answered predictions are finished rows, and whether the database flushes."""
    server = start_postgres(service.data / "postgres")  # the running one; ours to ask only
    with psycopg.connect(server.url) as connection:
        found = connection.execute("SELECT id::text FROM predictions WHERE state = 'done'")
        rows = {str(row[0]) for row in found}
        names = ("fsync", "synchronous_commit")
        flags = {name: (connection.execute(f"SHOW {name}").fetchone() or [""])[0] for name in names}
    return {"answered": len(answered), "committed": len(answered & rows), **flags}


def show(result: dict[str, Any]) -> None:
    """One table."""
    table = Table(title=result["setting"], caption=str(result["stored"]))
    heads = ("at a time", "requests", "tokens", "straight /s", "service /s", "ratio")
    more = ("straight p50 ms", "added p50 ms", "straight p99 ms", "added p99 ms", "CPU ms", "met")
    for head in (*heads, *more):
        table.add_column(head, justify="right")
    for row in result["rows"]:
        table.add_row(
            *(str(row["concurrency"]), str(row["requests"]), f"{row['answer_tokens']:.0f}"),
            *(f"{row['straight_per_second']:.2f}", f"{row['service_per_second']:.2f}"),
            f"{row['throughput_ratio']:.3f}",
            *(f"{1000 * row['straight_p50_seconds']:.0f}",),
            *(f"{1000 * row['added_p50_seconds']:+.1f}",),
            *(f"{1000 * row['straight_p99_seconds']:.0f}",),
            *(f"{1000 * row['added_p99_seconds']:+.1f}",),
            " + ".join(f"{1000 * seconds:.0f}" for seconds in row["cpu_seconds"].values()),
            "yes" if met(row) else "no",
        )
    Console(width=140).print(table)


def met(row: dict[str, Any]) -> bool:
    """Whether a row is within the targets."""
    return bool(
        row["throughput_ratio"] >= LEAST_RATIO and row["added_p99_seconds"] <= MOST_ADDED_SECONDS
    )


async def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Start both, measure, stop both."""
    from trainer.tiny_models import build_idefics3, write_card

    model = write_card(build_idefics3(folder / "model"), VERSION, sees_images=True)
    engine = LocalEngine(
        LocalOptions(
            model_folder=model,
            served_name=VERSION,
            log_file=folder / "engine.log",
            threads=1,
            kv_cache_bytes=256 * 1024 * 1024,
            extra_arguments=("--no-enable-prefix-caching",),
        )
    )
    await engine.start()
    service = None
    try:
        while not engine.state().ready:  # noqa: ASYNC110 - the state is polled by design
            await asyncio.sleep(0.2)
        service = RunningService(
            folder / "data",
            model,
            {
                "DOCLOOP_ENGINE_URLS": str(engine.address),
                "DOCLOOP_ENGINE_API_KEY": engine.api_key,
            },
        )
        service.start()
        console.print(f"ready after {await service.wait_ready():.1f} s, process {service.pid}")
        rows, answered = await measure(engine, service, arguments)
        checked = await asyncio.to_thread(stored, service, answered)
    finally:
        if service is not None:
            await asyncio.to_thread(service.stop)
        await engine.stop()
    setting = "tiny Idefics3 of random weights, 480 x 640 JPEG, lines off, greedy, grammar on"
    return {"setting": setting, "rows": rows, "stored": checked}


def main() -> int:
    """Parses the command line; 1 where a target is missed or a row is not there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--requests", type=int, default=64, help="of one way in one round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument(
        "--concurrency",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[1, 8, 16],
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="docloop-overhead-"))
    try:
        result = asyncio.run(run(arguments, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        print(json.dumps(result))
    else:
        show(result)
    kept = result["stored"]["committed"] == result["stored"]["answered"]
    return 0 if kept and all(met(row) for row in result["rows"]) else 1


if __name__ == "__main__":
    sys.exit(main())
