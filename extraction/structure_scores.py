"""Scores of what is no flat record: a page's Markdown, a whole document, a graph.

    Markdown   1 - d(a, b) / max(|a|, |b|), d the Levenshtein distance in characters
    document   the same on the texts of all pages, in order
    graph      F1 of its entities, by text and type; F1 of its relations, by both ends and type

Each lies in 0 to 1. The normalised edit distance is that of OmniDocBench (arXiv 2412.07626); both
F1 are the strict ones of relation extraction (Taillé et al. 2020, arXiv 2009.10684): ends count by
their text and their type.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any

from rapidfuzz.distance import Levenshtein

from extraction.document_types.graph import entities_of, triples_of


def markdown_similarity(reference: str, text: str) -> float:
    """1 less the normalised edit distance of two texts, 0 to 1; 1 where both are empty.

    Lines end without white space and blank lines stand alone, so that only what is seen counts.
    """
    return Levenshtein.normalized_similarity(_tidy(reference), _tidy(text))


def document_score(reference: Mapping[str, Any], record: Mapping[str, Any]) -> float | None:
    """How well the pages of a record have the text of the reference's; None without reference."""
    if not reference.get("pages"):
        return None
    return markdown_similarity(_text_of(reference), _text_of(record))


def graph_scores(reference: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, float]:
    """F1 of "entities" and "relations", each where the reference has some."""
    scores: dict[str, float] = {}
    if expected := entities_of(reference):
        scores["entities"] = f1(expected, entities_of(record))
    if expected_triples := triples_of(reference):
        scores["relations"] = f1(expected_triples, triples_of(record))
    return scores


def f1(expected: Counter[Any], answered: Counter[Any]) -> float:
    """2 x common / (expected + answered), 0 to 1, elements counted as often as they stand."""
    common: Counter[Hashable] = expected & answered
    total = expected.total() + answered.total()
    return 2 * common.total() / total if total else 1.0


def _text_of(record: Mapping[str, Any]) -> str:
    pages = record.get("pages")
    found = pages if isinstance(pages, list | tuple) else ()
    return "\n\n".join(
        str(page.get("natural_text") or "") for page in found if isinstance(page, Mapping)
    )


def _tidy(text: str) -> str:
    lines = (line.rstrip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
