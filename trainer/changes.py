"""What a correction changes, leaf by leaf, and what its document says to that."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from db.queries.learning import Learnable
from db.tables import Verdict
from extraction.document_types.base import DocumentType, FieldSpec, Kind
from trainer.confirmed import lines_of, merged
from trainer.page_spans import typed
from trainer.page_support import JUDGED, Found, PageText

Reviewer = tuple[UUID, UUID | None, str | None]
"""Tenant, API key and name of who corrects."""


@dataclass(frozen=True, slots=True)
class Change:
    """One leaf whose value a human changed.

    Attributes:
        path: of the leaf, as "items.0.total_price".
        spec: of the leaf, or of the list whose element it is.
        kind: of the leaf.
        before: what was predicted, as JSON; None where nothing was.
        after: what the human says; None where it is absent.
    """

    path: str
    spec: FieldSpec
    kind: Kind
    before: Any
    after: Any

    @property
    def field(self) -> str:
        """The top-level field."""
        return self.path.partition(".")[0]


class Case:
    """A correction to be screened, beside its document.

    Args:
        learnable: a prediction and a human's word on it.
        document_type: the prediction's, whole.
    """

    def __init__(self, learnable: Learnable, document_type: DocumentType) -> None:
        self.learnable = learnable
        self.document_type = document_type

    @property
    def reviewer(self) -> Reviewer:
        """Who says so."""
        correction = self.learnable.correction
        return correction.tenant_id, correction.api_key_id, correction.reviewer

    @property
    def said(self) -> Mapping[str, Any]:
        """What the human answers for: the corrected fields, or all that was asked."""
        correction, prediction = self.learnable.correction, self.learnable.prediction
        named = correction.record or {}
        if correction.verdict is Verdict.CORRECTED and not correction.confirms_rest:
            return named
        asked = self.document_type.select(tuple(prediction.asked_fields or ()))
        record = merged(prediction.record or {}, named)
        return {spec.name: record.get(spec.name) for spec in asked.fields}

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """The prediction's record with the human's fields over it."""
        return merged(self.learnable.prediction.record or {}, self.said)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """The changed leaves; none of a confirmation."""
        correction = self.learnable.correction
        if correction.verdict is not Verdict.CORRECTED:
            return ()
        before = self.learnable.prediction.record or {}
        return tuple(_changes(self.document_type.fields, before, correction.record or {}, ""))

    @cached_property
    def page(self) -> PageText:
        """What was read on the document."""
        return PageText(lines_of(self.learnable.pages))

    @cached_property
    def support(self) -> Mapping[str, tuple[Found | None, Found]]:
        """How the page bears out what was there before and what the human says, by path.

        Only changes to a value of a judged kind; None for before where nothing was predicted.
        """
        found = {}
        for change in self.changes:
            if change.kind in JUDGED and change.after is not None:
                after = self.page.find(change.spec, change.kind, change.after)
                before = None
                if change.before is not None:
                    before = self.page.find(change.spec, change.kind, change.before)
                found[change.path] = (before, after)
        return found


def _changes(
    specs: tuple[FieldSpec, ...], before: Any, said: Mapping[str, Any], prefix: str
) -> Iterator[Change]:
    known = before if isinstance(before, Mapping) else {}
    for spec in specs:
        if spec.name not in said:
            continue
        path, after, old = f"{prefix}{spec.name}", said[spec.name], known.get(spec.name)
        if spec.kind is Kind.LIST:
            yield from _list_changes(spec, old, after, path)
        elif spec.children:
            if isinstance(after, Mapping):
                yield from _changes(spec.children, old, after, f"{path}.")
        elif not _same(spec.kind, old, after):
            yield Change(path, spec, spec.kind, old, after)


def _list_changes(spec: FieldSpec, before: Any, after: Any, path: str) -> Iterator[Change]:
    """Element beside element; an element that is new has nothing before it."""
    old = list(before or ())
    for index, element in enumerate(after or ()):
        there = old[index] if index < len(old) else None
        if spec.children:
            yield from _changes(spec.children, there, element, f"{path}.{index}.")
        elif not _same(spec.element, there, element):
            yield Change(f"{path}.{index}", spec, spec.element, there, element)


def _same(kind: Kind, before: Any, after: Any) -> bool:
    if before is None or after is None:
        return before is None and after is None
    if kind in {Kind.TEXT, Kind.CODE}:
        return bool(" ".join(str(before).split()) == " ".join(str(after).split()))
    return bool(typed(kind, before) == typed(kind, after))
