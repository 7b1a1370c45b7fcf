"""The whole app with its slow parts replaced: a fake engine, and lines that are given."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
from fastapi import FastAPI
from PIL import Image
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.app import create_app
from api.dependencies import Services
from api.readiness import Part
from api.settings import Settings
from db.queries.keys import create_key, ensure_tenant
from db.tables import Prediction, Scope
from extraction.classify import TypeClassifier, TypeDecision
from extraction.confidence import Calibration
from extraction.engine import Prompt
from extraction.extract import Extractor, Readers
from extraction.lines import Box, Line, LineReader
from extraction.page_limits import PageLimits
from extraction.pages import Page
from extraction.prompt import PromptStyle
from extraction.traits import ModelTraits
from tests.factories_documents import draw_text, encode
from tests.fakes import FakeEngine

KEY = "dl_the-first-key-of-the-tests"
RECEIPT = {
    "merchant_name": "CORNER STORE SDN BHD",
    "transaction_date": "25/12/2018",
    "items": [{"description": "Milk", "quantity": "2", "total_price": "9.00"}],
    "total": "RM9.00",
}
TEXTS = ("CORNER STORE SDN BHD", "25/12/2018", "Milk 2 9.00", "Total RM9.00")
TRAITS = ModelTraits(version="fake-1", style=PromptStyle.COMPACT, sees_images=False)


class GivenLines:
    """A line reader that reads the same on every page."""

    def __init__(self, texts: Sequence[str] = TEXTS) -> None:
        self.texts = texts
        self.pages = 0

    def read(self, page: Page) -> list[Line]:
        self.pages += 1
        return [
            Line(text, Box(0.1, 0.1 * row, 0.9, 0.1 * row + 0.05), 0.99, page.index)
            for row, text in enumerate(self.texts, start=1)
        ]


class GivenType:
    """A classifier that always decides the same."""

    def __init__(self, name: str = "receipt", confidence: float = 0.98) -> None:
        self.decision = TypeDecision(name, confidence)

    def decide(self, lines: Sequence[Line]) -> TypeDecision:
        return self.decision


def make_extractor(
    engine: FakeEngine,
    lines: GivenLines | LineReader | None = None,
    decides: GivenType | None = None,
    *,
    traits: ModelTraits = TRAITS,
    limits: PageLimits | None = None,
) -> Extractor:
    readers = Readers(
        lines=cast("LineReader", lines or GivenLines()),
        classifier=cast("TypeClassifier", decides or GivenType()),
        calibration=Calibration.load(Path("nowhere")),
        traits=traits,
        page_limits=limits or PageLimits(),
    )
    return Extractor(engine, readers)


def receipt_engine() -> FakeEngine:
    """Answers with what is asked of `RECEIPT`."""

    def answer(prompt: Prompt) -> str:
        asked = prompt.messages[-1].text.rpartition("receipt: ")[2]
        return json.dumps({name: value for name, value in RECEIPT.items() if name in asked})

    return FakeEngine(answer)


def document(mark: str = "one") -> bytes:
    """A small page; another mark makes other bytes."""
    return encode(draw_text((mark,), size=(160, 120), font_pixels=12), "PNG")


def pages_of(*marks: str) -> list[Image.Image]:
    return [draw_text((mark,), size=(160, 120), font_pixels=12) for mark in marks]


def form(content: bytes | None = None, **fields: str) -> dict[str, Any]:
    """Arguments of a multipart POST."""
    return {"files": {"file": ("a.png", content or document(), "image/png")}, "data": fields}


def body(content: bytes | None = None, **fields: Any) -> dict[str, Any]:
    """Arguments of a JSON POST."""
    text = base64.b64encode(content or document()).decode()
    return {"json": {"content_base64": text, **fields}}


@dataclass(frozen=True)
class Serving:
    """An app that is up."""

    app: FastAPI
    client: httpx.AsyncClient
    engine: FakeEngine

    @property
    def services(self) -> Services:
        return cast("Services", self.app.state.services)

    @property
    def sessions(self) -> async_sessionmaker[AsyncSession]:
        return self.services.sessions

    def as_key(self, key: str) -> httpx.AsyncClient:
        """A client with another key; nothing has to be closed."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://test",
            headers={"authorization": f"Bearer {key}"},
        )

    async def make_key(self, tenant: str, *scopes: Scope) -> str:
        async with self.sessions.begin() as session:
            owner = await ensure_tenant(session, tenant)
            return (await create_key(session, owner.id, scopes or tuple(Scope))).secret

    async def tenant_id(self, tenant: str = "default") -> UUID:
        async with self.sessions.begin() as session:
            return (await ensure_tenant(session, tenant)).id

    async def count(self, table: type = Prediction) -> int:
        """Rows of all tenants."""
        async with self.sessions.begin() as session:
            return int(await session.scalar(select(func.count()).select_from(table)) or 0)

    async def extract(self, **arguments: Any) -> dict[str, Any]:
        """A prediction that is done."""
        response = await self.client.post("/extract", **(arguments or form()))
        assert response.status_code == 200, response.text
        return cast("dict[str, Any]", response.json())

    async def until_asked(self) -> None:
        """Returns when the engine has got a prompt."""
        async with asyncio.timeout(20):
            while not self.engine.prompts:  # noqa: ASYNC110 - the engine has no event for it
                await asyncio.sleep(0.01)

    async def until_done(self, prediction_id: str) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while True:
                found = (await self.client.get(f"/predictions/{prediction_id}")).json()
                if found["finished_at"] is not None:
                    return cast("dict[str, Any]", found)
                await asyncio.sleep(0.05)


@asynccontextmanager
async def serving(
    database_url: str,
    folder: Path,
    *,
    engine: FakeEngine | None = None,
    extractor: Extractor | None = None,
    **settings: Any,
) -> AsyncIterator[Serving]:
    """The app with its lifespan, from the moment when everything is ready."""
    engine = engine or receipt_engine()
    app = create_app(
        Settings(
            _env_file=None,
            database_url=SecretStr(database_url),
            data_dir=folder,
            api_key=SecretStr(KEY),
            **{"shutdown_seconds": 0.2, **settings},
        ),
        engine=engine,
        extractor=extractor or make_extractor(engine),
        traits=TRAITS,
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://test",
            headers={"authorization": f"Bearer {KEY}"},
            timeout=30,
        ) as client,
    ):
        up = Serving(app, client, engine)
        async with asyncio.timeout(20):
            # The engine may be held back by the test; all the rest has to be there.
            waiting_for = up.services.readiness.waiting_for
            while {state.part for state in waiting_for()} - {Part.ENGINE}:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        yield up
