"""All verdicts on a record: those of its type, those of its fields' kinds, and what is missing."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from extraction.checks import Check, Verdict, check_passport, check_receipt
from extraction.document_types.base import DocumentType
from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.document import is_document
from extraction.document_types.graph import is_graph
from extraction.document_types.passport import Passport
from extraction.document_types.receipt import Receipt
from extraction.document_types.record import Record
from extraction.lines import Line
from extraction.mrz import FoundMrz, find_mrz
from extraction.record import to_json
from extraction.structure_checks import check_document, check_graph

_R = TypeVar("_R", bound=Record)


def find_zone(document_type: DocumentType, lines: Sequence[Line]) -> FoundMrz | None:
    """The machine-readable zone, for types that have one."""
    has_zone = document_type.name == BUILT_IN["passport"].name
    return find_mrz(lines) if has_zone else None


def verdicts_on(
    document_type: DocumentType,
    record: Record,
    zone: FoundMrz | None,
    misfits: Sequence[str],
) -> list[Check]:
    """Every verdict on a record.

    Args:
        document_type: with the asked fields.
        record: as the model read it.
        zone: the machine-readable zone, if there is one.
        misfits: paths of texts that do not fit their kind.
    """
    return [
        *_of_the_type(document_type, record, zone),
        *_format_checks(misfits),
        *_required_checks(document_type, record),
    ]


def _of_the_type(document_type: DocumentType, record: Record, zone: FoundMrz | None) -> list[Check]:
    """A caller's own type has no verdicts of its own."""
    today = datetime.now(UTC).date()
    values = {name: getattr(record, name) for name in type(record).model_fields}
    if document_type.name == BUILT_IN["receipt"].name:
        return check_receipt(_as(Receipt, values), today)
    if document_type.name == BUILT_IN["passport"].name:
        return check_passport(_as(Passport, values), zone.mrz if zone else None, today)
    if is_document(document_type):
        return check_document(to_json(record))
    if is_graph(document_type):
        return check_graph(to_json(record))
    return []


def _as(model: type[_R], values: Mapping[str, Any]) -> _R:
    return model.model_validate(
        {name: _plain(value) for name, value in values.items()}, strict=False
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return {name: _plain(getattr(value, name)) for name in type(value).model_fields}
    return tuple(_plain(element) for element in value) if isinstance(value, tuple) else value


def _format_checks(misfits: Sequence[str]) -> list[Check]:
    return [
        Check(f"format.{path}", Verdict.FAIL, "The text does not fit the field's kind.", (path,))
        for path in misfits
    ]


def _required_checks(document_type: DocumentType, record: Record) -> list[Check]:
    """A required field that is absent is reported, never forced: a forced one would be invented."""
    checks = []
    for spec in document_type.fields:
        if spec.required:
            absent = getattr(record, spec.name) in (None, ())
            verdict = Verdict.FAIL if absent else Verdict.PASS
            detail = "The field was not found." if absent else "The field was found."
            checks.append(Check(f"required.{spec.name}", verdict, detail, (spec.name,)))
    return checks
