"""What a human has confirmed of a prediction, and the question that asks for just that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from db import page_lines
from db.queries.learning import Learnable
from db.tables import Page, Verdict
from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.entity_tokens import can_write
from extraction.lines import Line
from extraction.prompt import AnswerFormat


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The part of a prediction that a human answers for.

    Attributes:
        document_type: with the confirmed fields alone, those of objects and elements included.
        reference: their values as JSON, nested; None (or an empty list) is confirmed to be absent.
        answer_format: how the caller asked for it, where the fields can be written so.
    """

    document_type: DocumentType
    reference: Mapping[str, Any]
    answer_format: AnswerFormat

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the confirmed top-level fields."""
        return self.document_type.field_names


def confirmed_of(learnable: Learnable, document_type: DocumentType) -> Confirmed | None:
    """What is confirmed; None where it is nothing that a model is asked for.

    "correct" confirms every field that was asked, absent ones as absent. "corrected" confirms what
    the correction names: of an object the named children, of a list all of it, and of its elements
    those children that some element names. With `confirms_rest` it confirms all that was asked, the
    other fields as they were predicted.

    Args:
        learnable: a prediction with its correction in force.
        document_type: the prediction's, whole.
    """
    prediction, correction = learnable.prediction, learnable.correction
    wanted = AnswerFormat(prediction.options.get("format", AnswerFormat.JSON))
    named = correction.record or {}
    if correction.verdict is Verdict.CORRECT or (named and correction.confirms_rest):
        asked = document_type.select(tuple(prediction.asked_fields or ()))
        # Entity tokens cannot hold all fields: nobody has said that the others are absent.
        holds_all = wanted is not AnswerFormat.ENTITY_TOKENS
        specs = tuple(
            spec
            for spec in _asked(asked.fields)
            if holds_all or can_write(spec) or spec.name in named
        )
        record = merged(prediction.record or {}, named)
    elif correction.verdict is Verdict.CORRECTED and named:
        record = named
        known = tuple(spec for spec in document_type.fields if spec.name in record)
        specs = tuple(_narrowed(spec, [record[spec.name]]) for spec in _asked(known))
    else:
        return None
    if not specs:
        return None
    reference = {spec.name: record.get(spec.name) for spec in specs}
    flat = all(map(can_write, specs))
    answer_format = wanted if flat else AnswerFormat.JSON
    return Confirmed(replace(document_type, fields=specs), reference, answer_format)


def merged(record: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """A record with a human's fields over it: objects field by field, lists whole."""
    whole = dict(record)
    for name, value in said.items():
        below = whole.get(name)
        if isinstance(value, Mapping):
            value = merged(below if isinstance(below, Mapping) else {}, value)  # noqa: PLW2901
        whole[name] = value
    return whole


def lines_of(pages: Sequence[Page]) -> tuple[Line, ...]:
    """The lines as they were read when the prediction was made; none where no page was read."""
    return page_lines.lines_of(pages) or ()


def _asked(specs: Sequence[FieldSpec]) -> tuple[FieldSpec, ...]:
    return tuple(spec for spec in specs if spec.asked)


def _narrowed(spec: FieldSpec, values: Sequence[Any]) -> FieldSpec:
    """The specification with those children that one of the values names; all where none is."""
    if not spec.children:
        return spec
    if spec.kind is Kind.LIST:
        values = [element for value in values for element in value or ()]
    mappings = [value for value in values if isinstance(value, Mapping)]
    named = {name for value in mappings for name in value}
    if not named:
        return spec
    children = tuple(
        _narrowed(child, [value[child.name] for value in mappings if child.name in value])
        for child in spec.children
        if child.name in named
    )
    return replace(spec, children=children)
