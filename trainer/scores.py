"""The scores of a version's answers to a set of documents: per document, per field, per type.

Made by `trainer/evaluate.py` from `extraction.scoring`, read by soup, gate and report. Frozen, and
JSON both ways, so that a stored decision can be made again from what it was made of.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class DocumentScore:
    """How well one document was read as one type.

    Attributes:
        document: its id.
        document_type: label of the type, see `trainer.evaluate.type_label`.
        score: of the record, 0 to 1 (`extraction.scoring.score_confirmed`); None where nothing is
            confirmed.
        fields: each confirmed top-level field -> its score alone; one that is confirmed to be
            absent scores 1 where nothing was invented.
        schema_valid: whether the answer was a record of its type.
        duration_seconds: of the whole extraction; None where there was no answer.
        failed: there is no record at all; every field scores 0.
        unserved: it failed, and not by what the model wrote: the version did not come up, or it was
            not asked or refused the document.
    """

    document: str
    document_type: str
    score: float | None
    fields: Mapping[str, float]
    schema_valid: bool
    duration_seconds: float | None = None
    failed: bool = False
    unserved: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What is the same in the answers of two versions."""
        return self.document, self.document_type


@dataclass(frozen=True, slots=True)
class Scores:
    """All answers of a version to one set.

    Attributes:
        version: that answered.
        set_name: "selection", "holdout" or a golden set's.
        documents: one entry for each document and type, ordered by both.
    """

    version: str
    set_name: str
    documents: tuple[DocumentScore, ...]

    @property
    def mean(self) -> float | None:
        """Mean over the documents; None where none has a score."""
        return _mean(list(self.by_document().values()))

    @property
    def schema_valid_ratio(self) -> float | None:
        """Share of the answers that were records of their type; no answer is none."""
        return _mean([float(document.schema_valid) for document in self.documents])

    @property
    def mean_duration_seconds(self) -> float | None:
        """Mean time of an answer, over those that came."""
        return _mean(
            [
                document.duration_seconds
                for document in self.documents
                if document.duration_seconds is not None
            ]
        )

    @property
    def error_count(self) -> int:
        """Documents without a record."""
        return sum(document.failed for document in self.documents)

    @property
    def unserved_count(self) -> int:
        """Documents without a record for which the model's own words are not to blame."""
        return sum(document.unserved for document in self.documents)

    def by_document(self) -> dict[str, float]:
        """Document -> its score; the mean where it was asked as several types."""
        found = self._gathered(lambda entry: {} if entry.score is None else {"": entry.score})
        return found.get("", {})

    def by_type(self) -> dict[str, dict[str, float]]:
        """Label of a type -> document -> score."""
        return self._gathered(
            lambda entry: {} if entry.score is None else {entry.document_type: entry.score}
        )

    def by_field(self) -> dict[str, dict[str, float]]:
        """Type and field, as "receipt.total" -> document -> score."""
        return self._gathered(
            lambda entry: {
                f"{entry.document_type}.{name}": score for name, score in entry.fields.items()
            }
        )

    def field_means(self) -> dict[str, float]:
        """Type and field -> mean score, by name."""
        return _means(self.by_field())

    def type_means(self) -> dict[str, float]:
        """Label of a type -> mean score, by name."""
        return _means(self.by_type())

    def as_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return {
            "version": self.version,
            "set_name": self.set_name,
            "documents": [
                asdict(entry) | {"fields": dict(entry.fields)} for entry in self.documents
            ],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Scores":
        """The scores of `as_json`."""
        documents = tuple(DocumentScore(**entry) for entry in content["documents"])
        return cls(content["version"], content["set_name"], documents)

    def _gathered(
        self, values_of: Callable[[DocumentScore], Mapping[str, float]]
    ) -> dict[str, dict[str, float]]:
        lists: dict[str, dict[str, list[float]]] = {}
        for entry in self.documents:
            for name, value in values_of(entry).items():
                lists.setdefault(name, {}).setdefault(entry.document, []).append(value)
        return {
            name: {document: sum(values) / len(values) for document, values in found.items()}
            for name, found in lists.items()
        }


def _means(by_name: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(found.values()) / len(found) for name, found in sorted(by_name.items())}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
