"""A graph as a model answers it: the grammar that holds it, and what of an answer can be used.

    {"entities":[{"id":"e1","text":"Ada","type":"person"}],"relations":[{"head":"e1",...}]}

Entities are numbered as they come. The grammar knows how many there are when the relations begin,
so a relation can name none but these; types are those that the caller gave. An engine without a
grammar, as in training, may break either rule: `resolved` drops what it cannot use.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from extraction.document_types.base import DocumentType, FieldSpec
from extraction.document_types.graph import types_of

if TYPE_CHECKING:
    from extraction.record import RawLeaf

_ENTITY_TOKENS: Final = 28
_RELATION_TOKENS: Final = 26
_MOST_TOKENS: Final = 2048
_NEEDED: Final = {"entities": ("id", "text", "type"), "relations": ("head", "type", "tail")}


def _quoted(text: str) -> str:
    """A text as a terminal of the grammar."""
    return json.dumps(text)


_ENTITIES: Final = _quoted('{"entities":[')
_RELATIONS: Final = _quoted(',"relations":[')
_HEAD: Final = _quoted('{"head":')
_TYPE: Final = _quoted(',"type":')
_TAIL: Final = _quoted(',"tail":')


def graph_grammar(document_type: DocumentType) -> str:
    """The rules below `start` of a Lark grammar (llguidance's dialect) for a graph of this type.

    One rule a count of entities: `after_k` either goes on with entity k + 1 or closes the list, and
    what follows the list may only refer to the first k.
    """
    entities = document_type.field("entities")
    relations = next((spec for spec in document_type.fields if spec.name == "relations"), None)
    text = {"type": "string", "minLength": 1, "maxLength": _length(entities, "text")}
    rules = [
        f'answer: "{{}}" | {_ENTITIES} entity_1 after_1',
        f"text: {_json(text)}",
        f"entity_type: {_type(document_type, 'entities')}",
        f"relation_type: {_type(document_type, 'relations')}",
    ]
    for count in range(1, entities.max_items + 1):
        begins = _quoted(f'{{"id":"e{count}","text":')
        rules.append(f'entity_{count}: {begins} text {_TYPE} entity_type "}}"')
        is_last = count == entities.max_items
        goes_on = "" if is_last else f'"," entity_{count + 1} after_{count + 1} | '
        rules.append(f'after_{count}: {goes_on}"]" rest_{count}')
        if relations is None:
            rules.append(f'rest_{count}: "}}"')
            continue
        relation, known = f"relation_{count}", f"id_{count}"
        more = f'("," {relation}){{0,{relations.max_items - 1}}}'
        ids = " | ".join(_quoted(f'"e{number}"') for number in range(1, count + 1))
        rules.append(f'rest_{count}: "}}" | {_RELATIONS} {relation} {more} "]}}"')
        rules.append(f'{relation}: {_HEAD} {known} {_TYPE} relation_type {_TAIL} {known} "}}"')
        rules.append(f"{known}: {ids}")
    return "\n".join(rules) + "\n"


def graph_tokens(document_type: DocumentType) -> int:
    """The most tokens that a graph is given; a bound, not an estimate."""
    tokens = {"entities": _ENTITY_TOKENS, "relations": _RELATION_TOKENS}
    wanted = sum(spec.max_items * tokens.get(spec.name, 0) for spec in document_type.fields)
    return min(64 + wanted, _MOST_TOKENS)


def resolved(
    leaves: Sequence["RawLeaf"], document_type: DocumentType
) -> tuple[tuple["RawLeaf", ...], int]:
    """The leaves of whole elements whose types are allowed and whose references find an entity.

    Returns:
        The leaves, elements numbered anew, and how many elements were dropped.
    """
    elements: dict[tuple[str, int], dict[str, RawLeaf]] = {}
    for leaf in leaves:
        name, index, part = leaf.path.split(".")
        elements.setdefault((name, int(index)), {})[part] = leaf
    kept: list[RawLeaf] = []
    ids: set[str] = set()
    dropped = 0
    for name, needed in (
        ("entities", ("id", "text", "type")),
        ("relations", ("head", "type", "tail")),
    ):
        types = {choice.casefold() for choice in types_of(document_type, name)}
        count = 0
        for (owner, _), parts in sorted(elements.items()):
            if owner != name:
                continue
            is_whole = all(part in parts for part in needed)
            fits = is_whole and (not types or parts["type"].raw.casefold() in types)
            if fits and name == "entities":
                fits = parts["id"].raw not in ids
                ids.add(parts["id"].raw)
            elif fits:
                fits = {parts["head"].raw, parts["tail"].raw} <= ids
            if not fits:
                dropped += 1
                continue
            kept += [replace(parts[part], path=f"{name}.{count}.{part}") for part in needed]
            count += 1
    return tuple(kept), dropped


def _length(entities: FieldSpec, name: str) -> int:
    return next(child.max_length for child in entities.children if child.name == name)


def _type(document_type: DocumentType, name: str) -> str:
    types = types_of(document_type, name)
    return _json(
        {"enum": list(types)} if types else {"type": "string", "minLength": 1, "maxLength": 64}
    )


def _json(schema: dict[str, object]) -> str:
    """A JSON Schema in place, without white space around its values."""
    return f"%json {json.dumps({**schema, 'x-guidance': {'whitespace_flexible': False}})}"
