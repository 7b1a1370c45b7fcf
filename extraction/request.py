"""What a caller wants of one document, and the answer to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from extraction.checks import Check
from extraction.classify import TypeClassifier
from extraction.confidence import Calibration
from extraction.document_types.base import DocumentType
from extraction.evidence import ReadField
from extraction.lines import Line, LineReader
from extraction.pages import Page, PageLimits
from extraction.prompt import AnswerFormat
from extraction.tower_reader import TowerReader
from extraction.traits import ModelTraits

UNKNOWN_TYPE: Final = "unknown"
NOT_ASKED: Final = "not-asked"


@dataclass(frozen=True, slots=True)
class ExtractRequest:
    """What a caller wants from one document.

    Attributes:
        content: the file's bytes, or those of a plain text in UTF-8.
        document_type: the type, or None to let `auto` decide.
        fields: top-level fields to answer; empty for all.
        reasoning: think before answering.
        answer_format: how the model writes its answer.
        use_lines: whether the OCR's lines go into the prompt. Without them a model has to see, and
            the page is read for `auto` alone.
        is_text: whether the content is a plain text, which has no pages.
    """

    content: bytes
    document_type: DocumentType | None
    fields: tuple[str, ...] = ()
    reasoning: bool = False
    answer_format: AnswerFormat = AnswerFormat.JSON
    use_lines: bool = True
    is_text: bool = False


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
        model_version: the version that answered; the one in use where none was asked.
        timings_seconds: per stage: decode, lines, prompt, queue, engine, checks.
        pages: the decoded pages.
        lines: what the OCR read, all pages; nothing of what the model read itself.
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


@dataclass(frozen=True, slots=True)
class Readers:
    """What reads a document beside the engine; made once, at start.

    Attributes:
        lines: the OCR, None where it is switched off for good.
        classifier: decides `auto`.
        calibration: of the version that is served first; turns signals into confidence.
        traits: facts about that version; further ones come by `Extractor.add_version`.
        page_limits: how large a document may be.
        max_characters: most characters of lines in a prompt.
        max_images: most pages that a model that sees is shown.
        tower: reads what the OCR may not, for versions that read with the default model's tower.
    """

    lines: LineReader | None
    classifier: TypeClassifier
    calibration: Calibration
    traits: ModelTraits
    page_limits: PageLimits = field(default_factory=PageLimits)
    max_characters: int = 9000
    max_images: int = 1
    tower: TowerReader | None = None
