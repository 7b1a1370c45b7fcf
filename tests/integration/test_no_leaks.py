"""Planted numbers and keys: in no log line, no metric, no problem of somebody else, no plain file.

The whole service runs as `docloop serve` runs it: structlog to a file, uvicorn and every other
library through it, an embedded PostgreSQL of its own whose log is read too.
"""

import asyncio
import base64
import io
import json
import logging
import warnings
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from api.app import create_app
from api.logs import configure_logs
from api.settings import Settings
from db.tables import Scope
from extraction.engine import EngineStatus
from tests.factories_api import KEY, TRAITS, GivenLines, Serving, document, form, make_extractor
from tests.fakes import FakeEngine
from tests.probes import listening

PASSPORT = "X200858064"
NAME = "PLANTEDSSON"
ZONE = (
    "P<UTOPLANTEDSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<",
    "X2008580640UTO7408122F1204159ZE184226B<<<<<1",
)
OTHER_KEY = "dl_another-planted-key-0123456789"
BLOB_KEY = base64.b64encode(b"planted-encryption-key-of-32-byt").decode()
ANSWER = json.dumps({"document_number": PASSPORT, "surname": NAME})
PLANTED = (PASSPORT, PASSPORT[1:], NAME, KEY, KEY[6:30], OTHER_KEY, OTHER_KEY[6:26], BLOB_KEY)


@dataclass(frozen=True)
class Watched:
    """A service, what it says, and where it keeps things."""

    up: Serving
    url: str
    folder: Path
    said: io.StringIO

    def logs(self) -> dict[str, str]:
        """Everything that was written about what happened, by where."""
        files = [*self.folder.glob("log/*"), *self.folder.glob("postgres/postgres.log*")]
        found = {path.name: path.read_text(errors="replace") for path in files}
        assert {"docloop.jsonl", "postgres.log"} <= found.keys()
        return {**found, "stdout": self.said.getvalue()}

    def assert_silent(self) -> None:
        for name, content in self.logs().items():
            for planted in PLANTED:
                line = next((line for line in content.splitlines() if planted in line), None)
                assert line is None, (name, planted, line)


@pytest.fixture
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    root.handlers = []
    yield
    for handler in root.handlers:
        handler.close()
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.raiseExceptions = True
    root.handlers, root.level = before


def add_crash(app: FastAPI) -> None:
    """What nobody expects, with planted values in messages, causes, groups and local variables."""

    @app.get("/test/crash")
    async def crash(number: str) -> None:
        local = {"passport": PASSPORT, "key": KEY}
        try:
            int(f"{number} {local}")
        except ValueError as error:
            failures = [RuntimeError(PASSPORT), OSError(2, PASSPORT, f"{NAME}.png")]
            raise ExceptionGroup(f"about {PASSPORT} {KEY}", failures) from error

    @app.get("/test/background")
    async def background() -> None:
        async def lost() -> None:
            raise LookupError(f"{PASSPORT} {KEY}")

        task = asyncio.create_task(lost(), name=f"task {PASSPORT}")
        await asyncio.wait({task})
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"lost {PASSPORT}", "exception": task.exception(), "task": task}
        )

    @app.get("/test/libraries")
    async def libraries() -> None:
        for name in ("sqlalchemy.engine.Engine", "sqlalchemy.pool", "httpx", "PIL", "psycopg"):
            logging.getLogger(name).info("%s", PASSPORT)
            logging.getLogger(name).debug("%s", KEY)
        logging.getLogger("asyncio").error("caught\n%s", PASSPORT)
        logging.getLogger("sqlalchemy.pool").error("caught\n%s", NAME, exc_info=ValueError(KEY))
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(f"sent with Bearer {KEY}", UserWarning, stacklevel=1)

    @app.get("/test/database")
    async def database() -> None:
        services = app.state.services
        async with services.sessions.begin() as session:
            await session.execute(text("SELECT CAST(:number AS integer)"), {"number": PASSPORT})

    @app.get("/test/row")
    async def row() -> None:
        services = app.state.services
        async with services.sessions.begin() as session:
            query = text("INSERT INTO predictions (id, document_type) VALUES (NULL, :number)")
            await session.execute(query, {"number": PASSPORT})

    @app.get("/test/query")
    async def query() -> None:
        services = app.state.services
        async with services.sessions.begin() as session:
            await session.execute(text(f"SELECT '{PASSPORT}' FROM \"{NAME}\""))  # noqa: S608


