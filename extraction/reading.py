"""One document on its way from its pages to a record: what came, what is asked, what was read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from extraction.document_types.base import DocumentType
from extraction.engine import Prompt
from extraction.entity_tokens import can_write
from extraction.lines import Line
from extraction.mrz import FoundMrz
from extraction.pages import Page
from extraction.prompt import AnswerFormat, Asked
from extraction.request import ExtractRequest


@dataclass(frozen=True, slots=True)
class Source:
    """One document as it came.

    Attributes:
        request: what was asked.
        pages: decoded.
        lines: of the OCR, or of a text.
        can_read: whether these could be read at all.
        own_lines: what the model read itself, where the others may not be used and it can.
    """

    request: ExtractRequest
    pages: Sequence[Page]
    lines: Sequence[Line]
    can_read: bool
    own_lines: Sequence[Line] | None = None

    @property
    def with_ocr(self) -> bool:
        """Whether the OCR's lines are shown to the model."""
        return self.request.use_lines and self.can_read

    @property
    def was_read(self) -> bool:
        """Whether anything has looked for lines."""
        return self.can_read or self.own_lines is not None


@dataclass(frozen=True, slots=True)
class Reading:
    """One document whose type is known.

    Attributes:
        source: how it came.
        wanted: what the caller wants.
        asked: what of it the model is asked.
        lines: what was read, by the OCR or by the model itself.
        sure: how sure the type is, 0 to 1.
        zone: its machine-readable zone.
        prompt: None where the model is asked nothing.
        warnings: so far.
    """

    source: Source
    wanted: DocumentType
    asked: Asked
    lines: Sequence[Line]
    sure: float
    zone: FoundMrz | None
    prompt: Prompt | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoType:
    """A document of which `auto` makes nothing."""

    sure: float


def answerable(document_type: DocumentType, answer_format: AnswerFormat) -> DocumentType:
    """A type with the fields that the form of the answer can hold: entity tokens are flat."""
    if answer_format is AnswerFormat.JSON or all(map(can_write, document_type.fields)):
        return document_type
    return replace(document_type, fields=tuple(filter(can_write, document_type.fields)))
