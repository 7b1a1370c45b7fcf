"""Values by path -> the nested record of a response."""

from collections.abc import Mapping
from typing import Any

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.evidence import ReadField


def nested(document_type: DocumentType, fields: Mapping[str, ReadField]) -> dict[str, Any]:
    """The record as JSON: every asked field, None where absent; lists in their order."""
    values = {path: read.value for path, read in fields.items()}
    return {spec.name: _nest(spec, values, spec.name) for spec in document_type.fields}


def _nest(spec: FieldSpec, values: Mapping[str, Any], path: str) -> Any:
    if spec.kind not in {Kind.LIST, Kind.OBJECT}:
        return values.get(path)
    below = f"{path}."
    inside = {key.removeprefix(below) for key in values if key.startswith(below)}
    if spec.kind is Kind.LIST:
        indices = sorted({int(key.split(".")[0]) for key in inside})
        if not spec.children:
            # An element that does not fit its kind is in `fields`; a list holds no null.
            known = (values[f"{path}.{index}"] for index in indices)
            return [value for value in known if value is not None]
        return [_object(spec, values, f"{path}.{index}") for index in indices]
    return _object(spec, values, path) if inside else None


def _object(spec: FieldSpec, values: Mapping[str, Any], path: str) -> dict[str, Any]:
    return {child.name: _nest(child, values, f"{path}.{child.name}") for child in spec.children}
