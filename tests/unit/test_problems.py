from collections.abc import Iterator
from typing import Annotated, Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy.exc
from fastapi import Body, FastAPI, HTTPException, Query, Request
from httpx import ASGITransport, AsyncClient
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

import api.errors as edge
import db.errors as storage
import extraction.errors as domain
from api.body_limit import BodyLimit, narrow_body_limit
from api.metrics import Metrics
from api.problems import KINDS, explanations, install_handlers, problem_of
from api.trace import Trace
from extraction.document_types.catalogue import BUILT_IN
from extraction.engine import EngineRefused
from extraction.errors import DocloopError

PLANTED = "200858064"


def all_errors(parent: type[DocloopError] = DocloopError) -> Iterator[type[DocloopError]]:
    for child in parent.__subclasses__():
        if child.__module__.startswith(("api.", "db.", "extraction.")):
            yield child
            yield from all_errors(child)


def test_every_error_has_its_own_line_or_inherits_one_on_purpose() -> None:
    inherited = {error.__name__ for error in all_errors() if error not in KINDS}
    # What the operator has to repair, or a special case whose parent's status is right for it.
    allowed = {
        "BackupFailed",
        "BlobError",
        "BlobMissing",
        "BlobUnreadable",
        "BlobCorrupt",
        "EmbeddedPostgresFailed",
        "EngineLost",
        "NoModel",
    }
    assert inherited <= allowed


def test_slugs_are_unique_where_statuses_differ() -> None:
    statuses: dict[str, set[int]] = {}
    for error in KINDS:
        if issubclass(error, DocloopError):
            statuses.setdefault(error.slug, set()).add(KINDS[error].status)
    assert {slug: found for slug, found in statuses.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("error", "status", "slug", "facts"),
    [
        (domain.UnreadableDocument("it is empty"), 422, "unreadable-document", {}),
        (domain.UnsupportedFormat("GIF"), 415, "unsupported-format", {"found": "GIF"}),
        (domain.EncryptedDocument(), 422, "encrypted-document", {}),
        (domain.DocumentTooLarge("pixels", 9, 5), 413, "document-too-large", {"limit": 5}),
        (domain.InvalidType("/a", "x"), 422, "invalid-document-type", {"path": "/a"}),
        (domain.UnknownType("x", ("a",)), 404, "unknown-document-type", {"known": ["a"]}),
        (domain.UnknownField(("x",), "r", ("a",)), 422, "unknown-field", {"names": ["x"]}),
        (domain.InvalidRecord({"a": "no"}), 422, "invalid-record", {"faults": {"a": "no"}}),
        (domain.UnparseableRecord("length", "x"), 422, "unparseable-record", {}),
        (domain.PromptTooLong("x"), 422, "prompt-too-long", {}),
        (domain.EngineUnavailable("x", 7), 503, "engine-unavailable", {"retry_after_seconds": 7}),
        (EngineRefused(400, "x"), 422, "engine-refused", {"why": "x"}),
        (edge.Unauthenticated(), 401, "unauthenticated", {}),
        (edge.ForbiddenScope("admin"), 403, "forbidden", {"needed_scope": "admin"}),
        (edge.RateLimited(60, 3), 429, "rate-limited", {"requests_per_minute": 60}),
        (edge.QueueFull(3, 9), 429, "queue-full", {"waiting": 3}),
        (edge.QueueTimeout(60.0, 9), 503, "queue-timeout", {"waited_seconds": 60.0}),
        (edge.RequestTooLarge(5), 413, "request-too-large", {"limit_bytes": 5}),
        (edge.DatabaseUnavailable(), 503, "database-unavailable", {}),
        (storage.NotFound("prediction", "x"), 404, "not-found", {"what": "prediction"}),
        (storage.IdempotencyConflict(uuid4()), 409, "idempotency-conflict", {}),
        (storage.BlobStoreFull("k", 5), 507, "blob-store-full", {}),
    ],
)
def test_status_type_and_facts(
    error: DocloopError, status: int, slug: str, facts: dict[str, Any]
) -> None:
    problem = problem_of(error, asked_id="r-1")
    assert problem.status == problem.body["status"] == status
    assert problem.body["type"] == f"/problems/{slug}"
    assert problem.body["detail"] == str(error)
    assert problem.body["request_id"] == "r-1"
    assert facts.items() <= problem.body.items()
    if status in {429, 503}:
        assert int(problem.headers["retry-after"]) >= 1


def test_a_blob_key_is_the_operators_business() -> None:
    problem = problem_of(storage.BlobCorrupt("0" * 64, "x"))
    assert (problem.status, problem.body.get("key")) == (500, None)


