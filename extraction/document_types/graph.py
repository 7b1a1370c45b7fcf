"""The graph: entities of a page or a text, and relations between them.

A caller names the types of both, and then no other type can be answered (`graph_type`). A relation
refers to its entities by their ids. In a graph that somebody reads each reference finds its entity.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.record import Label, Record, Text, fields_of, spec
from extraction.errors import InvalidType

MOST_ENTITIES: Final = 40
MOST_RELATIONS: Final = 60
MOST_TYPES: Final = 50
LONGEST_NAME: Final = 64
LONGEST_TEXT: Final = 120
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff<>]")

Triple = tuple[tuple[str, str], str, tuple[str, str]]
"""Head, relation type, tail; head and tail are an entity's folded text and its type."""


class Entity(Record):
    """Something that the document names."""

    id: Label | None = spec("e1, e2 and so on, in the order of the list", max_length=8)
    text: Text | None = spec("As it is written", max_length=LONGEST_TEXT)
    type: Label | None = spec("Its type", max_length=LONGEST_NAME)


class Relation(Record):
    """What the document says about two entities."""

    head: Label | None = spec("Id of the entity that it goes out from", max_length=8)
    type: Label | None = spec("Its type", max_length=LONGEST_NAME)
    tail: Label | None = spec("Id of the entity that it leads to", max_length=8)


class Graph(Record):
    """Entities and what is said of them."""

    entities: tuple[Entity, ...] = spec(
        "What the document names", many=True, max_items=MOST_ENTITIES
    )
    relations: tuple[Relation, ...] = spec(
        "What it says about two of them", many=True, max_items=MOST_RELATIONS
    )


GRAPH = DocumentType(
    name="graph",
    version=1,
    fields=fields_of(Graph),
    description="The entities that a document names, and the relations between them.",
)


def is_graph(document_type: DocumentType) -> bool:
    """Whether a type, or a selection of its fields, is a graph."""
    return document_type.name == GRAPH.name


def graph_type(entity_types: Sequence[str], relation_types: Sequence[str]) -> DocumentType:
    """The graph whose entities and relations have these types and no others.

    Args:
        entity_types: 1 to 50 names.
        relation_types: at most 50 names; without any a graph is a list of entities.

    Raises:
        InvalidType: too many, or a name that is empty, too long, given twice, or that holds a
            control character or an angle bracket.
    """
    if not entity_types:
        raise InvalidType("/entity_types", "a graph needs at least one type of entities")
    entities = _with_types(GRAPH.field("entities"), _names("entity_types", entity_types))
    relations = _with_types(GRAPH.field("relations"), _names("relation_types", relation_types))
    return replace(GRAPH, fields=(entities, relations) if relation_types else (entities,))


def _names(where: str, names: Sequence[str]) -> tuple[str, ...]:
    if len(names) > MOST_TYPES:
        raise InvalidType(f"/{where}", f"at most {MOST_TYPES} types are accepted")
    for index, name in enumerate(names):
        if not name.strip() or len(name) > LONGEST_NAME or _CONTROL.search(name):
            raise InvalidType(
                f"/{where}/{index}",
                f"1 to {LONGEST_NAME} characters, no control characters, no angle brackets",
            )
    if len({name.casefold() for name in names}) < len(names):
        raise InvalidType(f"/{where}", "a type is named twice")
    return tuple(names)


def _with_types(field: FieldSpec, names: tuple[str, ...]) -> FieldSpec:
    children = tuple(
        replace(child, kind=Kind.CHOICE, choices=names) if child.name == "type" else child
        for child in field.children
    )
    return replace(field, children=children)


def types_of(document_type: DocumentType, name: str) -> tuple[str, ...]:
    """The types that "entities" or "relations" may have; none where any may stand."""
    found = next((field for field in document_type.fields if field.name == name), None)
    children = found.children if found is not None else ()
    return next((child.choices for child in children if child.name == "type"), ())


def graph_request(document_type: DocumentType) -> list[str]:
    """What a prompt says of the types that may be answered, a line each."""
    lines = []
    for name, title in (("entities", "Entity types"), ("relations", "Relation types")):
        if types := types_of(document_type, name):
            lines.append(f"{title}: {', '.join(types)}")
    return lines


def faults_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Path -> why, for each id that is missing or twice, and each reference that finds nothing."""
    faults: dict[str, str] = {}
    entities, relations = _elements(record, "entities"), _elements(record, "relations")
    counts = Counter(entity.get("id") for entity in entities)
    for index, entity in enumerate(entities):
        if not entity.get("id"):
            faults[f"entities.{index}.id"] = "every entity has an id, as e1"
        elif counts[entity["id"]] > 1:
            faults[f"entities.{index}.id"] = "another entity has the same id"
        for name in ("text", "type"):
            if not entity.get(name):
                faults[f"entities.{index}.{name}"] = "every entity has a text and a type"
    for index, relation in enumerate(relations):
        for end in ("head", "tail"):
            if relation.get(end) not in counts:
                faults[f"relations.{index}.{end}"] = "no entity has this id"
        if not relation.get("type"):
            faults[f"relations.{index}.type"] = "every relation has a type"
    return faults


def entities_of(record: Mapping[str, Any]) -> Counter[tuple[str, str]]:
    """How often each entity stands in a graph, by its folded text and its type."""
    return Counter(_key(entity) for entity in _elements(record, "entities"))


def triples_of(record: Mapping[str, Any]) -> Counter[Triple]:
    """How often each relation stands in a graph; those without both ends are left out."""
    by_id = {entity.get("id"): _key(entity) for entity in _elements(record, "entities")}
    return Counter(
        (by_id[relation.get("head")], _folded(relation.get("type")), by_id[relation.get("tail")])
        for relation in _elements(record, "relations")
        if relation.get("head") in by_id and relation.get("tail") in by_id
    )


def _key(entity: Mapping[str, Any]) -> tuple[str, str]:
    return _folded(entity.get("text")), _folded(entity.get("type"))


def _folded(value: Any) -> str:
    return " ".join(str(value or "").split()).casefold()


def _elements(record: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = record.get(name)
    found = value if isinstance(value, list | tuple) else ()
    return [element for element in found if isinstance(element, Mapping)]
