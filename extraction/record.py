"""Completion text -> validated record.

    completion -> thought apart -> JSON or entity tokens -> raw values by path -> normalised record

A model's answer is read leniently where no meaning is at stake (an absent field, a value that does
not fit its kind becomes None with a warning) and strictly where it is (a cut answer, an unknown
key). A human's record is read strictly throughout: every fault is named.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from typing import Any, cast

from pydantic import BaseModel
from pydantic_core import from_json

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.record import Record, model_of
from extraction.engine import Completion
from extraction.entity_tokens import parse_entity_tokens
from extraction.errors import UnparseableRecord
from extraction.normalize import normalize
from extraction.prompt import AnswerFormat, Asked

_OPEN, _CLOSE = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class RawLeaf:
    """One value of an answer.

    Attributes:
        path: "items.0.total_price".
        spec: the field's specification.
        raw: the text as the model wrote it, which is as it is printed.
        start: offset of the text in the completion, -1 where it was not found there.
        end: offset behind it.
    """

    path: str
    spec: FieldSpec
    raw: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """What a completion says.

    Attributes:
        leaves: the values in the order of the answer.
        thought: what stood in `<think>`, None where nothing did.
        complete: False where the answer was cut and the leaves are those before the cut.
    """

    leaves: tuple[RawLeaf, ...]
    thought: str | None
    complete: bool = True


@dataclass(frozen=True, slots=True)
class NormalisedRecord:
    """A record whose values have their kinds.

    Attributes:
        record: the Pydantic record, values as `Decimal`, `date`, ...
        values: each read leaf's value as JSON, by path; None where the text is no such value.
        misfits: paths of texts that do not fit their kind.
    """

    record: Record
    values: Mapping[str, Any]
    misfits: tuple[str, ...] = field(default=())


def parse_record(completion: Completion, asked: Asked) -> ParsedAnswer:
    """The values of a completion.

    Raises:
        UnparseableRecord: the text is no answer of the asked form, or it was cut before its first
            whole value.
    """
    text = completion.text
    thought, start = _thought(text)
    cut = completion.finish_reason == "length"
    if asked.answer_format is AnswerFormat.ENTITY_TOKENS:
        found = parse_entity_tokens(text[start:], asked.document_type, allow_cut=cut)
        leaves = tuple(
            RawLeaf(item.path, item.spec, item.text, start + item.start, start + item.end)
            for item in found
        )
    else:
        content = _json(text[start:], completion.finish_reason)
        reader = _LeafReader(text, start)
        leaves = tuple(reader.read(asked.document_type.fields, content, ""))
    if cut and not leaves:
        raise UnparseableRecord("length", "cut before the first value")
    return ParsedAnswer(leaves, thought, complete=not cut)


def _thought(text: str) -> tuple[str | None, int]:
    """The thought, and where the answer starts."""
    if not text.lstrip().startswith(_OPEN):
        return None, 0
    begin = text.index(_OPEN) + len(_OPEN)
    end = text.find(_CLOSE, begin)
    if end < 0:
        raise UnparseableRecord("length", "cut within the thought")
    return text[begin:end].strip(), end + len(_CLOSE)


def _json(text: str, finish_reason: str) -> dict[str, Any]:
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise UnparseableRecord(finish_reason, "nested too deeply") from None
    except ValueError:
        content = _whole_members(text) if finish_reason == "length" else None
    if not isinstance(content, dict):
        raise UnparseableRecord(finish_reason, "no JSON object")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _whole_members(text: str) -> Any:
    """What stood before the cut: pydantic's parser drops the unfinished end."""
    try:
        return from_json(text, allow_partial=True)
    except ValueError:
        return None


