"""A service with receipts in it, for tests that look at pages: papers, and a scripted model."""

import asyncio
import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from api.app import create_app
from api.settings import Settings
from db.queries.corrections import get_correction
from db.queries.keys import create_key, ensure_tenant
from db.queries.models import NewModel, promote, register_model
from db.queries.predictions import get_prediction
from db.queries.quarantine import hold
from db.queries.runs import finish_run, start_run, store_decision
from db.queries.shadow import NewShadowAnswer, add_shadow_answer
from db.sessions import make_engine, make_sessions
from db.tables import ModelState, PromotionReason, RunState, Scope
from extraction.engine import Completion, Prompt, Sampling, Token
from extraction.lines import Box, Line
from extraction.pages import Page
from tests.factories_api import KEY, TRAITS, make_extractor
from tests.factories_models import write_version
from tests.fakes import FakeEngine
from tests.probes import serving_in_thread
from trainer.synth.document import SyntheticDocument
from trainer.synth.receipts import make_receipt

SECOND_KEY = "dl_the-second-key-of-the-tests"
CLERK_KEY = "dl_the-clerks-key-of-the-tests"
REGION = "RM 12.34"
_LOW, _HIGH = -1.6, -0.004


@dataclass(frozen=True)
class Paper:
    """A generated receipt: its bytes, its truth, and what the scripted model makes of it."""

    content: bytes = field(repr=False)
    document: SyntheticDocument
    answer: Mapping[str, Any]
    doubtful: tuple[str, ...]


def make_papers(count: int, seed: int = 7) -> list[Paper]:
    """Receipts that have items and a total; in every second one the model misreads the total."""
    rng, papers = random.Random(seed), list[Paper]()
    while len(papers) < count:
        document = make_receipt(rng)
        record = document.record
        if not {"total", "merchant_name", "transaction_date"} <= record.keys():
            continue
        if not record["total"] or not 2 <= len(record.get("items", ())) <= 7:
            continue
        if document.image.height > 2.6 * document.image.width:
            continue
        answer, doubtful = dict(record), tuple[str, ...]()
        if len(papers) % 2 == 0:
            answer["total"] = record["items"][0].get("total_price") or "1.00"
            doubtful = (json.dumps(answer["total"]),)
        buffer = BytesIO()
        document.image.save(buffer, "PNG")
        papers.append(Paper(buffer.getvalue(), document, answer, doubtful))
    return papers


class PaperLines:
    """Reads the true lines of generated papers, and always the same in a region of one."""

    def __init__(self, papers: list[Paper]) -> None:
        self._papers = papers

    def read(self, page: Page) -> list[Line]:
        mark = _mark(page.image)
        known = next(
            (p.document.lines for p in self._papers if _mark(p.document.image) == mark), None
        )
        if known is None:
            return [Line(REGION, Box(0.1, 0.1, 0.9, 0.9), 0.99, page.index)]
        return [Line(line.text, line.box, 0.99, page.index, line.quarter_turns) for line in known]


class PaperEngine(FakeEngine):
    """Answers as the papers say; less sure of what it misreads."""

    def __init__(self, papers: list[Paper]) -> None:
        super().__init__(model=TRAITS.version)
        self.papers = papers

    async def generate(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """See `Engine`."""
        shown = prompt.messages[-1].text
        asked = shown.rpartition("receipt: ")[2]
        paper = max(
            self.papers, key=lambda paper: sum(line.text in shown for line in paper.document.lines)
        )
        names = {name: value for name, value in paper.answer.items() if name in asked}
        text = json.dumps(names, ensure_ascii=False)
        tokens = list[Token]()
        low = [
            (start, start + len(value))
            for value in paper.doubtful
            if (start := text.rfind(value)) >= 0
        ]
        for at, character in enumerate(text):
            unsure = any(start <= at < end for start, end in low)
            tokens.append(Token(character, _LOW if unsure else _HIGH))
        return Completion(text, tuple(tokens), "stop", self.model, 7, len(tokens), 0.01)


@dataclass(frozen=True)
class Desk:
    """A running service with documents in it."""

    url: str
    app: FastAPI
    database_url: str
    folder: Path
    papers: list[Paper]
    predictions: list[str] = field(default_factory=list)

    def client(self, key: str = KEY) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers={"authorization": f"Bearer {key}"}, timeout=60
        )

    def upload(self, paper: Paper) -> str:
        with self.client() as client:
            answer = client.post(
                "/extract",
                files={"file": ("receipt.png", paper.content, "image/png")},
                data={"document_type": "receipt"},
            )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def feedback(self, prediction_id: str, key: str = KEY, **said: Any) -> str:
        with self.client(key) as client:
            body = {"prediction_id": prediction_id, "verdict": "correct", **said}
            answer = client.post("/feedback", json=body)
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    def said_of(self, prediction_id: str) -> list[dict[str, Any]]:
        """What people said of a prediction, as it is stored."""
        with self.client() as client:
            found = client.get(f"/feedback/{prediction_id}").json()["corrections"]
        return cast("list[dict[str, Any]]", found)

    def run(self, work: Any) -> Any:
        """A coroutine function of a session, committed, on a loop of its own."""

        async def carry() -> Any:
            engine = make_engine(self.database_url)
            try:
                async with make_sessions(engine).begin() as session:
                    return await work(session)
            finally:
                await engine.dispose()

        # On a thread: playwright's own loop runs on this one.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(carry())).result()


