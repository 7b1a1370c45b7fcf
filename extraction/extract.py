"""The serving sentence: bytes -> pages -> lines -> prompt -> engine -> record -> checks, evidence.

`Extractor.extract` reads as that sentence; each step is one function of one file. What a step
costs is measured here and goes into the response, the log and the metrics under the step's name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from extraction.checks import Check
from extraction.document_types.base import DocumentType
from extraction.engine import Completion
from extraction.evidence import ReadField
from extraction.lines import Line
from extraction.pages import Page
from extraction.prompt import AnswerFormat

UNKNOWN_TYPE = "unknown"


@dataclass(frozen=True, slots=True)
class ExtractRequest:
    """What a caller wants from one document.

    Attributes:
        content: the file's bytes.
        document_type: the type, or None to let `auto` decide.
        fields: top-level fields to answer; empty for all.
        reasoning: think before answering.
        answer_format: how the model writes its answer.
        use_lines: whether the OCR's lines go into the prompt. Without them a model has to see.
    """

    content: bytes
    document_type: DocumentType | None
    fields: tuple[str, ...] = ()
    reasoning: bool = False
    answer_format: AnswerFormat = AnswerFormat.JSON
    use_lines: bool = True


@dataclass(frozen=True, slots=True)
class Extraction:
    """The answer to one document, ready to be stored and returned.

    Attributes:
        document_type: name of the type, "unknown" where `auto` found none that fits.
        document_type_version: version of that type.
        type_confidence: how sure `auto` was, 0 to 1; 1 where the caller named the type.
        record: normalised values as JSON, nested; absent fields are None, lists may be empty.
        fields: each read leaf by its path, as "items.0.total_price".
        checks: verdicts on the record.
        warnings: stable slugs of what a reader should know, as "answer-cut" or "lines-left-out".
        reasoning: the model's thought where one was asked for.
        entity_tokens: the record in entity tokens where that format was asked for.
        schema_valid: whether the completion parsed and every value fitted its kind.
        timings_seconds: per stage: decode, lines, queue, engine, checks.
        pages: the decoded pages.
        lines: what the OCR read, all pages.
    """

    document_type: str
    document_type_version: int
    type_confidence: float
    record: Mapping[str, Any]
    fields: Mapping[str, ReadField]
    checks: tuple[Check, ...]
    warnings: tuple[str, ...]
    reasoning: str | None
    entity_tokens: str | None
    schema_valid: bool
    model_version: str
    prompt_hash: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    timings_seconds: Mapping[str, float]
    pages: tuple[Page, ...] = field(repr=False, default=())
    lines: tuple[Line, ...] = field(repr=False, default=())
