"""What to write instead of a keyword that is not supported, and limits that stop a schema bomb."""

from collections.abc import Mapping
from typing import Any, Final

from extraction.errors import InvalidType

MOST_NODES: Final = 10_000
MOST_DEPTH: Final = 40
MOST_TEXT: Final = 200_000

_BOUNDS = (
    "values are copied as they are printed and cannot be bounded; leave it out and check later"
)
_ALTERNATIVES = (
    'a field has one type; write that type, and for an optional one ["string", "null"] or '
    'anyOf of it and {"type": "null"}'
)
_CONDITIONS = "conditions are not supported; list all fields, those that do not apply will be null"
_NAMED = "only named fields are read; list each one in properties"
_ONE_KIND = 'elements are of one kind: write "items" with a schema'

ADVICE: Mapping[str, str] = {
    "oneOf": _ALTERNATIVES,
    "anyOf": _ALTERNATIVES,
    "allOf": "write the combined fields out in one object; for a single $ref write the $ref itself",
    "not": _CONDITIONS,
    "if": _CONDITIONS,
    "then": _CONDITIONS,
    "else": _CONDITIONS,
    "dependentSchemas": _CONDITIONS,
    "dependentRequired": _CONDITIONS,
    "dependencies": _CONDITIONS,
    "patternProperties": _NAMED,
    "propertyNames": _NAMED,
    "unevaluatedProperties": _NAMED,
    "minProperties": _NAMED,
    "maxProperties": _NAMED,
    "prefixItems": _ONE_KIND,
    "additionalItems": _ONE_KIND,
    "unevaluatedItems": _ONE_KIND,
    "contains": _ONE_KIND,
    "minItems": "it would force the model to invent elements; leave it out, or list it in required",
    "uniqueItems": "elements are copied as they are printed, equal ones too; leave it out",
    "pattern": (
        "values are copied as they are printed and normalised afterwards, so a pattern cannot be "
        'promised; leave it out, and choose an "x-kind", as code, money or country'
    ),
    "minimum": _BOUNDS,
    "maximum": _BOUNDS,
    "exclusiveMinimum": _BOUNDS,
    "exclusiveMaximum": _BOUNDS,
    "multipleOf": _BOUNDS,
    "nullable": 'that is OpenAPI 3.0; write ["string", "null"] as the type',
    "definitions": 'that is an older draft; write "$defs" at the root',
    "$defs": "definitions stand at the root only",
    "$schema": "it stands at the root only",
    "$id": "it stands at the root only",
    "$anchor": 'write a reference as "#/$defs/Name"',
    "$dynamicRef": 'write a reference as "#/$defs/Name"',
    "$recursiveRef": 'write a reference as "#/$defs/Name"',
    "contentEncoding": "values are texts; leave it out",
    "contentMediaType": "values are texts; leave it out",
}


def refuse_bombs(schema: Mapping[str, Any]) -> None:
    """Stops at a schema that is too large to read, in time proportional to the limits.

    Raises:
        InvalidType: too many parts, too deep, too much text, or a key that is no text.
    """
    nodes = characters = 0
    waiting: list[tuple[Any, str, int]] = [(schema, "", 0)]
    while waiting:
        content, pointer, depth = waiting.pop()
        nodes += 1
        characters += len(content) if isinstance(content, str) else 0
        if nodes > MOST_NODES or characters > MOST_TEXT:
            raise InvalidType("", f"more than {MOST_NODES} parts or {MOST_TEXT} characters")
        if depth > MOST_DEPTH:
            raise InvalidType(pointer, f"nested more than {MOST_DEPTH} levels deep")
        if isinstance(content, Mapping):
            if len(content) > MOST_NODES:
                raise InvalidType(pointer, f"more than {MOST_NODES} parts")
            for key, value in content.items():
                if not isinstance(key, str):
                    raise InvalidType(pointer, "every key is a text")
                characters += len(key)
                escaped = key[:100].replace("~", "~0").replace("/", "~1")
                waiting.append((value, f"{pointer}/{escaped}", depth + 1))
        elif isinstance(content, list):
            if len(content) > MOST_NODES:
                raise InvalidType(pointer, f"more than {MOST_NODES} parts")
            waiting += [(value, f"{pointer}/{i}", depth + 1) for i, value in enumerate(content)]
