"""Traces go from the request to the engine, with counts and names, and without any text."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from api.app import create_app
from api.engine.client import ChatClient, EngineLost
from api.settings import Settings
from api.telemetry import Telemetry
from extraction.engine import Completion, Message, Prompt, Sampling
from tests.factories_api import KEY, RECEIPT, TRAITS, document, form, make_extractor
from tests.fakes import FakeEngine

ANSWER = json.dumps(RECEIPT)
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class OverHttp(FakeEngine):
    """An engine that asks as the real ones do, by `ChatClient`; what it asks answers at once."""

    def __init__(self) -> None:
        super().__init__(model="served-1")
        self.headers: list[httpx.Headers] = []
        transport = httpx.MockTransport(self._answer)
        self.client = ChatClient("http://gpu-1:8000", transport=transport)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.headers.append(request.headers)
        tokens = [{"token": ANSWER, "logprob": -0.1, "bytes": list(ANSWER.encode())}]
        choice = {
            "message": {"content": ANSWER},
            "finish_reason": "stop",
            "logprobs": {"content": tokens},
        }
        usage = {"prompt_tokens": 321, "completion_tokens": 12}
        return httpx.Response(200, json={"model": self.model, "choices": [choice], "usage": usage})

    async def generate(self, prompt: Prompt, sampling: Sampling) -> Completion:
        return await self.client.complete(prompt, sampling, model=self.model)


async def spans_of(
    database_url: str, folder: Path, engine: OverHttp, query: str = "", **headers: str
) -> dict[str, ReadableSpan]:
    exporter = InMemorySpanExporter()
    telemetry = Telemetry(None, version="test", exporter=exporter)
    settings = Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        data_dir=folder,
        api_key=SecretStr(KEY),
        shutdown_seconds=0.2,
    )
    app = create_app(
        settings,
        engine=engine,
        extractor=make_extractor(engine),
        traits=TRAITS,
        telemetry=telemetry,
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://test",
            headers={"authorization": f"Bearer {KEY}", **headers},
        ) as client,
    ):
        async with asyncio.timeout(20):
            while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        sent = form(document("traced"), document_type="receipt")
        response = await client.post(f"/extract{query}", **sent)
        assert response.is_success, response.text
        async with asyncio.timeout(20):
            while not engine.headers:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await client.get("/predictions/00000000-0000-7000-8000-000000000000")
    return {span.name: span for span in exporter.get_finished_spans()}


async def test_a_request_is_traced_to_the_engine(database_url: str, tmp_path: Path) -> None:
    engine = OverHttp()
    spans = await spans_of(database_url, tmp_path, engine, traceparent=f"00-{TRACE}-{PARENT}-01")
    request, chat = spans["POST /extract"], spans["chat served-1"]
    assert request.context is not None
    assert chat.context is not None
    assert f"{request.context.trace_id:032x}" == TRACE
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == PARENT
    assert chat.parent is not None
    assert chat.parent.span_id == request.context.span_id
    # vLLM's own spans hang below ours.
    sent = engine.headers[0]["traceparent"]
    assert sent == f"00-{TRACE}-{chat.context.span_id:016x}-01"
    assert dict(chat.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "served-1",
        "gen_ai.response.model": "served-1",
        "gen_ai.request.max_tokens": (chat.attributes or {})["gen_ai.request.max_tokens"],
        "gen_ai.request.temperature": 0.0,
        "gen_ai.request.seed": 0,
        "gen_ai.output.type": "json",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 321,
        "gen_ai.usage.output_tokens": 12,
        "docloop.prompt_hash": (chat.attributes or {})["docloop.prompt_hash"],
        "server.address": "gpu-1",
        "server.port": 8000,
    }
    assert (request.attributes or {})["http.response.status_code"] == 200
    missing = spans["GET /predictions/{prediction_id}"]
    assert (missing.attributes or {})["http.response.status_code"] == 404
    # Neither probes nor scrapes, nor any text of a document.
    assert not [name for name in spans if "readyz" in name]
    told = "".join(span.to_json() for span in spans.values())
    assert not [text for text in ("CORNER", "Milk", "25/12", KEY) if text in told]


async def test_queued_work_is_traced_too(database_url: str, tmp_path: Path) -> None:
    spans = await spans_of(database_url, tmp_path, OverHttp(), "?wait=false")
    assert (spans["POST /extract"].attributes or {})["http.response.status_code"] == 202
    assert "chat served-1" in spans


async def test_a_failure_is_named_by_its_kind_alone() -> None:
    exporter = InMemorySpanExporter()
    telemetry = Telemetry(None, version="test", exporter=exporter)

    def broken(_request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("a text that quotes the prompt")

    client = ChatClient("http://gpu-1:8000", transport=httpx.MockTransport(broken))
    with telemetry.request("POST", []), pytest.raises(EngineLost):
        await client.complete(
            Prompt((Message("user", "SECRET"),), "hash"), Sampling(9), model="served-1"
        )
    telemetry.close()
    told = {span.name: span for span in exporter.get_finished_spans()}
    assert (told["chat served-1"].attributes or {})["error.type"] == "engine-unavailable"
    assert "quotes" not in "".join(span.to_json() for span in told.values())


def test_it_is_off_by_default_and_then_not_even_imported() -> None:
    assert Settings(_env_file=None).otlp_endpoint is None
    code = (
        "import sys; from api.app import create_app; from api.telemetry import Telemetry; "
        "t = Telemetry(None, version='1'); assert not t.is_on; "
        "assert not [m for m in sys.modules if m.startswith('opentelemetry')], 'imported'"
    )
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
