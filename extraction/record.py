"""Completion text -> validated record.

    completion -> thought apart -> JSON or entity tokens -> raw values by path -> normalised record

A model's answer is read leniently where no meaning is at stake (an absent field, a value that does
not fit its kind becomes None with a warning) and strictly where it is (a cut answer, an unknown
key). A human's record is read strictly throughout: every fault is named.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from decimal import Decimal
from typing import Any, cast

from pydantic import BaseModel

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.document import is_document
from extraction.document_types.graph import is_graph
from extraction.document_types.record import Record, model_of
from extraction.engine import Completion
from extraction.entity_tokens import parse_entity_tokens
from extraction.errors import UnparseableRecord
from extraction.graph_answer import resolved
from extraction.markdown.front_matter import read_page
from extraction.normalize import normalize
from extraction.prompt import AnswerFormat, Asked

_OPEN, _CLOSE = "<think>", "</think>"
# Control characters and lone surrogates: JSON can spell them, a database cannot keep them.
_UNSTORABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_JSON_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s"{}\[\],:]+|\s+', re.DOTALL)
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class RawLeaf:
    """One value of an answer.

    Attributes:
        path: "items.0.total_price".
        spec: the field's specification.
        raw: the text as the model wrote it, which is as it is printed; dates in entity tokens are
            DD-MM-YYYY, whatever the print is (the evidence has that).
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
        dropped: parts of a graph that refer to nothing, or are not whole, and are no leaves.
    """

    leaves: tuple[RawLeaf, ...]
    thought: str | None
    complete: bool = True
    dropped: int = 0


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
    """The values of a completion. An empty text stands for an absent field.

    An empty JSON answer is `{}`, so an empty completion is none. In entity tokens it is what a page
    without any asked field gets, but also what vLLM returns for a grammar with a special token that
    the vocabulary lacks: then nothing but the end is allowed, and its log-probability is 0. So the
    empty answer counts where the model chose it.

    Raises:
        UnparseableRecord: the text is no answer of the asked form, or it was cut before its first
            whole value. It names the version that answered.
    """
    cut = completion.finish_reason != "stop"
    try:
        thought, start = _thought(completion.text)
        leaves = tuple(leaf for leaf in _leaves(completion, asked, start, cut=cut) if leaf.raw)
    except UnparseableRecord as error:
        raise _unparseable(completion, asked, error.why) from None
    if cut and not leaves:
        raise _unparseable(completion, asked, "cut before the first value")
    dropped = 0
    if is_graph(asked.document_type):
        leaves, dropped = resolved(leaves, asked.document_type)
    return ParsedAnswer(leaves, thought, complete=not cut, dropped=dropped)


def _unparseable(completion: Completion, asked: Asked, why: str) -> UnparseableRecord:
    return UnparseableRecord(
        completion.finish_reason,
        why,
        model_version=completion.model,
        document_type=asked.document_type.name,
    )


def _leaves(completion: Completion, asked: Asked, start: int, *, cut: bool) -> Iterator[RawLeaf]:
    text = completion.text
    if is_document(asked.document_type):
        for part in read_page(text[start:], cut=cut):
            path = f"pages.0.{part.name}"
            spec = asked.document_type.field(path)
            raw = _storable(part.text, spec)
            yield RawLeaf(path, spec, raw, start + part.start, start + part.end)
        return
    if asked.answer_format is AnswerFormat.JSON:
        content = _json(text[start:], cut=cut)
        yield from _LeafReader(text, start).read(asked.document_type.fields, content, "")
        return
    if not text[start:].strip() and not any(token.logprob < 0 for token in completion.tokens):
        raise UnparseableRecord(completion.finish_reason, "nothing was written")
    for item in parse_entity_tokens(text[start:], asked.document_type, allow_cut=cut):
        raw = _storable(item.text, item.spec)
        yield RawLeaf(item.path, item.spec, raw, start + item.start, start + item.end)


def _thought(text: str) -> tuple[str | None, int]:
    """The thought, and where the answer starts."""
    if not text.lstrip().startswith(_OPEN):
        return None, 0
    begin = text.index(_OPEN) + len(_OPEN)
    end = text.find(_CLOSE, begin)
    if end < 0:
        raise UnparseableRecord("length", "the thought has no end")
    return _UNSTORABLE.sub("", text[begin:end]).strip() or None, end + len(_CLOSE)


class _Number(str):
    """A JSON number as it is written: 9.10 stays 9.10, and no number is too large."""

    __slots__ = ()


def _json(text: str, *, cut: bool) -> dict[str, Any]:
    content: Any = None
    try:
        try:
            content = _loads(text)
        except ValueError:
            if cut:
                content = _loads(_before_the_cut(text))
    except RecursionError:
        raise UnparseableRecord("stop", "nested too deeply") from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UnparseableRecord("stop", "no JSON object")
    return content


def _loads(text: str) -> Any:
    return json.loads(
        text,
        parse_constant=_refuse_constant,
        parse_int=_Number,
        parse_float=_Number,
        object_pairs_hook=_without_twins,
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Which of two values is meant cannot be known."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise UnparseableRecord("stop", "a field stands twice")
    return content


def _before_the_cut(text: str) -> str:
    """JSON up to its last whole value, closed again. A number at the very end may be unfinished."""
    closers: list[str] = []
    whole, open_there = 0, ""
    previous = ""
    at = 0
    while match := _JSON_PART.match(text, at):
        part, at = match[0], match.end()
        if part.isspace():
            continue
        if whole and not closers:
            return text  # more behind the end is no cut
        is_value = previous == ":" or (closers[-1:] == ["]"] and previous in "[,")
        if part in "{[":
            closers.append("}" if part == "{" else "]")
        elif part in "}]":
            if not closers or closers.pop() != part:
                break
        elif part in ",:" or not is_value or (part[0] != '"' and at == len(text)):
            previous = part
            continue
        if len(closers) > _DEEPEST:
            raise UnparseableRecord("length", "nested too deeply")
        previous = part
        whole, open_there = at, "".join(reversed(closers))
    return text[:whole] + open_there


def _storable(text: str, spec: FieldSpec) -> str:
    """A value's text as it can be kept; "" for an absent one."""
    if len(text) > spec.max_length:
        raise UnparseableRecord("stop", "a text is longer than its field allows")
    return _UNSTORABLE.sub("", text).strip()


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
            # A short value may stand within a key, so it is looked for behind its own.
            key = f'"{name}"'
            found = self._text.find(key, self._at)
            self._at = found + len(key) if found >= 0 else self._at
            yield from self._read_value(spec, value, f"{prefix}{name}")

    def _read_value(self, spec: FieldSpec, value: Any, path: str) -> Iterator[RawLeaf]:
        if value is None:
            return
        if spec.kind is Kind.LIST:
            if not isinstance(value, list):
                raise UnparseableRecord("stop", "a list was expected")
            if len(value) > spec.max_items:
                raise UnparseableRecord("stop", "a list is longer than its field allows")
            for index, element in enumerate(value):
                if spec.children:
                    yield from self._read_object(spec, element, f"{path}.{index}")
                elif element is not None:
                    yield self._leaf(f"{path}.{index}", spec, element)
        elif spec.kind is Kind.OBJECT:
            yield from self._read_object(spec, value, path)
        else:
            yield self._leaf(path, spec, value)

    def _read_object(self, spec: FieldSpec, value: Any, path: str) -> Iterator[RawLeaf]:
        if not isinstance(value, dict):
            raise UnparseableRecord("stop", "an object was expected")
        yield from self.read(spec.children, value, f"{path}.")

    def _leaf(self, path: str, spec: FieldSpec, value: Any) -> RawLeaf:
        if not isinstance(value, str | bool):
            raise UnparseableRecord("stop", "a text was expected")
        is_quoted = isinstance(value, str) and not isinstance(value, _Number)
        text = str(value) if isinstance(value, str) else json.dumps(value)
        raw = _storable(text, spec)
        written = json.dumps(text, ensure_ascii=False) if is_quoted else text
        start = self._text.find(written, self._at)
        if start < 0:
            return RawLeaf(path, spec, raw, -1, -1)
        self._at = start + len(written)
        return RawLeaf(path, spec, raw, start + is_quoted, self._at - is_quoted)


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
    model = model_of(document_type, lenient=True)
    record = model(**cast("dict[str, Any]", _as_lists(typed)))
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
