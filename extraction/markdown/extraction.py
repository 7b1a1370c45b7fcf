"""Pages as they were read -> the answer to a document: record, fields, checks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from extraction.checks import Check
from extraction.engine import Completion
from extraction.evidence import ReadField, Source
from extraction.fields import Judged, read_fields
from extraction.markdown.front_matter import TEXT
from extraction.markdown.parse import PageReading
from extraction.nesting import nested
from extraction.prompt import Asked, prompt_hash
from extraction.record import NormalisedRecord, normalise_record
from extraction.request import NOT_ASKED, Extraction
from extraction.verdicts import verdicts_on
from extraction.versions import KnownVersion

CUT: Final = "answer-cut"
NO_TEXT: Final = "no-text"


def extraction_of(
    readings: Sequence[PageReading], asked: Asked, version: KnownVersion, answered: str
) -> Extraction:
    """The answer to one document; its timings and pages are the caller's to add.

    Args:
        readings: of every page, in order.
        asked: the document type, with the asked fields.
        version: whose calibration tells how sure a page is.
        answered: name of the version that answered, or that would have been asked.
    """
    document_type = asked.document_type
    texts = {path: text for reading in readings for path, text in reading.texts.items()}
    normalised = normalise_record(document_type, texts)
    checks = verdicts_on(document_type, normalised.record, None, normalised.misfits)
    fields: dict[str, ReadField] = {}
    for reading in readings:
        fields |= _fields(reading, normalised, checks, version)
    completions = [completion for reading in readings for completion in reading.completions]
    is_whole = all(reading.is_whole for reading in readings)
    lines = tuple(line for reading in readings for line in reading.lines)
    warnings = [slug for reading in readings for slug in reading.warnings]
    warnings += [] if is_whole else [CUT]
    warnings += [] if any(path.endswith(TEXT) for path in fields) else [NO_TEXT]
    thoughts = [reading.thought for reading in readings if reading.thought]
    return Extraction(
        document_type=document_type.name,
        document_type_version=document_type.version,
        type_confidence=1.0,
        record=nested(document_type, fields),
        fields=fields,
        checks=tuple(checks),
        warnings=tuple(dict.fromkeys(warnings)),
        reasoning="\n\n".join(thoughts) or None,
        entity_tokens=None,
        schema_valid=is_whole and not normalised.misfits,
        model_version=answered,
        prompt_hash=prompt_hash(asked),
        finish_reason=_finish_reason(readings),
        prompt_tokens=_total(completions, "prompt_tokens"),
        completion_tokens=_total(completions, "completion_tokens"),
        timings_seconds={},
        lines=lines,
    )


def _fields(
    reading: PageReading,
    normalised: NormalisedRecord,
    checks: Sequence[Check],
    version: KnownVersion,
) -> Mapping[str, ReadField]:
    """A page's fields by their paths. A text stands in its value alone, for it is long."""
    if reading.completion is None:
        return {
            path: ReadField(
                path=path,
                value=normalised.values[path],
                raw=None if path.endswith(TEXT) else text,
                confidence=_score(reading),
                evidence=reading.places.get(path),
                source=Source.LINES,
            )
            for path, text in reading.texts.items()
        }
    places = {leaf.path: reading.places.get(leaf.path) for leaf in reading.leaves}
    judged = Judged(normalised.values, places, checks)
    found = read_fields("document", reading.leaves, judged, reading.completion, version.calibration)
    return {
        path: replace(read, raw=None) if path.endswith(TEXT) else read
        for path, read in found.items()
    }


def _score(reading: PageReading) -> float:
    """How sure the OCR is of the page's characters; nobody has fitted anything on it."""
    count = sum(len(line.text) for line in reading.lines)
    total = sum(line.score * len(line.text) for line in reading.lines)
    return round(total / count, 4) if count else 0.0


def _finish_reason(readings: Sequence[PageReading]) -> str:
    reasons = [reading.completion.finish_reason for reading in readings if reading.completion]
    return next(
        (reason for reason in reasons if reason != "stop"), reasons[0] if reasons else NOT_ASKED
    )


def _total(completions: Sequence[Completion], name: str) -> int:
    return sum(getattr(completion, name) for completion in completions)
