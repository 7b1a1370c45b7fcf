"""Metrics that alerts stand on: what people say of answers, the queue's age, backups, the disk."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from api.presentation import human_leaves
from db.queries.watching import Standing
from db.tables import Verdict

_MOST_MODELS = 100
_OTHER = "other"
_CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)


class WatchMetrics:
    """Part of `api.metrics.Metrics`, in the same registry.

    Args:
        registry: to register in.
        type_label: a document type's label.
    """

    def __init__(self, registry: CollectorRegistry, type_label: Callable[[str], str]) -> None:
        self._type_label = type_label
        self._models: set[str] = set()
        self._reviews = Counter(
            "docloop_reviews",
            "Verdicts of people on predictions.",
            ("document_type", "model_version", "verdict"),
            registry=registry,
        )
        self._reviewed = Histogram(
            "docloop_reviewed_confidence",
            "Confidence of fields that a person looked at, by whether they were right.",
            ("document_type", "right"),
            buckets=_CONFIDENCES,
            registry=registry,
        )
        self._queue_age = Gauge(
            "docloop_queue_age_seconds",
            "Age of the oldest prediction that waits for a worker; 0 where none waits.",
            registry=registry,
        )
        self._backup = Gauge(
            "docloop_backup_last_success_timestamp_seconds",
            "When a backup last came to its end; 0: never.",
            registry=registry,
        )
        self._free = Gauge(
            "docloop_disk_free_bytes", "Free bytes where the data folder lies.", registry=registry
        )
        self._size = Gauge(
            "docloop_disk_size_bytes", "All bytes where the data folder lies.", registry=registry
        )

    def watch_disk(self, folder: Path) -> None:
        """Read the disk of this folder at each scrape."""
        self._free.set_function(lambda: float(shutil.disk_usage(_existing(folder)).free))
        self._size.set_function(lambda: float(shutil.disk_usage(_existing(folder)).total))

    def set_standing(self, standing: Standing) -> None:
        """What the database says at a scrape."""
        self._queue_age.set(standing.queue_age_seconds)
        self._backup.set(standing.last_backup_seconds)

    def observe_review(
        self,
        document_type: str,
        model_version: str | None,
        verdict: Verdict,
        fields: Mapping[str, Mapping[str, Any]],
        record: Mapping[str, Any] | None,
    ) -> None:
        """A person has spoken; what they left alone counts as right.

        Args:
            document_type: of the prediction.
            model_version: that answered.
            verdict: the person's.
            fields: the prediction's, by path.
            record: the corrected fields, nested; None where nothing was corrected.
        """
        kind = self._type_label(document_type)
        self._reviews.labels(kind, self._model(model_version), str(verdict)).inc()
        if verdict is Verdict.UNREADABLE:
            return
        for path, right in judged_fields(fields, record or {}).items():
            confidence = fields[path].get("confidence")
            if confidence is not None:
                self._reviewed.labels(kind, str(right).lower()).observe(confidence)

    def _model(self, version: str | None) -> str:
        name = version or "unknown"
        if name not in self._models and len(self._models) >= _MOST_MODELS:
            return _OTHER
        self._models.add(name)
        return name


def judged_fields(
    fields: Mapping[str, Mapping[str, Any]], record: Mapping[str, Any]
) -> dict[str, bool]:
    """Path -> whether the field was right, by a person's corrections.

    A list is sent whole, so an element that the person's list lacks was wrong; a field that the
    record does not name was left alone.
    """
    said = dict(human_leaves(record)) if record else {}
    judged = {}
    for path, field in fields.items():
        top = path.partition(".")[0]
        if path in said:
            judged[path] = said[path] == field.get("value")
        else:
            judged[path] = not (top in record and _replaces(record[top]))
    return judged


def _replaces(value: Any) -> bool:
    """Whether a corrected value stands for all that was below its name."""
    return not isinstance(value, Mapping)


def _existing(folder: Path) -> Path:
    """The folder, or the first one above it that is there."""
    folder = folder.expanduser().absolute()
    return next(step for step in (folder, *folder.parents) if step.exists())
