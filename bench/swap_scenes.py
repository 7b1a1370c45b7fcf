"""What `swap.py` asks and changes: the engine alone, or the running service."""

import asyncio
import io
import time
from pathlib import Path
from typing import Any, Protocol

import httpx
from running_service import RunningService, draw_page, wait_served
from tiny_versions import write_adapter, write_merged

from api.engine.local import LocalEngine
from api.engine.options import LocalOptions
from api.engine.swapping import SwappingEngine, SwapWay
from db.embedded import start_postgres
from db.queries.models import NewModel, register_model
from db.sessions import make_engine, make_sessions
from extraction.engine import Message, Prompt, Sampling
from extraction.model_folder import ModelFolder

WAYS = tuple(way.value for way in SwapWay)
_PAGES = 8
_TYPE = "bench"
_SCHEMA = {
    "type": "object",
    "properties": {
        name: {"type": "string", "maxLength": 12} for name in ("merchant", "date", "total")
    },
}
_CHANGED_SECONDS = 600.0


class Scene(Protocol):
    """Two versions, and somebody to ask; `change` goes from one to the other.

    Attributes:
        way: how they are swapped.
        pages: how many different questions there are.
        versions: their names.
        pauses: seconds that new requests were held, per swap.
        totals: seconds that each swap took.
    """

    way: str
    pages: int
    versions: tuple[str, ...]
    pauses: list[float]
    totals: list[float]

    async def start(self) -> None:
        """Until it answers."""
        ...

    async def stop(self) -> None:
        """Ends all that it started."""
        ...

    async def ask(self, page: int) -> tuple[str, Any]:
        """The version that answered, and its answer."""
        ...

    async def change(self, number: int) -> None:
        """Swap to the version of this number; negative ones count from the last."""
        ...

    async def collect(self) -> None:
        """After the last swap: fills `pauses` where they were not seen one by one."""
        ...


def write_versions(
    way: str, folder: Path, *, vision: bool
) -> tuple[ModelFolder, list[ModelFolder]]:
    """The model to begin with, and the two versions of a way."""
    base = write_merged(folder / "tiny-1", "tiny-1", seed=1, vision=vision)
    if way == SwapWay.ADAPTER:
        names = ("tiny-2", "tiny-3")
        return base, [
            write_adapter(folder / "versions" / name, name, base, seed=seed)
            for seed, name in enumerate(names, 2)
        ]
    layers = 3 if way == SwapWay.SECOND_ENGINE else 2
    other = folder / "versions" / "tiny-2"
    return base, [base, write_merged(other, "tiny-2", seed=2, layers=layers, vision=vision)]


class Direct:
    """`SwappingEngine` without the service."""

    pages = _PAGES

    def __init__(self, way: str, folder: Path) -> None:
        self.way = way
        base, self._models = write_versions(way, folder, vision=False)
        self.versions = tuple(model.version for model in self._models)
        self.pauses: list[float] = []
        self.totals: list[float] = []
        options = LocalOptions(
            base.folder,
            base.version,
            folder / "engine.log",
            threads=1,
            dtype="float32",
            kv_cache_bytes=64 * 1024 * 1024,
            enable_lora=way == SwapWay.ADAPTER,
            max_lora_rank=8,
        )
        local = LocalEngine(options, patience_seconds=_CHANGED_SECONDS)
        self._engine = SwappingEngine(base, local, base=base)
        self._prompts = [
            Prompt((Message("user", f"Receipt {page}: total {page * 7919} EUR. " * 4),), hash="b")
            for page in range(_PAGES)
        ]
        self._sampling = Sampling(max_tokens=32, grammar="start: /[a-z0-9 ]{24}/")

    async def start(self) -> None:
        """See `Scene`."""
        await self._engine.start()
        while not self._engine.state().ready:  # noqa: ASYNC110 - polled by design
            await asyncio.sleep(0.2)

    async def stop(self) -> None:
        """See `Scene`."""
        await self._engine.stop()

    async def ask(self, page: int) -> tuple[str, Any]:
        """See `Scene`."""
        completion = await self._engine.generate(self._prompts[page], self._sampling)
        return completion.model, completion.text

    async def change(self, number: int) -> None:
        """See `Scene`."""
        outcome = await self._engine.swap(self._models[number % len(self._models)])
        if number >= 0 and outcome.way != self.way:
            raise RuntimeError(f"it was swapped by {outcome.way}")
        self.pauses.append(outcome.pause_seconds)
        self.totals.append(outcome.total_seconds)

    async def collect(self) -> None:
        """See `Scene`."""


