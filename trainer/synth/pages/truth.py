"""The truth of a page: its Markdown with the front matter, and the graph that it states."""

from collections.abc import Mapping, Sequence
from typing import Any

from extraction.document_types.graph import MOST_ENTITIES, MOST_RELATIONS
from extraction.markdown.front_matter import TEXT, write_page
from trainer.synth.pages.html_tree import Element
from trainer.synth.pages.pieces import Piece

# Most of a page is a table, or a drawing, above this share of its content's area.
_MOST = 0.5


def page_record(
    pieces: Sequence[Piece],
    *,
    language: str | None,
    degrees: int = 0,
    table_ratio: float = 0.0,
    figure_ratio: float = 0.0,
) -> dict[str, Any]:
    """The page as the type `document` has it.

    Args:
        pieces: in reading order.
        language: ISO 639-1; None where it is not known.
        degrees: clockwise, that make the page's image upright.
        table_ratio: of the content's area, 0 to 1.
        figure_ratio: of the content's area, 0 to 1.
    """
    return {
        "primary_language": language,
        "is_rotation_valid": degrees == 0,
        "rotation_correction": degrees,
        "is_table": table_ratio > _MOST,
        "is_diagram": figure_ratio > _MOST,
        TEXT: "\n\n".join(piece.markdown for piece in pieces),
    }


def markdown_of(record: Mapping[str, Any]) -> str:
    """What a perfect model answers: front matter and text."""
    return write_page(record)


def graph_of(body: Element) -> dict[str, Any]:
    """The graph of a page or text whose every name is marked, as the type `graph` has it.

    Entities stand in the order in which they are first named, each text and type once; so do
    relations. Marks are those of `trainer.synth.pages.facts`.
    """
    ids: dict[tuple[str, str], str] = {}
    by_text: dict[str, str] = {}
    for element in body.elements():
        if kind := element.attributes.get("data-entity"):
            text = " ".join(element.text().split())
            if len(ids) < MOST_ENTITIES:
                ids.setdefault((text, kind), f"e{len(ids) + 1}")
                by_text.setdefault(text, ids.get((text, kind), ""))
    relations: dict[tuple[str, str, str], None] = {}
    for element in body.elements():
        if kind := element.attributes.get("data-fact"):
            head = by_text.get(element.attributes.get("data-head", ""))
            tail = by_text.get(element.attributes.get("data-tail", ""))
            if head and tail and len(relations) < MOST_RELATIONS:
                relations.setdefault((head, kind, tail))
    return {
        "entities": [{"id": key, "text": text, "type": kind} for (text, kind), key in ids.items()],
        "relations": [{"head": h, "type": kind, "tail": t} for h, kind, t in relations],
    }
