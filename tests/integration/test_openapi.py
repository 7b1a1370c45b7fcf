"""schemathesis on the OpenAPI document: what is promised is what is answered, and never a 5xx.

A real server on loopback, a real PostgreSQL, a fake engine. Few examples, always the same, unless
`FUZZ_EXAMPLES` says how many per operation and mode are drawn at random:

    FUZZ_EXAMPLES=1000 python -m pytest tests/integration/test_openapi.py --timeout 0
"""

import asyncio
import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from pydantic import SecretStr
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from api.app import create_app
from api.settings import Settings
from db.blobs import BlobStore
from db.embedded import EmbeddedPostgres
from db.queries.corrections import NewCorrection, add_correction
from db.queries.keys import ensure_tenant
from db.queries.quarantine import hold
from db.sessions import make_engine, make_sessions
from db.tables import Verdict
from tests.factories_api import KEY, TRAITS, document, form, make_extractor, receipt_engine
from tests.factories_models import write_version
from tests.probes import serving_in_thread

DRAWN = "FUZZ_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "15"))
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
NOTE = {"type": "object", "properties": {"number": {"type": "string"}}}
HEADERS = {"authorization": f"Bearer {KEY}"}


def make_app(database_url: str, folder: Path, blobs: BlobStore | None = None) -> FastAPI:
    engine = receipt_engine()
    values = Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        data_dir=folder,
        model_dir=folder / "model",
        api_key=SecretStr(KEY),
        rate_limit_per_minute=0,
        shutdown_seconds=0.2,
    )
    extractor = make_extractor(engine)
    return create_app(values, engine=engine, extractor=extractor, blobs=blobs, traits=TRAITS)


def documented() -> dict[str, Any]:
    """The document alone; nothing is started or stored. Every request carries a key here."""
    nowhere = cast("BlobStore", object())
    document = make_app("postgresql://nobody@127.0.0.1:1/none", Path("nowhere"), nowhere).openapi()
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    return document


OPERATIONS = {
    operation.label: operation
    for result in schemathesis.openapi.from_dict(documented()).get_all_operations()
    if isinstance(result, Ok)
    for operation in [result.ok()]
}


CASES = [
    pytest.param(label, mode, id=f"{label} {mode.value}")
    for label, operation in OPERATIONS.items()
    for mode in GenerationMode
    # Where nothing can be sent, nothing can be wrong.
    if mode is GenerationMode.POSITIVE or operation.body or any(operation.iter_parameters())
]


@dataclass(frozen=True)
class Served:
    """A service with something in it."""

    url: str
    predictions: tuple[str, ...]
    held: str


async def hold_one(database_url: str, prediction_id: str) -> str:
    """A correction that came by no key of ours waits for a second person."""
    engine = make_engine(database_url)
    async with make_sessions(engine).begin() as session:
        owner = await ensure_tenant(session, "default")
        new = NewCorrection(UUID(prediction_id), Verdict.CORRECTED, {"total": "1.00"}, "eve")
        correction = await add_correction(session, owner.id, new)
        await hold(session, correction, [{"rule": "contradicts-page", "detail": "total"}])
    await engine.dispose()
    return str(correction.id)


@pytest.fixture(scope="module")
def served(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    name = f"docloop_{uuid4().hex[:12]}"
    with psycopg.connect(postgres.url_of("postgres"), autocommit=True) as connection:
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        connection.execute(query.format(sql.Identifier(name), sql.Identifier(template)))
    folder = tmp_path_factory.mktemp("openapi")
    write_version(folder / "model", TRAITS.version)
    app = make_app(postgres.url_of(name), folder)
    with (
        serving_in_thread(app) as url,
        httpx.Client(base_url=url, headers=HEADERS, timeout=60) as client,
    ):
        found = [
            client.post("/extract", **form(document(str(n)), document_type="receipt")).json()["id"]
            for n in range(12)
        ]
        said = {"prediction_id": found[0], "verdict": "corrected", "record": {"total": "1.00"}}
        assert client.post("/feedback", json=said).status_code == 201
        assert client.put("/document-types/note", json=NOTE).status_code == 201
        held = asyncio.run(hold_one(postgres.url_of(name), found[1]))
        yield Served(url, tuple(found), held)


def lead_deeper(case: Case[Any], data: st.DataObject, served: Served) -> None:
    """Now and then what exists in place of what was made up, so that more than a 404 is seen."""
    if not data.draw(st.booleans(), label="deeper"):
        return
    *kept, doomed = served.predictions
    known = data.draw(st.sampled_from(kept), label="known")
    if case.method == "DELETE":
        known = doomed
    there: dict[str, Any] = {
        "prediction_id": known,
        "correction_id": served.held,
        "index": 0,
        "name": data.draw(st.sampled_from(["note", "receipt"]), label="name"),
        "slug": "not-found",
        "version": TRAITS.version,
    }
    for parameter in case.path_parameters or {}:
        case.path_parameters[parameter] = there[parameter]
    if case.method == "PUT" and "name" in (case.path_parameters or {}):
        case.path_parameters["name"], case.body = "note", cast("Any", NOTE)
    sent = cast("Any", case.body)
    if not isinstance(sent, dict):
        return
    existing = {
        "prediction_id": known,
        "content_base64": base64.b64encode(document()).decode(),
        "file": document(),
        "document_type": "receipt",
        "expected_generation": None,
        "version": None,
    }
    for name in existing.keys() & sent.keys():
        sent[name] = existing[name]
    if "verdict" in sent:
        # Which fields there are, and that they come with one verdict alone, no schema here says.
        sent["record"] = {"total": "1.00"} if sent["verdict"] == "corrected" else None


@pytest.mark.parametrize(("label", "mode"), CASES)
def test_what_is_documented_is_answered(served: Served, label: str, mode: GenerationMode) -> None:
    operation = OPERATIONS[label]
    statuses = set()
    checks = [*CHECKS, negative_data_rejection] if mode is GenerationMode.NEGATIVE else CHECKS

    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=not DRAWN,
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Case[Any], data: st.DataObject) -> None:
        if mode is GenerationMode.POSITIVE:
            lead_deeper(case, data, served)
        response = case.call(base_url=served.url, headers=HEADERS)
        statuses.add(response.status_code)
        case.validate_response(response, checks=checks)

    send()
    if mode is GenerationMode.POSITIVE:
        # There is one version alone, so nothing to go back to.
        hopeless = label == "POST /models/rollback" and 409 in statuses
        assert min(statuses) < 300 or hopeless, statuses
    assert httpx.get(f"{served.url}/healthz").status_code == 200
