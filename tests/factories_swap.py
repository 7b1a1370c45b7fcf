"""The app on a real `SwappingEngine` over a fake server, with versions in folders."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from api.engine.swapping import SwappingEngine
from api.readiness import Part
from db.queries.models import NewModel, register_model
from db.tables import ModelState
from extraction.engine import Prompt
from extraction.model_folder import open_model_folder
from tests import waiting
from tests.factories_api import RECEIPT, Serving, form, make_extractor, serving
from tests.factories_models import write_version
from tests.fakes import FakeEngine, FakeServer, passes

until = partial(waiting.until, seconds=15)

FIRST = "fake-1"  # the version of `factories_api.TRAITS`


def named(version: str, prompt: Prompt) -> str:
    """A receipt whose merchant is the version that read it."""
    asked = prompt.messages[-1].text.rpartition("receipt: ")[2]
    answer = {**RECEIPT, "receipt_number": version}
    return json.dumps({name: value for name, value in answer.items() if name in asked})


@dataclass(frozen=True)
class Swapping:
    """An app whose engine swaps, and where its versions are."""

    up: Serving
    engine: SwappingEngine
    server: FakeServer
    folder: Path

    async def register(self, version: str, **facts: Any) -> Path:
        """A new version in a folder, known to the database as a candidate."""
        made = write_version(self.folder / "data" / "versions" / version, version, **facts)
        async with self.up.sessions.begin() as session:
            new = NewModel(version, version, "tiny", str(made), {}, ModelState.CANDIDATE, FIRST)
            await register_model(session, new)
        return made

    async def promote(self, version: str, **body: Any) -> dict[str, Any]:
        answer = await self.up.client.post(f"/models/{version}/promote", json=body)
        assert answer.status_code == 200, answer.text
        return cast("dict[str, Any]", answer.json())

    async def serves(self, version: str) -> None:
        """Returns when the version is served, and all that belongs to it is done."""
        # Marked last.
        model = self.up.services.readiness.state
        await until(lambda: model(Part.MODEL).reason == version)
        assert self.engine.state().model == version
        assert self.metric("docloop_champion_served") == 1

    async def answered_by(self) -> str:
        """The version that answers a new document, as its row and its text both say."""
        found = await self.up.extract(**form(document_type="receipt"))
        assert found["record"]["receipt_number"] == found["model_version"]
        return str(found["model_version"])

    def metric(self, name: str, **labels: str) -> float | None:
        return self.up.services.metrics.registry.get_sample_value(name, labels)


@asynccontextmanager
async def swapping(
    database_url: str, folder: Path, first: str = FIRST, **settings: Any
) -> AsyncIterator[Swapping]:
    """The app, begun with the configured model, or with `first` of the data folder."""
    configured = folder / "model"
    if not configured.exists():
        write_version(configured, FIRST)
    begun = configured if first == FIRST else folder / "data" / "versions" / first
    model = open_model_folder(begun)
    server = FakeServer(model, named)
    engine = SwappingEngine(model, server, smoke=passes, drain_timeout_seconds=5.0)
    as_fake = cast("FakeEngine", engine)
    async with serving(
        database_url,
        folder / "data",
        engine=as_fake,
        extractor=make_extractor(as_fake),
        model_dir=configured,
        **{"champion_retry_seconds": 0.2, **settings},
    ) as up:
        yield Swapping(up, engine, server, folder)
