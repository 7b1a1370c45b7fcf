"""The JSON Schema of a record as a response carries it: normalised values, absent ones null."""

from collections.abc import Mapping
from typing import Any

from extraction.document_types.base import DocumentType, FieldSpec, Kind

_DECIMAL = r"^-?[0-9]+(\.[0-9]+)?$"

# Of values that are texts of a fixed form. A time of day has no offset, which `format: time` asks.
PATTERNS: Mapping[Kind, str] = {
    Kind.MONEY: _DECIMAL,
    Kind.NUMBER: _DECIMAL,
    Kind.RATE: r"^(0(\.[0-9]+)?|1(\.0+)?)$",
    Kind.TIME: "^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$",
    Kind.COUNTRY: "^[A-Z]{3}$",
    Kind.CURRENCY: "^[A-Z]{3}$",
}


def schema_of(document_type: DocumentType) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of this type's records in responses.

    Every key is present. A leaf or an object that the document lacks is null, a list is empty; a
    field that the caller's schema requires may be null too, and then a check says so. Money and
    numbers are decimal strings, rates are shares of 1, dates ISO 8601, countries ISO 3166-1
    alpha-3 with ICAO 9303's additions, currencies ISO 4217. `type_from_schema` accepts the result,
    so a built-in type can serve as the start of a caller's own.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": document_type.name,
        "description": document_type.description,
        **_object(document_type.fields, "object"),
    }


def _object(fields: tuple[FieldSpec, ...], json_type: str | list[str]) -> dict[str, Any]:
    return {
        "type": json_type,
        "properties": {field.name: _described(field) for field in fields},
        "required": [field.name for field in fields],
        "additionalProperties": False,
    }


def _described(field: FieldSpec) -> dict[str, Any]:
    notes = {"description": field.description} if field.description else {}
    return {**_schema(field), **notes}


def _schema(field: FieldSpec) -> dict[str, Any]:
    if field.kind is Kind.OBJECT:
        return _object(field.children, ["object", "null"])
    if field.kind is Kind.CHOICE:
        return {"enum": [*field.choices, None]}
    if field.kind is Kind.LIST:
        items = _object(field.children, "object") if field.children else _list_leaf(field)
        return {"type": "array", "items": items, "maxItems": field.max_items}
    schema = _leaf(field.kind, field.max_length)
    return {**schema, "type": [schema["type"], "null"]}


def _list_leaf(field: FieldSpec) -> dict[str, Any]:
    return _leaf(field.element, field.max_length)


def _leaf(kind: Kind, max_length: int) -> dict[str, Any]:
    match kind:
        case Kind.INTEGER | Kind.BOOLEAN:
            return {"type": kind.value}
        case Kind.DATE:
            return {"type": "string", "format": "date"}
        case Kind.TEXT | Kind.CODE | Kind.LABEL | Kind.MARKDOWN:
            return {"type": "string", "x-kind": kind.value, "maxLength": max_length}
        case _:
            return {"type": "string", "x-kind": kind.value, "pattern": PATTERNS[kind]}
