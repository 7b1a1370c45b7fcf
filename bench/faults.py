"""What is lost when things are killed under load; it should be nothing.

    python bench/faults.py [--kills 10] [--callers 4] [--json]

The service, real and with its own engine and Postgres, is asked without pause by several callers.
Each extracts pages, some with `wait=false`, and corrects what it was answered; it keeps its own
list of what was acknowledged. Meanwhile the engine, the API and the Postgres postmaster are killed
with SIGKILL by their process ids, the API started again the same way. In the end every acknowledged
prediction and correction is asked for; queued predictions have to be finished.
"""

import argparse
import asyncio
import io
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx
from rich.console import Console
from rich.table import Table
from running_service import RunningService, draw_page

VERSION = "tiny-vision"
TYPE = "slip"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 6}},
}
TARGETS = ("engine", "api", "postgres")
QUEUED_EVERY = 4
MAY_BE_RETRIED = frozenset({429, 503})
_LOAD_SECONDS = 2.0  # of calm load before each kill
_FINISH_SECONDS = 120.0
console = Console(stderr=True)


@dataclass
class Ledger:
    """What the callers were told.

    Attributes:
        records: id of each acknowledged prediction -> its record.
        corrections: id of each acknowledged correction -> its prediction.
        queued: predictions that were accepted with `wait=false`.
        statuses: how often each status came; 0 for a broken connection.
        unexpected: answers that are neither success nor a 429 or 503 with Retry-After.
    """

    records: dict[str, Any] = field(default_factory=dict)
    corrections: dict[str, str] = field(default_factory=dict)
    queued: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)


class Load:
    """Callers that ask without pause while the context is open.

    Args:
        service: whom they ask.
        callers: how many at a time.
        ledger: where they note what they were told.
    """

    def __init__(self, service: RunningService, callers: int, ledger: Ledger) -> None:
        self._service = service
        self._callers = callers
        self._ledger = ledger
        self._numbers = count()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Start to ask."""
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(self._callers)]
        return self

    async def __aexit__(self, *_error: object) -> None:
        """What is under way is cancelled: an answer that nobody saw is not acknowledged."""
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _ask(self) -> None:
        async with self._service.client(90.0) as client:
            while True:
                if not await self._once(client, next(self._numbers)):
                    await asyncio.sleep(0.3)

    async def _once(self, client: httpx.AsyncClient, number: int) -> bool:
        """One document and its correction; false where there was no answer."""
        queued = number % QUEUED_EVERY == 0
        response = await self._send(
            client,
            "/extract",
            params={"wait": str(not queued).lower()},
            data={"document_type": TYPE, "ocr": "off"},
            files={"file": ("page.png", page(number), "image/png")},
            headers={"idempotency-key": uuid4().hex},
        )
        if response is None:
            return False
        told = response.json()
        if response.status_code == httpx.codes.ACCEPTED:
            self._ledger.queued.append(told["id"])
            return True
        self._ledger.records[told["id"]] = told["record"]
        correction = {
            "prediction_id": told["id"],
            "verdict": "corrected",
            "record": {"name": f"n{number % 10_000}"},
        }
        response = await self._send(client, "/feedback", json=correction)
        if response is not None:
            self._ledger.corrections[response.json()["id"]] = told["id"]
        return response is not None

    async def _send(
        self, client: httpx.AsyncClient, path: str, **arguments: Any
    ) -> httpx.Response | None:
        """The answer where it is a success; notes everything."""
        try:
            response = await client.post(path, **arguments)
        except httpx.TransportError:
            self._ledger.statuses[0] += 1
            return None
        self._ledger.statuses[response.status_code] += 1
        if response.is_success:
            return response
        retried = response.status_code in MAY_BE_RETRIED and "retry-after" in response.headers
        if not retried:
            self._ledger.unexpected.append(f"{path} {response.status_code} {response.text[:300]}")
        return None


def page(number: int) -> bytes:
    """A small PNG, another one for each number."""
    file = io.BytesIO()
    draw_page(number, 160, 200).save(file, "PNG")
    return file.getvalue()


async def put_type(service: RunningService) -> None:
    """The type with short answers that the callers ask for."""
    async with service.client() as client:
        (await client.put(f"/document-types/{TYPE}", json=SCHEMA)).raise_for_status()


@asynccontextmanager
async def serving_slips(service: RunningService) -> AsyncIterator[RunningService]:
    """The service, started and with the type of `put_type`; nothing of it outlives the context."""
    service.start()
    try:
        await service.wait_ready()
        await put_type(service)
        yield service
    finally:
        await asyncio.to_thread(service.stop)
        for process in service.processes():
            process.kill()


async def kill(service: RunningService, target: str) -> float:
    """SIGKILL one part, start the API again where it was that; answers the seconds until served."""
    began = time.monotonic()
    if target == "api":
        service.kill()
        service.start()
    elif target == "engine":
        os.kill(service.engine_pid(), signal.SIGKILL)
    else:
        os.kill(service.postgres_pid(), signal.SIGKILL)
    await until_answered(service)
    return time.monotonic() - began


async def until_answered(service: RunningService, seconds: float = 180.0) -> None:
    """Wait until a document is answered.

    Raises:
        TimeoutError: none was.
    """
    async with service.client() as client, asyncio.timeout(seconds):
        while True:
            try:
                response = await client.post(
                    "/extract",
                    data={"document_type": TYPE, "ocr": "off"},
                    files={"file": ("page.png", page(999_999), "image/png")},
                )
                if response.status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)


async def missing(service: RunningService, ledger: Ledger) -> list[str]:
    """What was acknowledged and is not there, or not as it was told; asked through the API."""
    lost: list[str] = []
    async with service.client() as client:
        for identity, record in ledger.records.items():
            answer = await client.get(f"/predictions/{identity}")
            if answer.status_code != httpx.codes.OK or answer.json()["record"] != record:
                lost.append(f"prediction {identity}")
        for identity, prediction in ledger.corrections.items():
            answer = await client.get(f"/feedback/{prediction}")
            known = answer.json()["corrections"] if answer.is_success else ()
            if identity not in {one["id"] for one in known}:
                lost.append(f"correction {identity}")
        deadline = time.monotonic() + _FINISH_SECONDS
        for identity in ledger.queued:
            while True:
                answer = await client.get(f"/predictions/{identity}")
                state = answer.json()["state"] if answer.is_success else "absent"
                if state not in {"queued", "running"} or time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.3)
            if state != "done":
                lost.append(f"queued prediction {identity}: {state}")
    return lost


async def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All kills of all targets, then the accounts."""
    from trainer.tiny_models import build_idefics3, write_card

    model = write_card(build_idefics3(folder / "model"), VERSION, sees_images=True)
    service = RunningService(folder / "data", model, {"DOCLOOP_ENGINE_THREADS": "1"})
    service.start()
    rows = []
    try:
        await service.wait_ready()
        await put_type(service)
        for target in arguments.targets:
            ledger, seconds = Ledger(), []
            async with Load(service, arguments.callers, ledger):
                for number in range(arguments.kills):
                    await asyncio.sleep(_LOAD_SECONDS)
                    seconds.append(await kill(service, target))
                    console.print(f"{target}: kill {number + 1}, back in {seconds[-1]:.1f} s")
            lost = await missing(service, ledger)
            rows.append(as_row(target, seconds, ledger, lost))
    finally:
        await asyncio.to_thread(service.stop)
    return {"rows": rows, "left_running": [process.pid for process in service.processes()]}