class _LeafReader:
    """Walks an answer beside its type and finds each text's place in the completion.

    Places are found left to right, because an answer is written in its own order.
    """

    def __init__(self, text: str, start: int) -> None:
        self._text, self._at = text, start

    def read(
        self, specs: Sequence[FieldSpec], content: Mapping[str, Any], prefix: str
    ) -> Iterator[RawLeaf]:
        known = {spec.name: spec for spec in specs}
        for name, value in content.items():
            spec = known.get(name)
            if spec is None:
                raise UnparseableRecord("stop", "a field that was not asked")
            yield from self._read_value(spec, value, f"{prefix}{name}")

    def _read_value(self, spec: FieldSpec, value: Any, path: str) -> Iterator[RawLeaf]:
        if value is None:
            return
        if spec.kind is Kind.LIST:
            if not isinstance(value, list):
                raise UnparseableRecord("stop", "a list was expected")
            for index, element in enumerate(value):
                if spec.children:
                    yield from self._read_object(spec, element, f"{path}.{index}")
                elif isinstance(element, str):
                    yield self._leaf(f"{path}.{index}", spec, element)
        elif spec.kind is Kind.OBJECT:
            yield from self._read_object(spec, value, path)
        elif isinstance(value, str | bool | int | float):
            yield self._leaf(path, spec, value)

    def _read_object(self, spec: FieldSpec, value: Any, path: str) -> Iterator[RawLeaf]:
        if not isinstance(value, dict):
            raise UnparseableRecord("stop", "an object was expected")
        yield from self.read(spec.children, value, f"{path}.")

    def _leaf(self, path: str, spec: FieldSpec, value: str | float) -> RawLeaf:
        raw = value if isinstance(value, str) else json.dumps(value)
        written = json.dumps(raw, ensure_ascii=False)[1:-1] if isinstance(value, str) else raw
        start = self._text.find(written, self._at)
        if start < 0:
            return RawLeaf(path, spec, raw, -1, -1)
        self._at = start + len(written)
        return RawLeaf(path, spec, raw, start, self._at)


def normalise_record(
    document_type: DocumentType, texts: Mapping[str, str], *, day_first: bool | None = None
) -> NormalisedRecord:
    """Texts by path -> a typed record.

    Args:
        document_type: the type, whole or a selection of its fields.
        texts: printed texts by leaf path.
        day_first: how an ambiguous 03/04/2018 is read; None for the usual reading.
    """
    values: dict[str, Any] = {}
    misfits: list[str] = []
    typed: dict[str, Any] = {}
    for path, text in texts.items():
        spec = document_type.field(path)
        kind = spec.element if spec.kind is Kind.LIST else spec.kind
        value = value_of(kind, spec, text, day_first)
        if value is None:
            misfits.append(path)
        values[path] = to_json(value)
        _place(typed, path, value)
    record = model_of(document_type)(**cast("dict[str, Any]", _as_lists(typed)))
    return NormalisedRecord(record, values, tuple(misfits))


def value_of(kind: Kind, spec: FieldSpec, text: str, day_first: bool | None = None) -> Any:
    """The typed value of one leaf's text, None where the text is no such value."""
    return normalize(kind, text, day_first=day_first, choices=spec.choices)


def _place(tree: dict[str, Any], path: str, value: Any) -> None:
    """Puts a value at its path; list positions are keys until `_as_lists` packs them."""
    *parents, last = path.split(".")
    for part in parents:
        tree = tree.setdefault(part, {})
    tree[last] = value


def _as_lists(tree: Any) -> Any:
    """Dictionaries whose keys are positions become tuples; a missing element leaves no gap."""
    if not isinstance(tree, dict):
        return tree
    packed = {name: _as_lists(value) for name, value in tree.items()}
    if packed and all(name.isdigit() for name in packed):
        ordered = [packed[name] for name in sorted(packed, key=int)]
        return tuple(value for value in ordered if value is not None)
    return packed


def to_json(value: Any) -> Any:
    """A typed value as it stands in a response: money and numbers as decimal strings, ISO dates."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, BaseModel):
        return {name: to_json(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, tuple | list):
        return [to_json(element) for element in value]
    return value
