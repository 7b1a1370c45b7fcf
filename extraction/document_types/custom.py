"""A caller's JSON Schema becomes a document type; a document type becomes the response's schema.

The accepted subset of JSON Schema draft 2020-12; everything else is refused with the JSON pointer
at fault and what to write instead, because a keyword that is silently ignored is a broken promise:

    root        {"type": "object", "properties": {...}}, with `$defs`, `$schema`, `$id`
    object      `properties` (at least one), `required`, `additionalProperties: true | false`;
                four levels of properties at most, 200 fields in all
    array       `items` (an object or one leaf, no array, no enum), `maxItems` up to 500
    string      `format` date or time, `enum` of strings, `const`, `maxLength` up to 2000
                (50000 for markdown)
    number, integer, boolean
    nullable    {"type": ["string", "null"]}, or `anyOf` of one schema and {"type": "null"}
    $ref        "#/$defs/Name", never to itself; beside it only title and description
    notes       `title`, `description`, `examples`, `$comment`, `default: null`
    x-kind      our own: text, markdown, code, label, money, number, rate, date, time, country,
                currency for strings; number, money, rate for numbers. It decides how a value is
                normalised.

Names of fields are `[a-z][a-z0-9_]{0,63}`. The model copies every value as it is printed and code
normalises it afterwards, so patterns, bounds and lengths other than `maxLength` cannot be promised
and are refused. Values come back as `schema_of` says: numbers and money are decimal strings, and
every leaf may be null, because a document may lack it. A property that is `required` and not
nullable is one whose absence a check reports; the model is never forced to invent it.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.record import Record
from extraction.document_types.response_schema import PATTERNS, schema_of
from extraction.document_types.schema_advice import ADVICE, refuse_bombs
from extraction.document_types.schema_place import NOTES, Place, escaped
from extraction.errors import InvalidType
from extraction.prompt import neutral

__all__ = ["schema_of", "type_from_schema"]

MOST_FIELDS: Final = 200
MOST_LEVELS: Final = 4
MOST_ITEMS: Final = 500
MOST_CHARACTERS: Final = 2000
MOST_MARKDOWN: Final = 50_000
MOST_CHOICES: Final = 200
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_RESERVED_TYPES = frozenset({*BUILT_IN, "auto", "unknown", "document", "graph"})
# `think` is a tag of every answer; the rest are attributes of every record.
_RESERVED_NAMES = frozenset({"think", *(name for name in dir(Record) if not name.startswith("_"))})
_RESERVED_PREFIXES = ("model_validate", "model_dump")

_ROOT_ONLY = frozenset({"$defs", "$schema", "$id"})
_KEYWORDS: Mapping[str, frozenset[str]] = {
    "object": NOTES | {"type", "properties", "required", "additionalProperties"},
    "array": NOTES | {"type", "items", "maxItems"},
    "string": NOTES
    | {"type", "format", "enum", "const", "maxLength", "minLength", "pattern", "x-kind"},
    "number": NOTES | {"type", "x-kind"},
    "integer": NOTES | {"type", "x-kind"},
    "boolean": NOTES | {"type", "x-kind"},
}
_KINDS: Mapping[str, tuple[Kind, ...]] = {  # the first is what a type means without `x-kind`
    "string": (
        Kind.TEXT,
        Kind.MARKDOWN,
        Kind.LABEL,
        Kind.CODE,
        Kind.MONEY,
        Kind.NUMBER,
        Kind.RATE,
        Kind.DATE,
        Kind.TIME,
        Kind.COUNTRY,
        Kind.CURRENCY,
    ),
    "number": (Kind.NUMBER, Kind.MONEY, Kind.RATE),
    "integer": (Kind.INTEGER,),
    "boolean": (Kind.BOOLEAN,),
}
_FORMATS = {"date": Kind.DATE, "time": Kind.TIME}
# How long the printed text of a value may be where the schema does not say.
_MAX_LENGTH = {
    Kind.TEXT: 200,
    Kind.MARKDOWN: 4000,
    Kind.CODE: 60,
    Kind.LABEL: 60,
    Kind.MONEY: 30,
    Kind.NUMBER: 30,
    Kind.INTEGER: 30,
    Kind.RATE: 20,
    Kind.DATE: 40,
    Kind.TIME: 20,
    Kind.COUNTRY: 60,
    Kind.CURRENCY: 20,
}


def type_from_schema(name: str, schema: Mapping[str, Any], version: int) -> DocumentType:
    """The document type that a caller's schema describes.

    Args:
        name: of the type, `[a-z][a-z0-9_]{0,63}`, none of Docloop's own.
        schema: parsed JSON; the order of its properties is the order of the fields.
        version: of the type, from 1.

    Raises:
        InvalidType: something is outside the subset; `path` is a JSON pointer into `schema`.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidType("", "the type's name must match [a-z][a-z0-9_]{0,63}, as `delivery_note`")
    if name in _RESERVED_TYPES:
        raise InvalidType("", f"the type name {name!r} is Docloop's own; choose another one")
    if not isinstance(schema, Mapping):
        raise InvalidType("", 'a schema is a JSON object, as {"type": "object", "properties": {}}')
    refuse_bombs(schema)
    definitions = _definitions(schema)
    if (draft := schema.get("$schema", _DRAFT)) not in (_DRAFT, f"{_DRAFT}#"):
        raise InvalidType("/$schema", f"only {_DRAFT} is read, found {repr(draft)[:80]}")
    root = {key: value for key, value in schema.items() if key not in _ROOT_ONLY}
    reader = _Reader(definitions)
    found = reader.settle(Place(root, ""))
    if reader.type_of(found) != "object":
        raise InvalidType("/type", 'the root must be {"type": "object", "properties": {...}}')
    fields = reader.fields(found, level=1)
    return DocumentType(name, version, fields, _description(found))


