"""What Prometheus is told. Every label is bounded, so that no caller can make series for ever."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from api.watch_metrics import WatchMetrics
from extraction.document_types.base import DocumentType, leaves
from extraction.engine import Engine, EngineState, EngineStatus
from extraction.extract import UNKNOWN_TYPE, Extraction

CUSTOM = "custom"
OTHER = "other"
STAGES = ("decode", "lines", "prompt", "queue", "engine", "checks", "commit")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_STATES = frozenset({"queued", "running", "done", "failed"})
_MOST_MODELS = 100
_MOST_CHECKS = 64
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_PAUSES = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)
_CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_ENGINE_TIMEOUT_SECONDS = 2.0
_ENGINE_FAMILY = re.compile(r"(?:# (?:HELP|TYPE) )?vllm:")


class Metrics:
    """The numbers of one app, in a registry of its own.

    Args:
        built_in: the types whose names and fields are labels; all others are "custom".
        registry: to register in; a new one where None.
    """

    def __init__(
        self, built_in: Mapping[str, DocumentType], registry: CollectorRegistry | None = None
    ) -> None:
        self.registry = registry or CollectorRegistry()
        self._types = frozenset({*built_in, UNKNOWN_TYPE})
        self._fields = {
            name: frozenset(path for path, _ in leaves(kind.fields))
            for name, kind in built_in.items()
        }
        self.watching = WatchMetrics(self.registry, self.type_label)
        self._models: set[str] = set()
        self._checks: set[str] = set()
        registry = self.registry
        self._requests = Counter(
            "docloop_requests", "HTTP requests.", ("method", "route", "status"), registry=registry
        )
        self._request_seconds = Histogram(
            "docloop_request_seconds",
            "Time from the request's head to the end of the response.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._stage_seconds = Histogram(
            "docloop_stage_seconds",
            "Time of one stage of an extraction.",
            ("stage",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._tokens = Counter(
            "docloop_tokens", "Tokens of prompts and completions.", ("kind",), registry=registry
        )
        self._answers = Counter(
            "docloop_answers",
            "Answers of the model, and whether they fitted the type's schema.",
            ("document_type", "schema_valid"),
            registry=registry,
        )
        self._verdicts = Counter(
            "docloop_checks",
            "Verdicts of checks on records.",
            ("document_type", "check", "verdict"),
            registry=registry,
        )
        self._confidence = Histogram(
            "docloop_field_confidence",
            "Confidence of the fields that were read.",
            ("document_type",),
            buckets=_CONFIDENCES,
            registry=registry,
        )
        self._predictions = Counter(
            "docloop_predictions",
            "Predictions that came to this state.",
            ("document_type", "state"),
            registry=registry,
        )
        self._corrections = Counter(
            "docloop_corrections",
            "Fields that a human corrected.",
            ("document_type", "field", "model_version"),
            registry=registry,
        )
        self._waiting = Gauge(
            "docloop_queue_depth", "Requests that wait for the engine.", registry=registry
        )
        self._running = Gauge("docloop_in_flight", "Extractions under way.", registry=registry)
        self._unfinished = Gauge(
            "docloop_predictions_unfinished",
            "Stored predictions by state.",
            ("state",),
            registry=registry,
        )
        self._swaps = Counter(
            "docloop_swaps",
            "Changes of the served version by the way taken, and how they ended.",
            ("way", "result"),
            registry=registry,
        )
        self._swap_pause = Histogram(
            "docloop_swap_pause_seconds",
            "How long new requests waited while a version was changed.",
            ("way",),
            buckets=_PAUSES,
            registry=registry,
        )
        self._generation = Gauge(
            "docloop_champion_generation",
            "Generation of the champion pointer that this process has followed.",
            registry=registry,
        )
        self._followed = Gauge(
            "docloop_champion_served",
            "1 where the served version is the champion, 0 where it was refused or still loads.",
            registry=registry,
        )
        self._canary = Counter(
            "docloop_canary_answers",
            "Predictions of the canary's share, by who answered: canary, or champion in its place.",
            ("answered_by",),
            registry=registry,
        )
        self._shadow = Counter(
            "docloop_shadow_answers",
            "Documents for the shadow version: stored, failed, or dropped under load.",
            ("result",),
            registry=registry,
        )

    def watch(
        self, *, engine: Engine, waiting: Callable[[], int], running: Callable[[], int]
    ) -> None:
        """Read these at each scrape."""
        self._waiting.set_function(waiting)
        self._running.set_function(running)
        self.registry.register(_EngineCollector(engine.state))

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One HTTP request; `route` is a template."""
        self._requests.labels(self.method(method), route, str(status)).inc()
        self._request_seconds.labels(self.method(method), route).observe(seconds)

    def observe_stage(self, stage: str, seconds: float) -> None:
        """How long a stage took; one of `STAGES`."""
        self._stage_seconds.labels(stage if stage in STAGES else OTHER).observe(seconds)

    def observe_extraction(self, extraction: Extraction) -> None:
        """Everything that an extraction tells."""
        kind = self.type_label(extraction.document_type)
        for stage, seconds in extraction.timings_seconds.items():
            self.observe_stage(stage, seconds)
        self._tokens.labels("prompt").inc(extraction.prompt_tokens)
        self._tokens.labels("completion").inc(extraction.completion_tokens)
        self._answers.labels(kind, str(extraction.schema_valid).lower()).inc()
        for check in extraction.checks:
            name = CUSTOM if kind == CUSTOM else _bounded(check.name, self._checks, _MOST_CHECKS)
            self._verdicts.labels(kind, name, str(check.verdict)).inc()
        for field in extraction.fields.values():
            self._confidence.labels(kind).observe(field.confidence)

    def count_prediction(self, document_type: str, state: str) -> None:
        """A prediction came to a state."""
        known = str(state) if str(state) in _STATES else OTHER
        self._predictions.labels(self.type_label(document_type), known).inc()

    def count_correction(
        self, document_type: str, field_path: str, model_version: str | None
    ) -> None:
        """A human corrected one field, as "items.0.total_price"."""
        self._corrections.labels(
            self.type_label(document_type),
            self.field_label(document_type, field_path),
            _bounded(model_version or UNKNOWN_TYPE, self._models, _MOST_MODELS),
        ).inc()

    def count_swap(self, way: str, result: str, pause_seconds: float | None = None) -> None:
        """The served version was changed ("done"), or was not ("refused", "failed").

        Args:
            way: how, as "reload"; "none" where it did not come so far.
            result: how it ended.
            pause_seconds: how long requests waited, where it is known.
        """
        self._swaps.labels(way, result).inc()
        if pause_seconds is not None:
            self._swap_pause.labels(way).observe(pause_seconds)

    def set_champion(self, generation: int, *, served: bool) -> None:
        """The pointer's generation as it was last read, and whether its version is served."""
        self._generation.set(generation)
        self._followed.set(served)

    def count_canary(self, answered_by: str) -> None:
        """A prediction of the canary's share was answered, by "canary" or by "champion"."""
        self._canary.labels(answered_by).inc()

    def count_shadow(self, result: str) -> None:
        """A document for the shadow version was "stored", "failed" or "dropped"."""
        self._shadow.labels(result).inc()

    def set_unfinished(self, counts: Mapping[Any, int]) -> None:
        """How many stored predictions are queued and running."""
        for state in ("queued", "running"):
            self._unfinished.labels(state).set(counts.get(state, 0))

    def type_label(self, document_type: str) -> str:
        """The type's name where it is built in."""
        return document_type if document_type in self._types else CUSTOM

    def field_label(self, document_type: str, field_path: str) -> str:
        """The field's path with `*` for each index, where its type is built in."""
        path = ".".join("*" if part.isdigit() else part for part in field_path.split("."))
        known = self._fields.get(document_type, frozenset())
        # A list of plain values is one leaf, "mrz.lines"; a corrected element of it counts as that.
        return next((p for p in (path, path.removesuffix(".*")) if p in known), CUSTOM)

    @staticmethod
    def method(method: str) -> str:
        """The method where it is a usual one."""
        return method if method in _METHODS else "OTHER"

    async def render(self, engine: Engine | None = None) -> str:
        """Prometheus text: ours, then the engine's own `vllm:` families where it answers."""
        theirs = ""
        if engine is not None:
            try:
                async with asyncio.timeout(_ENGINE_TIMEOUT_SECONDS):
                    theirs = await engine.metrics_text()
            except Exception:  # noqa: BLE001 - a scrape without the engine's part is still worth it
                theirs = ""
        lines = [line for line in theirs.splitlines() if _ENGINE_FAMILY.match(line)]
        return generate_latest(self.registry).decode() + "".join(f"{line}\n" for line in lines)


class _EngineCollector(Collector):
    """The engine's state at the time of the scrape."""

    def __init__(self, state: Callable[[], EngineState]) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        """Restarts, readiness and the served version."""
        state = self._state()
        restarts = CounterMetricFamily(
            "docloop_engine_restarts", "How often the engine came back after it had died."
        )
        restarts.add_metric((), state.restarts)
        yield restarts
        status = GaugeMetricFamily(
            "docloop_engine_status", "1 for the state that the engine is in.", labels=("status",)
        )
        for known in EngineStatus:
            status.add_metric((known.value,), float(state.status is known))
        yield status
        model = GaugeMetricFamily(
            "docloop_model", "1 for the version that is served.", labels=("model_version",)
        )
        model.add_metric((state.model or UNKNOWN_TYPE,), 1.0)
        yield model


def _bounded(label: str, seen: set[str], most: int) -> str:
    """The label, or "other" once there are as many as may be."""
    if label not in seen:
        if len(seen) >= most:
            return OTHER
        seen.add(label)
    return label
