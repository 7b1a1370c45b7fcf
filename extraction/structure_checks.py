"""Verdicts on what is no flat record: the pages of a document, and a graph."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from extraction.checks import Check, Verdict
from extraction.document_types.graph import entities_of, faults_of, triples_of
from extraction.markdown.repetition import loops

_TAGS: Final = ("table", "tr", "td", "th")
_MATH: Final = ((r"\[", r"\]"), (r"\(", r"\)"))


def check_document(record: Mapping[str, Any]) -> list[Check]:
    """The verdicts on a document, always the same four in the same order."""
    texts = [str(page.get("natural_text") or "") for page in record.get("pages") or ()]
    return [
        _verdict("text_found", "pages", bool(any(texts)) if texts else None, _TEXT_FOUND),
        _verdict("no_repetition", "pages", _each(texts, lambda text: not loops(text)), _REPEATS),
        _verdict("tables_closed", "pages", _each(texts, _tables_are_closed), _TABLES),
        _verdict("math_closed", "pages", _each(texts, _math_is_closed), _MATHS),
    ]


def check_graph(record: Mapping[str, Any]) -> list[Check]:
    """The verdicts on a graph, always the same four in the same order."""
    entities, relations = entities_of(record), triples_of(record)
    listed = record.get("relations") or ()
    own = [relation for relation in listed if relation.get("head") == relation.get("tail")]
    resolves = not faults_of(record) if listed else None
    return [
        _verdict("references_resolve", "relations", resolves, _RESOLVES),
        _verdict(
            "entities_distinct",
            "entities",
            max(entities.values()) == 1 if entities else None,
            _ENTITIES,
        ),
        _verdict(
            "relations_distinct",
            "relations",
            max(relations.values()) == 1 if relations else None,
            _RELATIONS,
        ),
        _verdict("relations_join_two", "relations", not own if listed else None, _TWO),
    ]


_TEXT_FOUND = ("A page has text.", "No page has any text.")
_REPEATS = ("No text goes round in circles.", "The text of a page repeats itself at length.")
_TABLES = ("Every table is closed.", "A table, a row or a cell is not closed.")
_MATHS = ("Every formula is closed.", "A formula is not closed.")
_RESOLVES = ("Every reference finds its entity.", "A reference finds no entity.")
_ENTITIES = ("No entity stands twice.", "An entity stands twice.")
_RELATIONS = ("No relation stands twice.", "A relation stands twice.")
_TWO = ("Every relation joins two entities.", "A relation joins an entity with itself.")


def _verdict(name: str, field: str, passed: bool | None, said: tuple[str, str]) -> Check:
    if passed is None:
        return Check(name, Verdict.NOT_APPLICABLE, "There is nothing to look at.", (field,))
    verdict = Verdict.PASS if passed else Verdict.FAIL
    return Check(name, verdict, said[not passed], (field,))


def _each(texts: Sequence[str], passes: Callable[[str], bool | None]) -> bool | None:
    """Whether it holds for every text that it says something of; None where there is none."""
    said = [passed for text in texts if text and (passed := passes(text)) is not None]
    return all(said) if said else None


def _tables_are_closed(text: str) -> bool | None:
    counts = [
        (len(re.findall(rf"<{tag}[\s>]", text)), len(re.findall(rf"</{tag}>", text)))
        for tag in _TAGS
    ]
    return all(opened == closed for opened, closed in counts) if any(map(any, counts)) else None


def _math_is_closed(text: str) -> bool | None:
    counts = [(text.count(begin), text.count(end)) for begin, end in _MATH]
    return all(opened == closed for opened, closed in counts) if any(map(any, counts)) else None
