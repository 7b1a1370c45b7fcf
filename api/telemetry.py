"""OpenTelemetry traces from a request to the engine; off unless `DOCLOOP_OTLP_ENDPOINT` is set.

    POST /extract            server span: method, route, status, request id
    └── chat MODEL           client span: the GenAI attributes of a completion

The engine is sent the context (`traceparent`), so that vLLM's own spans hang below. Spans hold
names, counts and times: no prompt, no answer, no field, and no text of an error. What the tracer of
a request is travels in a context variable with it, into the tasks that it starts; where there is
none, a span costs one look-up and OpenTelemetry is not imported.

Attributes: OpenTelemetry semantic conventions, HTTP server spans and GenAI client spans.
"""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from extraction.engine import Completion, Prompt, Sampling
from extraction.errors import DocloopError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

PROVIDER = "vllm"

_SERVER_ERROR = 500
_TRACER: ContextVar["Tracer | None"] = ContextVar("docloop_tracer", default=None)


class Telemetry:
    """The tracer of one app.

    Args:
        endpoint: of an OTLP collector over HTTP, as "http://collector:4318"; None: off.
        version: of docloop.
        sample_ratio: share of the requests that are traced, unless the caller's trace decides.
        exporter: in place of the one for `endpoint`.
    """

    def __init__(
        self,
        endpoint: str | None,
        *,
        version: str,
        sample_ratio: float = 1.0,
        exporter: "SpanExporter | None" = None,
    ) -> None:
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None
        if endpoint is not None or exporter is not None:
            self._provider = _provider(endpoint, version, sample_ratio, exporter)
            self._tracer = self._provider.get_tracer("docloop", version)

    @property
    def is_on(self) -> bool:
        """Whether anything is traced."""
        return self._tracer is not None

    @contextmanager
    def request(self, method: str, headers: list[tuple[bytes, bytes]]) -> Iterator["RequestSpan"]:
        """The span of one HTTP request, below the caller's where it sent one."""
        if self._tracer is None:
            yield RequestSpan(None)
            return
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        parent = TraceContextTextMapPropagator().extract(carrier)
        token = _TRACER.set(self._tracer)
        try:
            with self._tracer.start_as_current_span(
                method,
                parent,
                kind=SpanKind.SERVER,
                attributes={"http.request.method": method},
                record_exception=False,
            ) as span:
                yield RequestSpan(span)
        finally:
            _TRACER.reset(token)

    def follow_tasks(self) -> None:
        """From here on, tasks that this one starts are traced: for work that no request awaits."""
        if self._tracer is not None:
            _TRACER.set(self._tracer)

    def close(self) -> None:
        """Send what waits, and end. Blocks for a few seconds where the collector is away."""
        if self._provider is not None:
            self._provider.shutdown()


class RequestSpan:
    """The span of a request; does nothing where nothing is traced."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def close(self, *, method: str, route: str, status: int, request_id: str) -> None:
        """What is known when the response has left."""
        if self._span is None:
            return
        from opentelemetry.trace import Status, StatusCode

        self._span.update_name(f"{method} {route}")
        self._span.set_attributes(
            {
                "http.route": route,
                "http.response.status_code": status,
                "docloop.request_id": request_id,
            }
        )
        if status >= _SERVER_ERROR:
            self._span.set_status(Status(StatusCode.ERROR))


@contextmanager
def completion_span(
    prompt: Prompt,
    sampling: Sampling,
    *,
    model: str,
    server: str,
    headers: MutableMapping[str, str],
) -> Iterator[list[Completion]]:
    """The span of one completion.

    Args:
        prompt: what is asked; only its hash is told.
        sampling: how.
        model: the asked name.
        server: host and port.
        headers: of the request to the engine; `traceparent` is put into them.

    Yields:
        A list to put the completion into.
    """
    tracer = _TRACER.get()
    answered: list[Completion] = []
    if tracer is None:
        yield answered
        return
    from opentelemetry.trace import SpanKind, Status, StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    host, _, port = server.partition(":")
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": model,
        "gen_ai.request.max_tokens": sampling.max_tokens,
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.output.type": "text" if sampling.grammar is None else "json",
        "docloop.prompt_hash": prompt.hash,
        "server.address": host,
    }
    if port.isdigit():
        attributes["server.port"] = int(port)
    if sampling.seed is not None:
        attributes["gen_ai.request.seed"] = sampling.seed
    with tracer.start_as_current_span(
        f"chat {model}",
        kind=SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        TraceContextTextMapPropagator().inject(headers)
        try:
            yield answered
        except BaseException as error:
            kind = error.slug if isinstance(error, DocloopError) else type(error).__name__
            span.set_attribute("error.type", kind)
            span.set_status(Status(StatusCode.ERROR))
            raise
        for completion in answered:
            span.set_attributes(_told(completion))


def _told(completion: Completion) -> dict[str, Any]:
    told: dict[str, Any] = {
        "gen_ai.response.model": completion.model,
        "gen_ai.response.finish_reasons": [completion.finish_reason],
        "gen_ai.usage.input_tokens": completion.prompt_tokens,
        "gen_ai.usage.output_tokens": completion.completion_tokens,
    }
    if completion.first_token_seconds is not None:
        told["gen_ai.response.time_to_first_chunk"] = completion.first_token_seconds
    if completion.queue_seconds is not None:
        told["docloop.engine.queue_seconds"] = completion.queue_seconds
    return told


def _provider(
    endpoint: str | None, version: str, sample_ratio: float, exporter: "SpanExporter | None"
) -> "TracerProvider":
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=f"{str(endpoint).rstrip('/')}/v1/traces")
    resource = Resource.create({"service.name": "docloop", "service.version": version})
    provider = TracerProvider(
        resource=resource,
        sampler=ParentBased(TraceIdRatioBased(sample_ratio)),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