def as_row(target: str, seconds: list[float], ledger: Ledger, lost: list[str]) -> dict[str, Any]:
    """The account of one target."""
    return {
        "target": target,
        "kills": len(seconds),
        "predictions": len(ledger.records),
        "corrections": len(ledger.corrections),
        "queued": len(ledger.queued),
        "lost": lost,
        "broken_connections": ledger.statuses[0],
        "retry_later": sum(ledger.statuses[status] for status in MAY_BE_RETRIED),
        "unexpected": ledger.unexpected,
        "median_back_seconds": statistics.median(seconds),
        "longest_back_seconds": max(seconds),
    }


def show(result: dict[str, Any]) -> None:
    """One table, and what went wrong below it."""
    heads = ("killed", "kills", "acknowledged", "corrections", "queued", "lost", "broken")
    more = ("503 or 429", "unexpected", "back s (median)", "back s (longest)")
    table = Table(
        *heads, *more, caption=f"left running after Ctrl-C: {result['left_running'] or 'none'}"
    )
    for row in result["rows"]:
        table.add_row(
            *(row["target"], str(row["kills"]), str(row["predictions"])),
            *(str(row["corrections"]), str(row["queued"]), str(len(row["lost"]))),
            *(str(row["broken_connections"]), str(row["retry_later"])),
            *(str(len(row["unexpected"])),),
            *(f"{row['median_back_seconds']:.1f}", f"{row['longest_back_seconds']:.1f}"),
        )
    Console(width=140).print(table)
    for row in result["rows"]:
        for line in (*row["lost"], *row["unexpected"]):
            console.print(f"{row['target']}: {line}")


def main() -> int:
    """Parses the command line; 1 where something was lost or an answer was not as promised."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=10, help="of each target")
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--targets", type=lambda text: text.split(","), default=list(TARGETS))
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="docloop-faults-"))
    try:
        result = asyncio.run(run(arguments, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        print(json.dumps(result))
    else:
        show(result)
    failed = any(row["lost"] or row["unexpected"] for row in result["rows"])
    return int(failed or bool(result["left_running"]))


if __name__ == "__main__":
    sys.exit(main())
