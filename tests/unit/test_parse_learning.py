"""Corrections of documents, graphs and texts -> examples that ask as the service asks."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from extraction.document_types.catalogue import BUILT_IN
from extraction.lines import Line
from extraction.markdown.front_matter import write_page
from extraction.plain_text import text_lines
from tests.factories_extract import BLIND as TRAITS
from tests.factories_learning import OPTIONS, make_learnable
from tests.factories_lines import page_of
from trainer.changes import Case
from trainer.dataset import RunDataset, build_dataset
from trainer.profile import load_profile
from trainer.quarantine_rules import contradictions
from trainer.type_lookup import type_key

TEXT = "Ada Lovelace was born in London.\nShe wrote to Charles Babbage."
TYPES = {"entity_types": ["person", "place"], "relation_types": ["born in", "wrote to"]}
GRAPH = {
    "entities": [
        {"id": "e1", "text": "Ada Lovelace", "type": "person"},
        {"id": "e2", "text": "London", "type": "place"},
    ],
    "relations": [{"head": "e1", "type": "born in", "tail": "e2"}],
}
PAGE = {
    "primary_language": "en",
    "is_rotation_valid": True,
    "rotation_correction": 0,
    "is_table": False,
    "is_diagram": None,
    "natural_text": "# Report\n\nIt was a good year.",
}
REPORT = page_of("Report", "It was a good", "year.")


def built(kind: str, lines: Sequence[Line], record: Mapping[str, Any], **more: Any) -> RunDataset:
    item = make_learnable(lines, record, document_type=kind, **more)
    types = {type_key(item.prediction): BUILT_IN[kind]}
    return build_dataset([item], load_profile("small"), types=types, traits=TRAITS)


def test_a_page_is_learnt_in_the_form_that_it_is_answered_in() -> None:
    corrected = {**PAGE, "natural_text": "# Report\n\nIt was a very good year."}
    (made,) = built("document", REPORT, {"pages": [PAGE]}, said={"pages": [corrected]}).train
    assert made.example.completion == write_page(corrected)
    assert made.example.messages[-1][1] == "Report\nIt was a good\nyear.\n\ndocument: markdown"
    assert made.reference == {"pages": [corrected]}


def test_a_document_of_several_pages_is_left_out() -> None:
    dataset = built("document", REPORT, {"pages": [PAGE, PAGE]})
    assert dataset.train == ()
    assert [entry.reason for entry in dataset.manifest.dropped] == ["several-pages"]


def test_a_graph_of_a_text_is_learnt_with_its_types() -> None:
    options = {**OPTIONS, **TYPES, "text": True}
    (made,) = built("graph", text_lines(TEXT), GRAPH, options=options).train
    user = made.example.messages[-1][1]
    assert user.startswith(f"{TEXT}\n\nEntity types: person, place\nRelation types: born in")
    assert json.loads(made.example.completion) == GRAPH
    (held,) = built("graph", text_lines(TEXT), GRAPH, options=options, holdout=True).holdout
    assert held.options["entity_types"] == TYPES["entity_types"]


def test_ids_and_languages_are_no_values_that_a_page_has_to_print() -> None:
    fixed = {**GRAPH, "relations": [{"head": "e2", "type": "wrote to", "tail": "e1"}]}
    graph = make_learnable(text_lines(TEXT), GRAPH, fixed, document_type="graph")
    assert contradictions(Case(graph, BUILT_IN["graph"])) == []
    page = {**PAGE, "primary_language": "de"}
    told = make_learnable(REPORT, {"pages": [PAGE]}, {"pages": [page]}, document_type="document")
    assert contradictions(Case(told, BUILT_IN["document"])) == []
    invented = {**GRAPH, "entities": [{**GRAPH["entities"][0], "text": "Qwzx Vrjk"}]}
    doubted = make_learnable(text_lines(TEXT), GRAPH, invented, document_type="graph")
    assert contradictions(Case(doubted, BUILT_IN["graph"]))