def _definitions(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    definitions = schema.get("$defs", {})
    if not isinstance(definitions, Mapping):
        raise InvalidType("/$defs", "it must be an object of schemas by name")
    return definitions


class _Reader:
    """Reads the places of one schema; counts fields, so that a bomb stops at the limit."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._count = 0

    def settle(self, place: Place) -> Place:
        """The place itself, behind any `$ref` and `anyOf` with null; outer notes win."""
        notes: dict[str, Any] = {}
        is_nullable = False
        while True:
            if "$ref" in place.schema:
                place.refuse_unknown(NOTES | {"$ref"})
                target = self._target(place)
            elif "anyOf" in place.schema:
                place.refuse_unknown(NOTES | {"anyOf", "x-kind"})
                target, is_nullable = _but_null(place), True
            else:
                break
            outer = {key: place.schema[key] for key in place.schema if key not in {"$ref", "anyOf"}}
            _check_notes(place)
            notes = {**outer, **notes}
            place = target
        _check_notes(place)
        # What stands outside describes the use, what stands inside the definition.
        return replace(place, schema={**place.schema, **notes}, is_nullable=is_nullable)

    def _target(self, place: Place) -> Place:
        reference = place.schema["$ref"]
        if not isinstance(reference, str) or not reference.startswith("#/$defs/"):
            raise place.fault('only references as "#/$defs/Name" in this same schema', "$ref")
        name = unquote(reference.removeprefix("#/$defs/")).replace("~1", "/").replace("~0", "~")
        if name not in self._definitions:
            raise place.fault("there is no such definition in $defs", "$ref")
        if name in place.references:
            raise place.fault("a definition may not contain itself; write its levels out", "$ref")
        content = self._definitions[name]
        pointer = f"/$defs/{escaped(name)}"
        if not isinstance(content, Mapping):
            raise InvalidType(pointer, "a schema is a JSON object")
        return Place(content, pointer, (*place.references, name))

    def type_of(self, place: Place) -> str:
        """The one JSON type of a settled place, null set aside."""
        written = place.schema.get("type")
        if written is None:
            if "enum" in place.schema or "const" in place.schema:
                return "string"
            for keyword in place.schema:
                if keyword in ADVICE:
                    raise place.fault(ADVICE[keyword], keyword)
            raise place.fault(f'give it a "type": one of {", ".join(_KEYWORDS)}')
        types = written if isinstance(written, list) else [written]
        named = [name for name in types if name != "null"]
        if len(named) != 1 or not isinstance(named[0], str) or len(types) > 2:  # noqa: PLR2004
            raise place.fault('one type, or one type and "null", as ["string", "null"]', "type")
        if named[0] not in _KEYWORDS:
            raise place.fault(f"the type must be one of {', '.join(_KEYWORDS)}", "type")
        return named[0]

    def fields(self, place: Place, level: int) -> tuple[FieldSpec, ...]:
        """The properties of a settled object as fields."""
        place.refuse_unknown(_KEYWORDS["object"])
        if not isinstance(place.schema.get("additionalProperties", False), bool):
            raise place.fault(
                "true or false; name each field in properties", "additionalProperties"
            )
        properties = place.schema.get("properties")
        if not isinstance(properties, Mapping) or not properties:
            raise place.fault("an object needs at least one property", "properties")
        if level > MOST_LEVELS:
            raise place.fault(f"objects nest {MOST_LEVELS} levels deep at most; flatten this one")
        required = _required(place, properties)
        return tuple(
            self._field(place.child("properties", name), name, level, is_required=name in required)
            for name in _names(place, properties)
        )

    def _field(self, written: Place, name: str, level: int, *, is_required: bool) -> FieldSpec:
        self._count += 1
        if self._count > MOST_FIELDS:
            raise written.fault(f"a type has {MOST_FIELDS} fields at most, nested ones included")
        place = self.settle(written)
        json_type = self.type_of(place)
        types = place.schema.get("type")
        is_nullable = place.is_nullable or (isinstance(types, list) and "null" in types)
        if json_type == "object":
            spec = FieldSpec(name, Kind.OBJECT, children=self.fields(place, level + 1))
        elif json_type == "array":
            spec = self._list(place, name, level)
        else:
            spec, has_null = _leaf(place, name, json_type)
            is_nullable = is_nullable or has_null
        return replace(
            spec, description=_description(place), required=is_required and not is_nullable
        )

    def _list(self, place: Place, name: str, level: int) -> FieldSpec:
        place.refuse_unknown(_KEYWORDS["array"])
        if "items" not in place.schema:
            raise place.fault("say what the array holds: an object or one leaf", "items")
        items = self.settle(place.child("items"))
        count = place.whole("maxItems", FieldSpec("", Kind.LIST).max_items, MOST_ITEMS)
        json_type = self.type_of(items)
        if json_type == "array":
            raise items.fault("an array of arrays is not supported; put the inner one in an object")
        if json_type == "object":
            children = self.fields(items, level + 1)
            return FieldSpec(name, Kind.LIST, children=children, max_items=count)
        leaf, _ = _leaf(items, name, json_type)
        if leaf.kind is Kind.CHOICE:
            raise items.fault("a list of choices is not supported; use an object with one field")
        return replace(
            leaf, kind=Kind.LIST, element=leaf.kind, max_items=count, max_length=leaf.max_length
        )


def _leaf(place: Place, name: str, json_type: str) -> tuple[FieldSpec, bool]:
    """A leaf, and whether its enum holds null."""
    place.refuse_unknown(_KEYWORDS[json_type])
    if "enum" in place.schema or "const" in place.schema:
        choices, has_null = _choices(place)
        return FieldSpec(name, Kind.CHOICE, choices=choices), has_null
    kind = _kind(place, json_type)
    if place.schema.get("pattern", PATTERNS.get(kind)) != PATTERNS.get(kind):
        raise place.fault(ADVICE["pattern"], "pattern")
    if place.schema.get("minLength", 1) not in (0, 1):
        raise place.fault("only 0 or 1: an absent value is null, never an empty text", "minLength")
    most = MOST_MARKDOWN if kind is Kind.MARKDOWN else MOST_CHARACTERS
    length = place.whole("maxLength", _MAX_LENGTH.get(kind, 200), most)
    return FieldSpec(name, kind, max_length=length), False


def _kind(place: Place, json_type: str) -> Kind:
    possible = _KINDS[json_type]
    written = place.schema.get("x-kind")
    if written is not None and written not in possible:
        listed = ", ".join(possible)
        raise place.fault(f"for the type {json_type} it must be one of {listed}", "x-kind")
    if "format" not in place.schema:
        return Kind(written) if written is not None else possible[0]
    kind = _FORMATS.get(str(place.schema["format"]))
    if kind is None or written not in (None, kind):
        raise place.fault(
            "only date and time; write a date-time as two fields, and leave other formats out "
            '("x-kind": "code" is for identifiers)',
            "format",
        )
    return kind


def _choices(place: Place) -> tuple[tuple[str, ...], bool]:
    for keyword in ("format", "pattern", "maxLength", "minLength", "x-kind"):
        if keyword in place.schema:
            raise place.fault("beside enum and const it says nothing; leave it out", keyword)
    if "const" in place.schema:
        if "enum" in place.schema:
            raise place.fault("write either enum or const", "const")
        written, where = [place.schema["const"]], ("const",)
    else:
        written, where = place.schema["enum"], ("enum",)
    if not isinstance(written, list) or not 1 <= len(written) <= MOST_CHOICES + 1:
        raise place.fault(f"a list of 1 to {MOST_CHOICES} texts", *where)
    choices = [choice for choice in written if choice is not None]
    for choice in choices:
        if not isinstance(choice, str) or not choice.strip() or _CONTROL.search(choice):
            raise place.fault("every choice must be a text, on one line and not empty", *where)
        if len(choice) > FieldSpec("", Kind.CHOICE).max_length:
            raise place.fault("a choice has 200 characters at most", *where)
    if not choices or len(set(choices)) < len(choices) or len(choices) > MOST_CHOICES:
        raise place.fault(f"1 to {MOST_CHOICES} different choices", *where)
    return tuple(choices), len(choices) < len(written)


def _but_null(place: Place) -> Place:
    """The one member of an `anyOf` that is not null."""
    members = place.schema["anyOf"]
    if isinstance(members, list) and len(members) == 2:  # noqa: PLR2004 - one schema and null
        others = [index for index, member in enumerate(members) if member != {"type": "null"}]
        if len(others) == 1:
            return place.child("anyOf", others[0])
    raise place.fault(ADVICE["oneOf"], "anyOf")


def _names(place: Place, properties: Mapping[str, Any]) -> list[str]:
    for name in properties:
        if not _NAME.fullmatch(name):
            raise place.fault(
                "a name must match [a-z][a-z0-9_]{0,63}, as `unit_price`", "properties", name
            )
        if name in _RESERVED_NAMES or name.startswith(_RESERVED_PREFIXES):
            raise place.fault(
                f"this name is reserved; write `{name}_value` or another", "properties", name
            )
    return list(properties)


def _required(place: Place, properties: Mapping[str, Any]) -> frozenset[str]:
    names = place.schema.get("required", [])
    if not isinstance(names, list):
        raise place.fault("a list of names of properties", "required")
    for index, name in enumerate(names):
        if not isinstance(name, str) or name not in properties:
            raise place.fault("there is no such property", "required", index)
    return frozenset(names)


def _check_notes(place: Place) -> None:
    for keyword in ("title", "description"):
        text = place.schema.get(keyword, "")
        if not isinstance(text, str) or len(text) > MOST_CHARACTERS:
            raise place.fault(f"a text of at most {MOST_CHARACTERS} characters", keyword)
    if place.schema.get("default") not in (None, []):
        raise place.fault("only null: what is not on the document is null", "default")


def _description(place: Place) -> str:
    """One line; a text that a tokenizer could read as a control token does not survive."""
    text = place.schema.get("description") or place.schema.get("title") or ""
    return neutral(" ".join(text.split()))
