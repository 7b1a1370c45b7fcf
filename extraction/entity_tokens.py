"""Records in entity tokens: each field wrapped in its own special token.

    <document_number>L898902C3</document_number><date_of_birth>12-08-1974</date_of_birth>

The form of the passport GRPO work: dates are DD-MM-YYYY and the machine-readable zone stands whole,
its lines separated by a line feed. Lists of leaves repeat their tag; lists of objects cannot be
written. The parser is strict, and what the writer wrote it reads back equal.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.errors import UnparseableRecord

DATE_FORMAT = "%d-%m-%Y"


@dataclass(frozen=True, slots=True)
class Entity:
    """One wrapped value.

    Attributes:
        path: the leaf's path in the record.
        spec: its specification.
        text: what stands between the tags.
        start: offset of the text.
        end: offset behind it.
    """

    path: str
    spec: FieldSpec
    text: str
    start: int
    end: int


def parse_entity_tokens(
    text: str, document_type: DocumentType, *, allow_cut: bool = False
) -> list[Entity]:
    """The wrapped values of an answer, in its order.

    Args:
        text: the answer, nothing before and nothing behind it but white space.
        document_type: gives the known tags.
        allow_cut: whether the last entity may lack its end, which is then dropped.

    Raises:
        UnparseableRecord: an unknown tag, a tag given twice, text outside of tags, a missing end.
    """
    known = dict(_tagged(document_type))
    entities: list[Entity] = []
    counts: dict[str, int] = {}
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        close = text.find(">", at)
        name = text[at + 1 : close] if text[at] == "<" and close > 0 else ""
        if name not in known:
            if allow_cut and (close < 0 or not text[at:].strip()):
                break
            raise UnparseableRecord("stop", "text outside of the known tags")
        ending = f"</{name}>"
        begin, end = close + 1, text.find(ending, close + 1)
        if end < 0:
            if allow_cut:
                break
            raise UnparseableRecord("stop", f"<{name}> has no end")
        path, spec = known[name]
        count = counts.get(name, 0)
        if count and spec.kind is not Kind.LIST:
            raise UnparseableRecord("stop", f"<{name}> stands twice")
        counts[name] = count + 1
        content = text[begin:end]
        if name == "mrz":
            for index, (line, offset) in enumerate(_lines(content)):
                start = begin + offset
                entities.append(Entity(f"{path}.{index}", spec, line, start, start + len(line)))
        else:
            at_path = f"{path}.{count}" if spec.kind is Kind.LIST else path
            entities.append(Entity(at_path, spec, content, begin, end))
        at = end + len(ending)
    return entities


def write_entity_tokens(document_type: DocumentType, record: Mapping[str, Any]) -> str:
    """A record (values as in a response) in entity tokens; absent fields have no tag."""
    parts: list[str] = []
    for name, (path, spec) in _tagged(document_type):
        value: Any = record
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value in (None, []):
            continue
        if name == "mrz":
            parts.append(_wrap(name, "\n".join(value)))
        elif isinstance(value, list):
            parts += [_wrap(name, str(element)) for element in value]
        else:
            parts.append(_wrap(name, _written(spec, value)))
    return "".join(parts)


def _tagged(document_type: DocumentType) -> Iterator[tuple[str, tuple[str, FieldSpec]]]:
    """Tag -> path and specification. The zone's lines go under one tag, `mrz`."""
    for spec in document_type.fields:
        if spec.name == "mrz" and spec.children:
            yield "mrz", ("mrz.lines", spec.children[0])
        elif not spec.children:
            yield spec.name, (spec.name, spec)


def _lines(content: str) -> Iterator[tuple[str, int]]:
    offset = 0
    for line in content.split("\n"):
        if line:
            yield line, offset
        offset += len(line) + 1


def _wrap(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>"


def _written(spec: FieldSpec, value: Any) -> str:
    if spec.kind is Kind.DATE:
        return date.fromisoformat(value).strftime(DATE_FORMAT)
    return str(value).lower() if spec.kind is Kind.BOOLEAN else str(value)
