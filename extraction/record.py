"""Completion text -> validated record; and a human's record -> validated record.

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

from pydantic import BaseModel, ValidationError

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.record import Record, model_of
from extraction.engine import Completion
from extraction.entity_tokens import parse_entity_tokens
from extraction.errors import InvalidRecord, UnparseableRecord
from extraction.normalize import normalize
from extraction.prompt import AnswerFormat, Asked

_OPEN, _CLOSE = "<think>", "</think>"
_DEEPEST = 12


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
        content = _repaired(text) if finish_reason == "length" else None
    if not isinstance(content, dict):
        raise UnparseableRecord(finish_reason, "no JSON object")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _repaired(text: str) -> dict[str, Any] | None:
    """What stood before the cut: whole members only, open brackets closed."""
    stack: list[str] = []
    in_string = escaped = False
    keeps: list[tuple[int, str]] = []  # end of a whole member, and what closes the rest
    for index, character in enumerate(text):
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
            continue
        if character == '"':
            in_string = True
        elif character in "{[":
            stack.append("}" if character == "{" else "]")
        elif character in "}]" and stack:
            stack.pop()
            keeps.append((index + 1, "".join(reversed(stack))))
        elif character == ",":
            keeps.append((index, "".join(reversed(stack))))
    for end, closing in reversed(keeps):
        try:
            content = json.loads(text[:end] + closing)
        except ValueError:
            continue
        return content if isinstance(content, dict) else None
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
        value = _value(kind, spec, text, day_first)
        if value is None:
            misfits.append(path)
        values[path] = to_json(value)
        _place(typed, path, value)
    record = model_of(document_type)(**cast("dict[str, Any]", _as_lists(typed)))
    return NormalisedRecord(record, values, tuple(misfits))


def _value(kind: Kind, spec: FieldSpec, text: str, day_first: bool | None) -> Any:
    if kind is Kind.CHOICE:
        folded = text.strip().casefold()
        return next((choice for choice in spec.choices if choice.casefold() == folded), None)
    return normalize(kind, text, day_first=day_first)


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


def validate_human_record(
    document_type: DocumentType, record: Mapping[str, Any]
) -> dict[str, Any]:
    """A person's (partial) record, validated and normalised.

    A value may be given as in a response ("2018-12-25", "9.00") or as printed ("25/12/2018",
    "RM 9.00"). None says that the field is absent from the document.

    Returns:
        The given fields as JSON, nested as they came.

    Raises:
        InvalidRecord: names every fault by its path.
    """
    faults: dict[str, str] = {}
    try:
        checked = _checked_object(document_type.fields, record, "", faults, 0)
    except RecursionError:
        raise InvalidRecord({"": "it is nested too deeply"}) from None
    if not record:
        faults[""] = "it is empty; send the corrected fields"
    if faults:
        raise InvalidRecord(faults)
    try:
        model_of(document_type).model_validate(
            {name: _tuples(value) for name, value in checked.items()}, strict=False
        )
    except ValidationError as error:
        places = {".".join(map(str, item["loc"])): item["type"] for item in error.errors()}
        missing = {path: why for path, why in places.items() if why == "missing"}
        if len(missing) < len(places):
            raise InvalidRecord({p: w for p, w in places.items() if p not in missing}) from None
    return checked


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(element) for element in value)
    if isinstance(value, dict):
        return {name: _tuples(element) for name, element in value.items()}
    return value


def _checked_object(
    specs: Sequence[FieldSpec],
    content: Mapping[str, Any],
    prefix: str,
    faults: dict[str, str],
    depth: int,
) -> dict[str, Any]:
    known = {spec.name: spec for spec in specs}
    checked: dict[str, Any] = {}
    for name, value in content.items():
        path = f"{prefix}{name}"
        if name not in known:
            faults[path[:200]] = f"there is no such field; known are {', '.join(known)}"
        elif depth > _DEEPEST:
            faults[path] = "it is nested too deeply"
        else:
            checked[name] = _checked(known[name], value, path, faults, depth + 1)
    return checked


def _checked(spec: FieldSpec, value: Any, path: str, faults: dict[str, str], depth: int) -> Any:
    if value is None:
        return [] if spec.kind is Kind.LIST else None
    if spec.kind is Kind.OBJECT:
        if isinstance(value, dict):
            return _checked_object(spec.children, value, f"{path}.", faults, depth)
        faults[path] = "an object is expected"
        return None
    if spec.kind is not Kind.LIST:
        return _checked_leaf(spec, spec.kind, value, path, faults)
    if not isinstance(value, list):
        faults[path] = "a list is expected; send the whole list, not one element"
        return None
    if len(value) > spec.max_items:
        faults[path] = f"at most {spec.max_items} elements are accepted"
        return None
    checked = []
    for index, element in enumerate(value):
        at = f"{path}.{index}"
        if not spec.children:
            checked.append(_checked_leaf(spec, spec.element, element, at, faults))
        elif isinstance(element, dict):
            checked.append(_checked_object(spec.children, element, f"{at}.", faults, depth))
        else:
            faults[at] = "an object is expected"
    return checked


_EXPECTED = {
    Kind.MONEY: "a decimal string such as 12.50",
    Kind.NUMBER: "a decimal string such as 2.5",
    Kind.INTEGER: "a whole number",
    Kind.RATE: "a share from 0 to 1, or a percentage such as 6%",
    Kind.DATE: "a date such as 2018-12-25",
    Kind.TIME: "a time such as 20:13:39",
    Kind.COUNTRY: "a country, best as three letters such as MYS",
    Kind.CURRENCY: "a currency code such as MYR",
    Kind.BOOLEAN: "true or false",
}


def _checked_leaf(
    spec: FieldSpec, kind: Kind, value: Any, path: str, faults: dict[str, str]
) -> Any:
    if kind is Kind.BOOLEAN and isinstance(value, bool):
        return value
    if isinstance(value, bool | dict | list):
        faults[path] = f"{_EXPECTED.get(kind, 'text')} is expected"
        return None
    text = format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)
    if "\x00" in text:
        faults[path] = "it holds a NUL character"
        return None
    if not text.strip():
        faults[path] = "it is empty; send null for a field that is absent"
        return None
    if len(text) > spec.max_length:
        faults[path] = f"at most {spec.max_length} characters are accepted"
        return None
    known = _value(kind, spec, text, None)
    if known is None:
        expected = (
            f"one of {', '.join(spec.choices)}"
            if kind is Kind.CHOICE
            else _EXPECTED.get(kind, "text")
        )
        faults[path] = f"{expected} is expected"
    return to_json(known)
