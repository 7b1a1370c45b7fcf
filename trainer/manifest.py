"""What a run learns from and is judged on, as ids and hashes: enough to name it, nothing to read.

It outlives the documents. From a version one gets to its run, from there to the corrections; and
from an erased document to the runs that saw it.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

from db.queries.runs import RunExampleRow
from db.tables import ExamplePart


@dataclass(frozen=True, slots=True)
class Entry:
    """One correction that a run uses.

    Attributes:
        part: train, replay or holdout.
        correction_id: the human's word.
        prediction_id: what it is about.
        document_id: the document.
        content_sha256: of the document, 32 bytes.
        document_type: name of its type.
        document_type_version: of a caller's own type.
        fields: names of the fields that are trained on, or compared.
        example_sha256: of prompt and answer, or of the reference; hexadecimal.
        subset: of the holdout: "selection" or "gate".
    """

    part: ExamplePart
    correction_id: UUID
    prediction_id: UUID
    document_id: UUID
    content_sha256: bytes
    document_type: str
    document_type_version: int | None
    fields: tuple[str, ...]
    example_sha256: str
    subset: str | None = None


@dataclass(frozen=True, slots=True)
class BaseEntry:
    """A generated example; its key makes it again."""

    key: str
    document_type: str
    fields: tuple[str, ...]
    example_sha256: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """A correction that is left out, and why: a stable slug."""

    correction_id: UUID
    document_id: UUID
    reason: str


@dataclass(frozen=True)
class Manifest:
    """The exact set of a run.

    Attributes:
        seed: of the order and of what is drawn.
        entries: corrections, in the order of their ids within a part.
        base: generated examples, in their order.
        dropped: what is left out.
    """

    seed: int
    entries: tuple[Entry, ...] = ()
    base: tuple[BaseEntry, ...] = ()
    dropped: tuple[Dropped, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """The manifest as JSON; `sha256` is the hash of all the rest."""
        return {**self._content(), "sha256": self.sha256}

    @cached_property
    def sha256(self) -> str:
        """Names the set: equal sets with the same seed have equal hashes; hexadecimal."""
        return hash_of(self._content())

    def rows(self) -> list[RunExampleRow]:
        """The rows of `run_examples`."""
        return [
            RunExampleRow(
                correction_id=entry.correction_id,
                document_id=entry.document_id,
                content_sha256=entry.content_sha256,
                part=entry.part,
                fields=entry.fields,
                prediction_id=entry.prediction_id,
            )
            for entry in self.entries
        ]

    def _content(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "entries": [_entry_json(entry) for entry in self.entries],
            "base": [
                {
                    "key": entry.key,
                    "document_type": entry.document_type,
                    "fields": list(entry.fields),
                    "example_sha256": entry.example_sha256,
                }
                for entry in self.base
            ],
            "dropped": [
                {
                    "correction_id": str(item.correction_id),
                    "document_id": str(item.document_id),
                    "reason": item.reason,
                }
                for item in self.dropped
            ],
            "counts": self._counts(),
        }

    def _counts(self) -> dict[str, Any]:
        learnt = [entry for entry in self.entries if entry.part is not ExamplePart.HOLDOUT]
        shown: Sequence[Entry | BaseEntry] = [*learnt, *self.base]
        parts = [entry.subset or str(entry.part) for entry in self.entries]
        return {
            "parts": _sorted(Counter([*parts, *("base" for _ in self.base)])),
            "types": _sorted(Counter(entry.document_type for entry in shown)),
            "fields": _sorted(
                Counter(f"{entry.document_type}.{name}" for entry in shown for name in entry.fields)
            ),
            "dropped": _sorted(Counter(item.reason for item in self.dropped)),
        }


def hash_of(content: Any) -> str:
    """SHA-256 of JSON in its canonical form: sorted keys, no spaces; hexadecimal."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _entry_json(entry: Entry) -> dict[str, Any]:
    content: dict[str, Any] = {
        "part": str(entry.part),
        "correction_id": str(entry.correction_id),
        "prediction_id": str(entry.prediction_id),
        "document_id": str(entry.document_id),
        "content_sha256": entry.content_sha256.hex(),
        "document_type": entry.document_type,
        "document_type_version": entry.document_type_version,
        "fields": list(entry.fields),
        "example_sha256": entry.example_sha256,
    }
    return content if entry.subset is None else {**content, "subset": entry.subset}


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
