"""The edge on a real database: start, keys, limits, problems, metrics, and what the log says."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.app import create_app
from api.dependencies import DbSession, Services
from api.known_keys import REMEMBERED_SECONDS
from api.logs import configure_logs
from api.settings import Settings
from db.embedded import EmbeddedPostgres
from db.queries.keys import create_key, ensure_tenant, revoke_key
from db.tables import Scope
from extraction.classify import TypeClassifier
from extraction.confidence import Calibration
from extraction.engine import EngineStatus
from extraction.extract import Extractor, Readers
from extraction.traits import ModelTraits
from tests.fakes import FakeEngine

KEY = "dl_planted-key-planted-key-0123456789"
PASSPORT = "200858064"
HEADERS = {"authorization": f"Bearer {KEY}"}
TRAITS = ModelTraits(version="fake-1", base="nothing")


def make_settings(database_url: str, folder: Path, **changes: Any) -> Settings:
    values = {"database_url": database_url, "data_dir": folder, "api_key": KEY} | changes
    return Settings(_env_file=None, **values)


def make_app(settings: Settings, engine: FakeEngine | None = None, **changes: Any) -> FastAPI:
    engine = engine or FakeEngine()
    # No OCR: nothing here has to read a page.
    readers = Readers(None, TypeClassifier.load(), Calibration(), TRAITS)
    app = create_app(
        settings,
        engine=engine,
        extractor=Extractor(engine, readers),
        traits=TRAITS,
        **changes,
    )

    @app.post("/test/rows")
    async def add_row(session: DbSession, name: str, *, fail: bool = False) -> str:
        await ensure_tenant(session, name)
        if fail:
            raise ValueError(PASSPORT)
        return name

    @app.get("/test/count")
    async def count(session: DbSession, name: str) -> int:
        query = text("SELECT count(*) FROM tenants WHERE name = :name")
        return int((await session.execute(query, {"name": name})).scalar_one())

    return app


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[AsyncClient]:
    async with app.router.lifespan_context(app):
        transport = ASGITransport(app, raise_app_exceptions=False)
        async with AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


async def until_ready(client: AsyncClient) -> None:
    for _ in range(400):
        if (await client.get("/readyz")).status_code == 200:
            return
        await asyncio.sleep(0.02)
    raise AssertionError((await client.get("/readyz")).text)


@pytest.fixture
async def client(database_url: str, tmp_path: Path) -> AsyncIterator[AsyncClient]:
    async with running(make_app(make_settings(database_url, tmp_path))) as found:
        await until_ready(found)
        yield found


async def test_the_api_answers_while_the_engine_starts(database_url: str, tmp_path: Path) -> None:
    engine = FakeEngine(starts=False)
    async with running(make_app(make_settings(database_url, tmp_path), engine)) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        for _ in range(200):
            answer = await client.get("/readyz")
            assert answer.status_code == 503
            if [part["part"] for part in answer.json()["waiting_for"]] == ["engine"]:
                break
            await asyncio.sleep(0.02)
        waiting = answer.json()["waiting_for"]
        assert waiting == [{"part": "engine", "progress": "starting", "reason": "loading"}]
        assert answer.headers["retry-after"] == "1"
        engine.become(EngineStatus.READY)
        ready = await client.get("/readyz")
        assert ready.json() == {
            "ready": True,
            "waiting_for": [],
            "model_version": "fake-1",
            "problem": None,
        }
        engine.become(EngineStatus.FAILED, "it was killed (SIGKILL)")
        assert (await client.get("/readyz")).json()["waiting_for"][0] == {
            "part": "engine",
            "progress": "failed",
            "reason": "it was killed (SIGKILL)",
        }


async def test_an_empty_database_is_migrated_and_gets_a_first_key(
    empty_url: str, tmp_path: Path
) -> None:
    keys: list[str] = []
    settings = make_settings(empty_url, tmp_path, api_key=None)
    async with running(make_app(settings, on_first_key=keys.append)) as client:
        await until_ready(client)
        headers = {"authorization": f"Bearer {keys[0]}"}
        answer = (await client.get("/models", headers=headers)).json()
        assert answer["champion"] == "fake-1"
        assert answer["models"][0]["served"] is True
        assert answer["models"][0]["champion"] is True
    async with running(make_app(settings, on_first_key=keys.append)) as client:
        await until_ready(client)
        assert (await client.get("/models", headers=headers)).json()["generation"] == 1
    assert len(keys) == 1


async def test_a_request_before_the_database_is_a_503(tmp_path: Path) -> None:
    settings = make_settings("postgresql://nobody@127.0.0.1:1/none", tmp_path)
    async with running(make_app(settings)) as client:
        answer = await client.get("/models", headers=HEADERS)
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/database-unavailable"
        assert int(answer.headers["retry-after"]) >= 1
        parts = [part["part"] for part in (await client.get("/readyz")).json()["waiting_for"]]
        assert parts[0] == "database"


async def test_a_database_that_goes_away_and_comes_back(
    database_url: str, tmp_path: Path, postgres: EmbeddedPostgres
) -> None:
    import psycopg

    name = database_url.split("/")[3].split("?", maxsplit=1)[0]

    def allow(*, connections: bool) -> None:
        with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
            connection.execute(
                f"ALTER DATABASE {name} ALLOW_CONNECTIONS {str(connections).lower()}"  # type: ignore[arg-type]
            )
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )

    async with running(make_app(make_settings(database_url, tmp_path))) as client:
        await until_ready(client)
        await asyncio.to_thread(allow, connections=False)
        answer = await client.get("/models", headers=HEADERS)
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/database-unavailable"
        assert (await client.get("/readyz")).json()["waiting_for"][0]["part"] == "database"
        assert (await client.get("/healthz")).status_code == 200
        await asyncio.to_thread(allow, connections=True)
        await until_ready(client)
        assert (await client.get("/models", headers=HEADERS)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": f"Basic {KEY}"},
        {"authorization": "Bearer dl_unknown-unknown-unknown"},
        {"authorization": "Bearer " + "x" * 5000},
    ],
)
async def test_no_valid_key_is_a_401(client: AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.get("/models", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["type"] == "/problems/unauthenticated"
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_scopes_limits_and_revocation(
    client: AsyncClient, sessions: async_sessionmaker[AsyncSession]
) -> None:
    async with sessions() as session, session.begin():
        tenant = await ensure_tenant(session, "other")
        key = await create_key(session, tenant.id, [Scope.EXTRACT], requests_per_minute=3)
    headers = {"authorization": f"Bearer {key.secret}"}
    body = {"prediction_id": "0" * 32, "verdict": "correct"}
    forbidden = await client.post("/feedback", headers=headers, json=body)
    assert forbidden.status_code == 403
    assert forbidden.json()["needed_scope"] == "feedback"
    assert (await client.get("/models", headers=headers)).status_code == 200
    assert (await client.get("/models", headers=headers)).status_code == 200
    limited = await client.get("/models", headers=headers)
    assert limited.status_code == 429
    assert limited.json()["requests_per_minute"] == 3
    assert 1 <= int(limited.headers["retry-after"]) <= 20
    # Another key of the same service goes on.
    assert (await client.get("/models", headers=HEADERS)).status_code == 200
    async with sessions() as session, session.begin():
        await revoke_key(session, tenant.id, key.row.id)
    await asyncio.sleep(REMEMBERED_SECONDS)
    assert (await client.get("/models", headers=headers)).status_code == 401


async def test_a_large_body_is_a_413_with_and_without_its_length(
    database_url: str, tmp_path: Path
) -> None:
    settings = make_settings(database_url, tmp_path, max_body_bytes=2000, max_upload_bytes=2000)

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 1000

    async with running(make_app(settings)) as client:
        await until_ready(client)
        for path in ("/feedback", "/extract"):
            for content in (b"x" * 300_000, stream()):
                answer = await client.post(
                    path, content=content, headers=HEADERS | {"content-type": "application/json"}
                )
                assert answer.status_code == 413, path
                assert answer.json()["type"] == "/problems/request-too-large"


async def test_the_commit_comes_before_the_response_and_an_error_rolls_back(
    client: AsyncClient,
) -> None:
    async def count(name: str) -> int:
        return int((await client.get("/test/count", params={"name": name})).json())

    assert (await client.post("/test/rows?name=kept")).status_code == 200
    assert await count("kept") == 1
    assert (await client.post("/test/rows?name=lost&fail=true")).status_code == 500
    assert await count("lost") == 0


async def test_request_ids_go_round(client: AsyncClient) -> None:
    given = await client.get("/models", headers={"x-request-id": "trace-42"})
    assert given.headers["x-request-id"] == given.json()["request_id"] == "trace-42"
    for bad in ("two words", KEY, "x" * 100):
        made = await client.get("/models", headers={"x-request-id": bad})
        assert made.headers["x-request-id"] == made.json()["request_id"] != bad
        assert len(made.headers["x-request-id"]) == 36


async def test_security_headers(client: AsyncClient) -> None:
    answer = await client.get("/models")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    docs = (await client.get("/docs")).headers["content-security-policy"]
    assert "default-src 'none'" in docs
    assert "unsafe" not in docs


async def test_problem_types_are_explained(client: AsyncClient) -> None:
    problem = (await client.get("/nowhere")).json()
    assert problem["type"] == "/problems/no-such-route"
    assert (await client.get(problem["type"])).json()["status"] == 404
    page = await client.get(problem["type"], headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert (await client.get("/problems/none")).status_code == 404


async def test_openapi_documents_problems(client: AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert "HTTPValidationError" not in json.dumps(document)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            responses = operation["responses"]
            if operation.get("security"):
                assert {"401", "403", "429"} <= responses.keys(), path
            for status in set(responses) & {"400", "422", "500"}:
                assert "application/problem+json" in responses[status]["content"], path


async def test_metrics_count_by_template(client: AsyncClient) -> None:
    await client.get("/problems/internal-error")
    await client.get(f"/{PASSPORT}")
    content = (await client.get("/metrics")).text
    assert 'route="/problems/{slug}",status="200"' in content
    assert 'route="unmatched",status="404"' in content
    assert "docloop_predictions_unfinished" in content
    assert PASSPORT not in content


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    root.handlers = []
    stream = io.StringIO()
    configure_logs(level="debug", stream=stream)
    yield stream
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.raiseExceptions = True
    root.handlers, root.level = before


async def test_planted_values_and_keys_are_in_no_line(
    database_url: str, tmp_path: Path, log: io.StringIO
) -> None:
    app = make_app(make_settings(database_url, tmp_path))
    planted = {"x-request-id": "r-1", **HEADERS}
    async with running(app) as client:
        await until_ready(client)
        await client.get(f"/models?number={PASSPORT}&key={KEY}", headers=planted)
        await client.get(f"/document-types/{PASSPORT}", headers=planted)
        await client.get(f"/predictions/{PASSPORT}", headers=planted)
        await client.get(f"/{PASSPORT}/{KEY}", headers={"cookie": KEY})
        await client.post("/feedback", headers=planted, json={"record": {"number": PASSPORT}})
        await client.post("/feedback", headers=planted, content=f"{{{PASSPORT}")
        await client.post(
            "/extract", headers=planted, files={"file": (f"{PASSPORT}.png", PASSPORT.encode())}
        )
        await client.post(f"/test/rows?name={PASSPORT}&fail=true", headers=planted)
        await client.get("/models", headers={"authorization": f"Bearer {KEY}x"})
    said = log.getvalue()
    assert PASSPORT not in said
    assert KEY not in said
    assert "planted-key" not in said
    lines = [json.loads(line) for line in said.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    mine = [line for line in requests if line.get("request_id") == "r-1"]
    assert {"/models", "/document-types/{name}"} <= {line["route"] for line in mine}
    first = next(line for line in mine if line["route"] == "/models")
    services = cast("Services", app.state.services)
    assert services.settings.api_key is not None
    assert first["status"] == 200
    assert first["duration_seconds"] > 0
    assert {"tenant_id", "key_id", "method"} <= first.keys()
    failed = next(line for line in lines if line.get("exception") and line.get("status") == 500)
    assert failed["exception"][0]["type"] == "builtins.ValueError"
    assert any("test_api_edge.py" in frame for frame in failed["exception"][0]["frames"])