@pytest.fixture
async def watched(tmp_path: Path, root_logger: None) -> AsyncIterator[Watched]:
    engine, said = FakeEngine(ANSWER), io.StringIO()
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        api_key=SecretStr(KEY),
        blob_key=SecretStr(BLOB_KEY),
        shutdown_seconds=0.2,
    )
    configure_logs(
        level="debug",
        file=tmp_path / "log" / "docloop.jsonl",
        stream=said,
        secrets=settings.secrets(),
    )
    lines = GivenLines(["PASSPORT", f"No {PASSPORT}", NAME, *ZONE])
    app = create_app(
        settings, engine=engine, extractor=make_extractor(engine, lines), traits=TRAITS
    )
    add_crash(app)
    async with app.router.lifespan_context(app), listening(app) as wire:
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(base_url=wire.url, headers=headers, timeout=60) as client:
            async with asyncio.timeout(60):
                while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            yield Watched(Serving(app, client, engine), wire.url, tmp_path, said)


def passport(**fields: str) -> dict[str, Any]:
    content = document(PASSPORT)
    files = {"file": (f"{PASSPORT}.png", content, "image/png")}
    return {"files": files, "data": {"document_type": "passport", **fields}}


async def test_planted_values_are_in_no_log_and_no_metric(watched: Watched) -> None:
    up, client = watched.up, watched.up.client
    answer = await up.extract(**passport())
    assert answer["fields"]["document_number"]["value"] == PASSPORT
    await up.until_done((await client.post("/extract?wait=false", **passport())).json()["id"])

    said = {"prediction_id": answer["id"], "verdict": "corrected", "reviewer": NAME}
    for record in (
        {"document_number": PASSPORT, "surname": NAME},
        {"document_number": [PASSPORT]},
        {PASSPORT: NAME},
        {"date_of_birth": PASSPORT},
    ):
        await client.post("/feedback", json={**said, "record": record, "comment": PASSPORT})
    for content in (f"{{{PASSPORT}", f'{{"{PASSPORT}": NaN}}', f'{{"verdict": "{PASSPORT}"}}'):
        for path in ("/extract", "/feedback"):
            await client.post(path, content=content, headers={"content-type": "application/json"})
    await client.put(f"/document-types/{NAME.lower()}", json={"type": PASSPORT})
    await client.put("/document-types/note", json={"type": "object", "properties": {PASSPORT: {}}})
    for path in (
        f"/models?number={PASSPORT}&key={KEY}",
        f"/predictions/{PASSPORT}",
        f"/predictions?document_type={PASSPORT}&state={PASSPORT}&cursor={PASSPORT}",
        f"/document-types/{PASSPORT}",
        f"/document-types/{NAME.lower()}",
        f"/problems/{PASSPORT}",
        f"/{PASSPORT}/{KEY}?api_key={KEY}",
    ):
        await client.get(path, headers={"x-request-id": PASSPORT + " " + KEY, "referer": PASSPORT})
    await client.post("/extract", **passport(document_type=PASSPORT))
    await client.post("/extract", **passport(fields=f"{PASSPORT},{NAME}"))
    await client.post("/extract", **passport(), headers={"idempotency-key": KEY})
    await client.post("/extract", **form(), headers={"idempotency-key": KEY})

    metrics = (await client.get("/metrics")).text
    for planted in PLANTED:
        assert planted not in metrics
    watched.assert_silent()
    requests = [
        json.loads(line)
        for line in watched.logs()["docloop.jsonl"].splitlines()
        if '"event": "request"' in line
    ]
    assert len(requests) > 20, "the log has not been written"


