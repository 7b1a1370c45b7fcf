"""A person's record -> validated record. Strict: every fault is named, and nothing is guessed."""

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from extraction.document_types.base import DocumentType, FieldSpec, Kind
from extraction.document_types.document import DEGREES, is_document
from extraction.document_types.graph import faults_of, is_graph
from extraction.document_types.record import model_of
from extraction.document_types.response_schema import PATTERNS
from extraction.errors import InvalidRecord
from extraction.record import to_json, value_of

_DEEPEST = 12
_DECIMALS = frozenset({Kind.MONEY, Kind.NUMBER, Kind.RATE})
_LARGEST = 10**30


def validate_human_record(document_type: DocumentType, record: Mapping[str, Any]) -> dict[str, Any]:
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
    if is_graph(document_type):
        faults |= _graph_faults(document_type, checked, faults)
    elif is_document(document_type):
        faults |= _page_faults(checked)
    if not record:
        faults[""] = "it is empty; send the corrected fields"
    if faults:
        raise InvalidRecord(faults)
    try:
        model_of(document_type, lenient=True).model_validate(
            {name: _tuples(value) for name, value in checked.items()}, strict=False
        )
    except ValidationError as error:
        places = {".".join(map(str, item["loc"])): item["type"] for item in error.errors()}
        raise InvalidRecord(places) from None
    return checked


def _graph_faults(
    document_type: DocumentType, graph: Mapping[str, Any], known: Mapping[str, str]
) -> dict[str, str]:
    """What a graph lacks as a whole: both of its lists, ids, and entities for its references."""
    if known:
        return {}
    missing = [name for name in document_type.field_names if name not in graph]
    if missing and graph:
        why = "send the whole graph: its relations refer to its entities"
        return dict.fromkeys(missing, why)
    return faults_of(graph)


def _page_faults(document: Mapping[str, Any]) -> dict[str, str]:
    faults = {}
    for index, page in enumerate(document.get("pages") or ()):
        if (page or {}).get("rotation_correction") not in {None, *DEGREES}:
            faults[f"pages.{index}.rotation_correction"] = "0, 90, 180 or 270 is expected"
    return faults


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
    if spec.kind is Kind.LIST:
        return _checked_list(spec, value, path, faults, depth)
    if spec.kind is not Kind.OBJECT:
        return _checked_leaf(spec, spec.kind, value, path, faults)
    if isinstance(value, dict):
        return _checked_object(spec.children, value, f"{path}.", faults, depth)
    faults[path] = "an object is expected"
    return None


def _checked_list(
    spec: FieldSpec, value: Any, path: str, faults: dict[str, str], depth: int
) -> list[Any] | None:
    if not isinstance(value, list):
        faults[path] = "a list is expected; send the whole list, not one element"
        return None
    if len(value) > spec.max_items:
        faults[path] = f"at most {spec.max_items} elements are accepted"
        return None
    checked: list[Any] = []
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
    expected = f"{_EXPECTED.get(kind, 'text')} is expected"
    if kind is Kind.CHOICE:
        expected = f"one of {', '.join(spec.choices)} is expected"
    if not isinstance(value, str | int | float) or isinstance(value, bool) or _is_huge(value):
        faults[path] = expected
        return None
    text = format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)
    fault = _fault_of(text, spec)
    if fault is not None:
        faults[path] = fault
        return None
    # A response's own form first: "1.234" on a page may be thousands, here it is a decimal string.
    if kind in _DECIMALS and re.fullmatch(PATTERNS[kind], text):
        return to_json(Decimal(text))
    known = value_of(kind, spec, text)
    if known is None:
        faults[path] = expected
    return to_json(known)


def _fault_of(text: str, spec: FieldSpec) -> str | None:
    if "\x00" in text:
        return "it holds a NUL character"
    if not text.strip():
        return "it is empty; send null for a field that is absent"
    if len(text) > spec.max_length:
        return f"at most {spec.max_length} characters are accepted"
    return None


def _is_huge(value: str | float) -> bool:
    """A number that no document prints: its digits alone may take seconds to write."""
    if isinstance(value, str):
        return False
    return not math.isfinite(value) if isinstance(value, float) else abs(value) >= _LARGEST
