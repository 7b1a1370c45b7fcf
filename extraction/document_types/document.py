"""The document: whole pages as Markdown, one element of `pages` for each page.

A page's five facts and its text carry the names that olmOCR gave them (arXiv 2502.18443): a model
writes them as a front matter with the text behind it, which `extraction/markdown/` reads.
"""

from typing import Final

from extraction.document_types.base import DocumentType
from extraction.document_types.record import (
    Boolean,
    Integer,
    Label,
    Markdown,
    Record,
    fields_of,
    spec,
)

DEGREES: Final = (0, 90, 180, 270)
"""By which a page may be turned, clockwise."""

LONGEST_PAGE: Final = 50_000
"""Most characters of one page's text."""


class ParsedPage(Record):
    """One page: five facts about it, and its text."""

    primary_language: Label | None = spec(
        "Language of most of the text, as en or pt", max_length=20
    )
    is_rotation_valid: Boolean | None = spec("Whether the page as it was sent is upright")
    rotation_correction: Integer | None = spec(
        "Clockwise degrees that make the page as it was sent upright: 0, 90, 180 or 270"
    )
    is_table: Boolean | None = spec("Whether most of the page is a table")
    is_diagram: Boolean | None = spec("Whether most of the page is a drawing or a chart")
    natural_text: Markdown | None = spec(
        "The page as Markdown in reading order, without headers, footers and page numbers",
        max_length=LONGEST_PAGE,
    )


class Document(Record):
    """Every page of a document, in order."""

    pages: tuple[ParsedPage, ...] = spec("The pages in order", many=True, max_items=500)


DOCUMENT = DocumentType(
    name="document",
    version=1,
    fields=fields_of(Document),
    description="A document of any kind, read whole as Markdown.",
)


def is_document(document_type: DocumentType) -> bool:
    """Whether a type, or a selection of its fields, is the one that is read page by page."""
    return document_type.name == DOCUMENT.name