async def test_failures_say_nothing_of_what_they_failed_on(watched: Watched) -> None:
    up, client = watched.up, watched.up.client
    paths = ("crash?number=" + PASSPORT, "background", "libraries", "database", "row", "query")
    seen = [await client.get(f"/test/{path}") for path in paths]
    assert [response.status_code for response in seen] == [500, 200, 200, 422, 500, 500]

    def fail(_prompt: object) -> str:
        raise ConnectionError(f"{PASSPORT} {KEY}", {"surname": NAME})

    for answer in (fail, f"no json {PASSPORT} {NAME}", '{"document_number": "' + PASSPORT):
        up.engine.answer = answer
        seen.append(await client.post("/extract", **passport()))
        started = await client.post("/extract?wait=false", **passport())
        done = await up.until_done(started.json()["id"])
        assert PASSPORT not in json.dumps(done["error"])
    up.engine.become(EngineStatus.FAILED, f"killed while at {PASSPORT}")
    unready = await client.get("/readyz")
    assert unready.status_code == 503
    for response in seen:
        for planted in PLANTED:
            assert planted not in response.text, response.text
    lines = [json.loads(line) for line in watched.logs()["docloop.jsonl"].splitlines()]
    crashed = [line for line in lines if line.get("status") == 500]
    assert any("test_no_leaks.py" in json.dumps(line["exception"]) for line in crashed)
    watched.assert_silent()


async def test_keys_that_are_refused_are_not_repeated(watched: Watched) -> None:
    client = watched.up.client
    for headers in (
        {"authorization": f"Bearer {OTHER_KEY}"},
        {"authorization": f"Basic {OTHER_KEY}"},
        {"authorization": OTHER_KEY},
        {"authorization": "", "x-api-key": OTHER_KEY, "cookie": f"key={OTHER_KEY}"},
        {"authorization": f"Bearer {OTHER_KEY * 30}"},
        {"authorization": f"Bearer {OTHER_KEY}", "x-request-id": OTHER_KEY},
        {"authorization": f"Bearer {OTHER_KEY}", "traceparent": OTHER_KEY},
    ):
        response = await client.get(f"/models?api_key={OTHER_KEY}", headers=headers)
        assert response.status_code == 401
        assert OTHER_KEY not in response.text + str(response.headers)
    in_body = await client.post("/feedback", json={"api_key": OTHER_KEY, "record": {"a": KEY}})
    assert OTHER_KEY not in in_body.text
    in_form = await client.post("/extract", **passport(api_key=OTHER_KEY))
    assert OTHER_KEY not in in_form.text
    watched.assert_silent()


async def test_another_tenant_sees_nothing_of_it(watched: Watched) -> None:
    up = watched.up
    answer = await up.extract(**passport())
    await up.client.post(
        "/feedback",
        json={
            "prediction_id": answer["id"],
            "verdict": "corrected",
            "record": {"surname": NAME},
        },
    )
    stranger = up.as_key(await up.make_key("stranger", *Scope))
    for path in (
        "/predictions",
        f"/predictions/{answer['id']}",
        "/feedback",
        f"/feedback/{answer['id']}",
        "/document-types",
        "/models",
        "/readyz",
        "/metrics",
    ):
        seen = (await stranger.get(path)).text
        for planted in PLANTED:
            assert planted not in seen, path


async def test_stored_files_hold_no_plain_bytes(watched: Watched) -> None:
    up = watched.up
    content = document(PASSPORT)
    answer = await up.extract(**passport())
    page = (await up.client.get(answer["pages"][0]["url"])).content
    assert page[:3] == b"\xff\xd8\xff"
    files = [path for path in (watched.folder / "blobs").rglob("*") if path.is_file()]
    assert len(files) == 2
    for path in files:
        stored = path.read_bytes()
        for plain in (content, page):
            assert not any(plain[at : at + 16] in stored for at in range(0, len(plain) - 16, 16))
        for mark in (b"\x89PNG", b"JFIF", b"IHDR", PASSPORT.encode()):
            assert mark not in stored
        assert PASSPORT not in path.name
        assert path.stat().st_mode & 0o077 == 0, oct(path.stat().st_mode)
    assert (watched.folder / "blobs").stat().st_mode & 0o077 == 0