@contextmanager
def desk(database_url: str, folder: Path, papers: list[Paper]) -> Iterator[Desk]:
    """The service on loopback with all papers read, and two keys beside the first."""
    engine = PaperEngine(papers)
    lines = cast("Any", PaperLines(papers))
    write_version(folder / "model", TRAITS.version)
    settings = Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        data_dir=folder,
        model_dir=folder / "model",
        api_key=SecretStr(KEY),
        rate_limit_per_minute=0,
        shutdown_seconds=0.2,
    )
    app = create_app(
        settings, engine=engine, extractor=make_extractor(engine, lines), traits=TRAITS
    )
    with serving_in_thread(app) as url:
        made = Desk(url, app, database_url, folder, papers)
        made.predictions.extend(made.upload(paper) for paper in papers)

        async def keys(session: AsyncSession) -> None:
            owner = await ensure_tenant(session, "default")
            for secret, name, scopes in (
                (SECOND_KEY, "second", tuple(Scope)),
                (CLERK_KEY, "clerk", (Scope.EXTRACT, Scope.FEEDBACK)),
            ):
                await create_key(session, owner.id, scopes, name=name, secret=secret)

        made.run(keys)
        yield made


def fill(made: Desk) -> None:
    """What the other pages show: a held correction, versions, decisions, a run, a shadow."""
    correction = made.feedback(
        made.predictions[-1],
        key=SECOND_KEY,
        verdict="corrected",
        record={"total": "999.00"},
        reviewer="Ben",
    )

    async def rows(session: AsyncSession) -> None:
        owner = await ensure_tenant(session, "default")
        held = await get_correction(session, owner.id, UUID(correction))
        reasons = [
            {"rule": "contradicts-page", "detail": "total: the value is nowhere on the page"},
            {"rule": "contradicts-checks", "detail": "total_identity passed before, and fails now"},
        ]
        await hold(session, held, reasons)
        for index, prediction in enumerate(made.predictions[:3]):
            paper = made.papers[index]
            served = await get_prediction(session, owner.id, UUID(prediction))
            record = {**(served.record or {}), "total": str(paper.document.record["total"])}
            answer = NewShadowAnswer(
                UUID(prediction), "docloop-3b9e0f11", record, schema_valid=True
            )
            await add_shadow_answer(session, owner.id, answer)
        await _versions(session, made)

    made.run(rows)


async def _versions(session: AsyncSession, made: Desk) -> None:
    parent, generation = TRAITS.version, 1
    for number, (version, passed, before, after) in enumerate(
        (
            ("docloop-1f0c77aa", True, 0.71, 0.78),
            ("docloop-2a41be90", False, 0.78, 0.775),
            ("docloop-3b9e0f11", True, 0.78, 0.83),
        )
    ):
        run = await start_run(session, {"name": "small"}, champion_id=parent)
        path = write_version(made.folder / "versions" / version, version)
        facts = {"training_run_id": run.id, "parent_id": parent}
        state = ModelState.ACCEPTED if passed else ModelState.REJECTED
        new = NewModel(version, "docloop", "tiny", str(path), {"rank": 16}, state, **facts)
        await register_model(session, new)
        await finish_run(session, run.id, RunState.DONE, candidate_id=version)
        gain = f"The mean score changes by {100 * (after - before):+.1f} points"
        reasons = [f"{gain}, at least {100 * (after - before) - 2:+.1f} with 90 % certainty."]
        checks = [
            {"name": "gain", "passed": passed, "reason": reasons[0]},
            {"name": "schema", "passed": True, "reason": "99 % of the answers fit their type."},
        ]
        await store_decision(
            session,
            run_id=run.id,
            champion_id=parent,
            candidate_id=version,
            passed=passed,
            reasons=reasons,
            inputs={
                "checks": checks,
                "champion": _scores(before),
                "candidate": _scores(after),
                "types": {"receipt": {"champion": before, "candidate": after}},
                "fields": {
                    "receipt.total": {"champion": before - 0.1, "candidate": after},
                    "receipt.merchant_name": {"champion": before, "candidate": after - 0.02},
                },
            },
        )
        if passed and number == 0:
            await promote(
                session, version, generation, reason=PromotionReason.GATE, actor="trainer"
            )
            await promote(
                session,
                parent,
                generation + 1,
                reason=PromotionReason.ROLLBACK,
                actor="key:dl_the-f",
            )
        report = made.folder / "training" / str(run.id) / "report.html"
        report.parent.mkdir(parents=True)
        report.write_text("<!doctype html><title>Report</title><h1>A run</h1>")


def _scores(mean: float) -> dict[str, Any]:
    return {"documents": [{"document": str(n), "score": mean + n / 100} for n in (-1, 0, 1)]}


def _mark(image: Any) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()