def lost_connection() -> sqlalchemy.exc.SQLAlchemyError:
    return sqlalchemy.exc.OperationalError("SELECT 1", {}, psycopg.OperationalError(PLANTED))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (lost_connection(), 503),
        (sqlalchemy.exc.TimeoutError(PLANTED), 503),
        (sqlalchemy.exc.DataError("x", {}, psycopg.DataError(PLANTED)), 422),
        (sqlalchemy.exc.ProgrammingError("x", {}, psycopg.ProgrammingError(PLANTED)), 500),
        (ValueError(PLANTED), 500),
        (ExceptionGroup(PLANTED, [ValueError(PLANTED), edge.QueueFull(1, 1)]), 429),
        (ExceptionGroup(PLANTED, [ValueError(PLANTED)]), 500),
    ],
)
def test_what_is_not_ours_says_nothing_of_itself(error: Exception, status: int) -> None:
    problem = problem_of(error)
    assert problem.status == status
    assert PLANTED not in str(problem)


def test_every_type_is_explained() -> None:
    found = explanations()
    assert {error.slug for error in all_errors()} <= found.keys()
    assert {"internal-error", "no-such-route", "method-not-allowed"} <= found.keys()
    assert all(kind.advice and kind.title for kind in found.values())


class Wanted(BaseModel):
    number: int
    when: str


@pytest.fixture
async def client() -> Any:
    app = FastAPI()

    @app.post("/things/{thing}")
    async def post(
        thing: int, wanted: Annotated[Wanted, Body()], page: Annotated[int, Query()] = 0
    ) -> int:
        return thing + page + wanted.number

    @app.get("/types/{name}")
    async def types(name: str, other: str | None = None) -> None:
        raise domain.UnknownType(other or name)

    @app.get("/fails")
    async def fails() -> None:
        raise ValueError(PLANTED)

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418)

    @app.post("/narrow")
    async def narrow(request: Request) -> int:
        narrow_body_limit(request.scope, 30)
        narrow_body_limit(request.scope, 3000)
        return len(await request.body())

    install_handlers(app)
    app.add_middleware(BodyLimit, default=1000, by_path={"/large": 5000})
    app.add_middleware(Trace, metrics=Metrics(BUILT_IN, CollectorRegistry()))
    async with AsyncClient(
        transport=ASGITransport(app, raise_app_exceptions=False), base_url="http://test"
    ) as found:
        yield found


async def test_validation_names_every_field_and_quotes_no_value(client: AsyncClient) -> None:
    answer = await client.post(
        f"/things/{PLANTED}x?page={PLANTED}x", json={"number": f"{PLANTED}x", "when": [PLANTED]}
    )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == "/problems/invalid-request"
    assert body["faults"].keys() == {
        "path.thing",
        "query.page",
        "body.number",
        "body.when",
    }
    assert PLANTED not in answer.text
    assert body["request_id"] == answer.headers["x-request-id"]


async def test_broken_json_is_named_and_not_quoted(client: AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    answer = await client.post("/things/1", content=f'{{"a": {PLANTED}x', headers=headers)
    assert answer.status_code == 422
    assert PLANTED not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/nothing/here", 404, "no-such-route"),
        ("GET", "/things/1", 405, "method-not-allowed"),
        ("GET", "/teapot", 418, "i'm-a-teapot"),
        ("GET", "/fails", 500, "internal-error"),
        ("GET", "/types/x", 404, "unknown-document-type"),
        ("GET", "/types/x?other=y", 422, "unknown-document-type"),
    ],
)
async def test_the_frameworks_errors_are_problems_too(
    client: AsyncClient, method: str, path: str, status: int, slug: str
) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.json()["type"] == f"/problems/{slug}"
    assert answer.headers["content-type"] == "application/problem+json"
    assert PLANTED not in answer.text
    if status == 405:
        assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_large_body_is_cut(client: AsyncClient, *, streamed: bool) -> None:
    sent = 0

    async def stream() -> Any:
        nonlocal sent
        for _ in range(100):
            sent += 500
            yield b"x" * 500

    content = stream() if streamed else b"x" * 50_000
    headers = {"content-type": "application/json"}
    answer = await client.post("/things/1", content=content, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["limit_bytes"] == 1000
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


async def test_a_key_can_only_narrow_the_limit(client: AsyncClient) -> None:
    fits = await client.post("/narrow", content=b"x" * 900)
    assert (fits.status_code, fits.json()) == (200, 900)  # 30 bytes and the envelope's room
    narrow_body_limit({"state": {}}, 5)  # outside of the middleware nothing happens


async def test_a_narrowed_limit_holds(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.body_limit.ENVELOPE_BYTES", 0)
    answer = await client.post("/narrow", content=b"x" * 50)
    assert (answer.status_code, answer.json()["limit_bytes"]) == (413, 40)