class Service:
    """The running service; promotions and rollbacks over HTTP."""

    pages = _PAGES

    def __init__(self, way: str, folder: Path) -> None:
        self.way = way
        self._base, self._models = write_versions(way, folder / "data", vision=True)
        self.versions = tuple(model.version for model in self._models)
        self.pauses: list[float] = []
        self.totals: list[float] = []
        self._service = RunningService(
            folder / "data",
            self._base.folder,
            {
                "DOCLOOP_ENGINE_DTYPE": "float32",
                "DOCLOOP_ENGINE_THREADS": "1",
                "DOCLOOP_ENGINE_ADAPTERS": str(way == SwapWay.ADAPTER).lower(),
                "DOCLOOP_OCR_ENABLED": "false",
            },
        )
        self._uploads: list[tuple[bytes, str]] = []
        self._client: httpx.AsyncClient | None = None
        self._promoted = 0

    @property
    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            raise RuntimeError("the service has not been started")
        return self._client

    async def start(self) -> None:
        """See `Scene`."""
        self._service.start()
        await self._service.wait_ready(600)
        self._client = self._service.client(_CHANGED_SECONDS)
        (await self._http.put(f"/document-types/{_TYPE}", json=_SCHEMA)).raise_for_status()
        self._uploads = [_upload(page) for page in range(_PAGES)]
        engine = make_engine(start_postgres(self._service.data / "postgres").url)
        async with make_sessions(engine).begin() as session:
            for model in self._models:
                new = NewModel(model.version, "tiny", model.base, str(model.folder))
                await register_model(session, new)
        await engine.dispose()

    async def stop(self) -> None:
        """See `Scene`."""
        if self._client is not None:
            await self._client.aclose()
        await asyncio.to_thread(self._service.stop)

    async def ask(self, page: int) -> tuple[str, Any]:
        """See `Scene`."""
        content, content_type = self._uploads[page]
        response = await self._http.post(
            "/extract", content=content, headers={"content-type": content_type}
        )
        prediction = response.raise_for_status().json()
        return str(prediction["model_version"]), prediction["record"]

    async def change(self, number: int) -> None:
        """See `Scene`; every second one is a rollback to the version before."""
        began = time.monotonic()
        version = self.versions[number % len(self.versions)]
        back = number >= 0 and number % 2 == 1
        path = "/models/rollback" if back else f"/models/{version}/promote"
        (await self._http.post(path)).raise_for_status()
        await wait_served(self._http, version, _CHANGED_SECONDS)
        self.totals.append(time.monotonic() - began)
        self._promoted += number >= 0

    async def collect(self) -> None:
        """See `Scene`; what the service wrote down of its swaps."""
        engine = make_engine(start_postgres(self._service.data / "postgres").url)
        async with engine.connect() as connection:
            found = await connection.exec_driver_sql(
                "SELECT details FROM audit_events WHERE action = 'model.swap' ORDER BY id"
            )
            details = [row[0] for row in found][-self._promoted or None :]
        await engine.dispose()
        if ways := {detail["way"] for detail in details} - {self.way}:
            raise RuntimeError(f"it was swapped by {ways}")
        self.pauses = [float(detail["pause_seconds"]) for detail in details]


def _upload(page: int) -> tuple[bytes, str]:
    """A page as a form, and its content type."""
    file = io.BytesIO()
    draw_page(page, 160, 224).save(file, "JPEG", quality=90)
    form = httpx.Request(
        "POST",
        "http://bench/extract",
        data={"document_type": _TYPE, "ocr": "off"},
        files={"file": ("page.jpg", file.getvalue(), "image/jpeg")},
    )
    return form.read(), form.headers["content-type"]
