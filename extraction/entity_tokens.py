"""Records in entity tokens: each field wrapped in its own special token.

    <document_number>L898902C3</document_number><date_of_birth>12-08-1974</date_of_birth>

The form of the passport GRPO work: dates are DD-MM-YYYY and the machine-readable zone stands whole,
its lines separated by a line feed. Lists of leaves repeat their tag; lists of objects cannot be
written. The parser is strict, and what the writer wrote it reads back equal, but for text that
looks like a tag: it is written with typographic brackets, as a prompt shows it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.errors import UnparseableRecord
from extraction.prompt import neutral

DATE_FORMAT = "%d-%m-%Y"
_ZONE = "mrz.lines"


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
        UnparseableRecord: an unknown tag, a tag given twice or within another, text outside of
            tags, a missing end, more elements than a list may have.
    """
    known = dict(_tagged(document_type))
    entities: list[Entity] = []
    counts: dict[str, int] = {}
    for name, begin, end in _wrapped(text, known, allow_cut=allow_cut):
        path, spec = known[name]
        count = counts.get(name, 0)
        counts[name] = count + 1
        repeats = spec.kind is Kind.LIST and path != _ZONE
        if count and not repeats:
            raise UnparseableRecord("stop", f"<{name}> stands twice")
        if repeats and count >= spec.max_items:
            raise UnparseableRecord("stop", f"<{name}> stands too often")
        if path == _ZONE:
            for index, (line, offset) in enumerate(_lines(text[begin:end])):
                start = begin + offset
                entities.append(Entity(f"{path}.{index}", spec, line, start, start + len(line)))
        else:
            at_path = f"{path}.{count}" if repeats else path
            entities.append(Entity(at_path, spec, text[begin:end], begin, end))
    return entities


def _wrapped(
    text: str, known: Collection[str], *, allow_cut: bool
) -> Iterator[tuple[str, int, int]]:
    """Each tag's name and where its content starts and ends."""
    tags = [f"<{slash}{name}>" for name in known for slash in ("", "/")]
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        close = text.find(">", at)
        name = text[at + 1 : close] if text[at] == "<" and close > 0 else ""
        if name not in known:
            if allow_cut and any(f"<{tag}>".startswith(text[at:]) for tag in known):
                return
            raise UnparseableRecord("stop", "text outside of the known tags")
        begin, end = close + 1, text.find(f"</{name}>", close + 1)
        if end < 0:
            if allow_cut:
                return
            raise UnparseableRecord("stop", f"<{name}> has no end")
        content = text[begin:end]
        if "<" in content and any(tag in content for tag in tags):
            raise UnparseableRecord("stop", f"<{name}> holds another tag")
        yield name, begin, end
        at = end + len(f"</{name}>")


def write_entity_tokens(document_type: DocumentType, record: Mapping[str, Any]) -> str:
    """A record (values as in a response) in entity tokens; absent fields have no tag.

    Fields with children, the zone apart, cannot be written and are left out: see `can_write`.
    """
    parts: list[str] = []
    for name, (path, spec) in _tagged(document_type):
        value: Any = record
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value in (None, []):
            continue
        if path == _ZONE:
            parts.append(_wrap(name, "\n".join(value)))
        elif isinstance(value, list):
            parts += [_wrap(name, _written(spec.element, element)) for element in value]
        else:
            parts.append(_wrap(name, _written(spec.kind, value)))
    return "".join(parts)


def can_write(spec: FieldSpec) -> bool:
    """Whether a top-level field can stand in entity tokens."""
    return not spec.children or _is_zone(spec)


def _is_zone(spec: FieldSpec) -> bool:
    """A caller's own type may have a field named mrz that is something else."""
    lines = spec.children[0] if spec.children else spec
    return f"{spec.name}.{lines.name}" == _ZONE and lines.kind is Kind.LIST and not lines.children


def _tagged(document_type: DocumentType) -> Iterator[tuple[str, tuple[str, FieldSpec]]]:
    """Tag -> path and specification. The zone's lines go under one tag, `mrz`."""
    for spec in document_type.fields:
        if _is_zone(spec):
            yield spec.name, (_ZONE, spec.children[0])
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


def _written(kind: Kind, value: Any) -> str:
    if kind is Kind.DATE:
        return date.fromisoformat(value).strftime(DATE_FORMAT)
    return str(value).lower() if kind is Kind.BOOLEAN else neutral(str(value))
