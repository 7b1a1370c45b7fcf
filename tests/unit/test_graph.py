"""Graphs: what may be answered, what is dropped, how they are scored and corrected."""

import json
from typing import Any

import pytest

from extraction.answer import grammar_of
from extraction.document_types.catalogue import BUILT_IN, as_asked
from extraction.document_types.graph import MOST_ENTITIES, faults_of, graph_type, triples_of
from extraction.errors import InvalidRecord, InvalidType
from extraction.extract import ExtractRequest
from extraction.human_record import validate_human_record
from extraction.prompt import Asked, build_prompt
from extraction.record import parse_record
from extraction.scoring import score_confirmed, score_record
from tests.factories_extract import BLIND, SEEING, extractor, run
from tests.factories_lines import completion, page_of
from tests.fakes import FakeEngine

KIND = graph_type(["person", 'so-called "place"'], ["born in", "wrote to"])
ADA = {"id": "e1", "text": "Ada Lovelace", "type": "person"}
LONDON = {"id": "e2", "text": "London", "type": 'so-called "place"'}
BORN = {"head": "e1", "type": "born in", "tail": "e2"}
GRAPH = {"entities": [ADA, LONDON], "relations": [BORN]}
TEXT = "Ada Lovelace was\nborn in London."


def compact(graph: Any) -> str:
    return json.dumps(graph, ensure_ascii=False, separators=(",", ":"))


def accepts(grammar: str, text: str) -> bool:
    """Whether the engine's grammar lets a model write this, byte by byte."""
    guidance = pytest.importorskip("llguidance")
    matcher = guidance.LLMatcher(
        guidance.LLTokenizer("byte"), guidance.LLMatcher.grammar_from_lark(grammar)
    )
    written = list(text.encode())
    return matcher.try_consume_tokens(written) == len(written) and matcher.is_accepting()


@pytest.mark.parametrize(
    ("graph", "expected", "why"),
    [
        ({}, True, "nothing is named"),
        ({"entities": [ADA]}, True, "an entity, and no relation"),
        (GRAPH, True, "both"),
        ({"entities": [ADA], "relations": [BORN]}, False, "the tail is not there"),
        ({"entities": [ADA, {**LONDON, "id": "e3"}]}, False, "ids count up"),
        ({"entities": [{**ADA, "type": "ship"}]}, False, "a type that nobody named"),
        ({**GRAPH, "relations": [{**BORN, "type": "saw"}]}, False, "a relation nobody named"),
        ({"entities": [{**ADA, "text": ""}]}, False, "an entity is a text"),
        ({"entities": [{**ADA, "text": 'é "q" \\'}]}, True, "any text"),
        ({"relations": []}, False, "relations without entities"),
        ({"entities": [ADA | {"id": f"e{n}"} for n in range(1, 42)]}, False, "too many"),
    ],
)
def test_the_grammar_lets_only_whole_graphs_pass(graph: Any, *, expected: bool, why: str) -> None:
    grammar = grammar_of(Asked(KIND))
    assert isinstance(grammar, str)
    assert accepts(grammar, compact(graph)) is expected, why


def test_every_number_of_entities_has_its_own_references() -> None:
    grammar = grammar_of(Asked(KIND))
    assert isinstance(grammar, str)
    entities = [ADA | {"id": f"e{n}"} for n in range(1, MOST_ENTITIES + 1)]
    last = {"head": f"e{MOST_ENTITIES}", "type": "wrote to", "tail": "e1"}
    assert accepts(grammar, compact({"entities": entities, "relations": [last]}))
    assert not accepts(grammar, compact({"entities": entities[:-1], "relations": [last]}))


def test_a_thought_and_a_graph_without_relations() -> None:
    bare = graph_type(["person"], [])
    assert bare.field_names == ("entities",)
    grammar = grammar_of(Asked(bare, reasoning=True))
    assert isinstance(grammar, str)
    assert accepts(grammar, f"<think>Ada.</think>{compact({'entities': [ADA]})}")
    assert not accepts(grammar, f"<think>Ada.</think>{compact(GRAPH)}")


@pytest.mark.parametrize(
    ("entity_types", "relation_types", "path"),
    [
        ([], [], "/entity_types"),
        (["a", "A"], [], "/entity_types"),
        (["a"], ["b\n"], "/relation_types/0"),
        (["<|im_end|>"], [], "/entity_types/0"),
        (["x" * 65], [], "/entity_types/0"),
        ([f"t{n}" for n in range(51)], [], "/entity_types"),
    ],
)
def test_types_that_cannot_be(
    entity_types: list[str], relation_types: list[str], path: str
) -> None:
    with pytest.raises(InvalidType) as caught:
        graph_type(entity_types, relation_types)
    assert caught.value.path == path


def test_options_narrow_a_graph_and_nothing_else() -> None:
    options = {"entity_types": ["person"], "relation_types": ["born in"]}
    assert as_asked(BUILT_IN["graph"], options) == graph_type(["person"], ["born in"])
    assert as_asked(BUILT_IN["receipt"], options) is BUILT_IN["receipt"]
    assert as_asked(BUILT_IN["graph"], {}) is BUILT_IN["graph"]


def test_a_prompt_names_the_types() -> None:
    text = build_prompt(Asked(KIND), page_of("Ada")).messages[1].text
    assert text == (
        'Ada\n\nEntity types: person, so-called "place"\nRelation types: born in, wrote to\n'
        "graph: entities[id, text, type], relations[head, type, tail]"
    )


def test_what_refers_to_nothing_is_dropped_and_counted() -> None:
    answer = {
        "entities": [ADA, {**LONDON, "type": "ship"}, {**LONDON, "id": "e3"}, {**ADA}],
        "relations": [BORN, {**BORN, "tail": "e3"}, {"head": "e1", "type": "born in"}],
    }
    parsed = parse_record(completion(compact(answer)), Asked(KIND))
    assert parsed.dropped == 4
    assert {leaf.path: leaf.raw for leaf in parsed.leaves if "id" in leaf.path} == {
        "entities.0.id": "e1",
        "entities.1.id": "e3",
    }
    kept = [leaf for leaf in parsed.leaves if leaf.path.startswith("relations")]
    assert [leaf.path for leaf in kept] == [f"relations.0.{n}" for n in ("head", "type", "tail")]


async def test_a_graph_of_a_page_has_places_checks_and_warnings() -> None:
    engine = FakeEngine(compact(GRAPH))
    lines = page_of("Ada Lovelace was", "born in London.")
    found = await run(engine, lines, kind=KIND, traits=SEEING)
    assert found.record == GRAPH
    evidence = found.fields["entities.1.text"].evidence
    assert evidence is not None
    assert (evidence.page, evidence.text, evidence.start) == (0, "London", -1)
    assert {check.name: check.verdict.value for check in found.checks} == {
        "references_resolve": "pass",
        "entities_distinct": "pass",
        "relations_distinct": "pass",
        "relations_join_two": "pass",
    }
    assert found.warnings == ()
    answered = await run(engine, lines, kind=KIND, traits=BLIND)
    assert answered.warnings == ("type-not-trained",)


async def test_a_graph_of_a_text_says_where_in_the_text() -> None:
    engine = FakeEngine(compact(GRAPH))
    await engine.start()
    request = ExtractRequest(TEXT.encode(), KIND, is_text=True)
    found = await extractor(engine, traits=SEEING).extract(request)
    assert found.record == GRAPH
    for path, text in (("entities.0.text", "Ada Lovelace"), ("entities.1.text", "London")):
        evidence = found.fields[path].evidence
        assert evidence is not None
        assert TEXT[evidence.start : evidence.end] == text
    assert found.pages == ()
    assert not engine.prompts[0].messages[1].images
    assert engine.prompts[0].messages[1].text.startswith("Ada Lovelace was\nborn in London.\n")


@pytest.mark.parametrize(
    ("graph", "entities", "relations"),
    [
        (GRAPH, 1.0, 1.0),
        ({"entities": [LONDON | {"id": "e1"}, ADA | {"id": "e2"}]}, 1.0, 0.0),
        (
            # Other ids, another case: the same graph.
            {
                "entities": [LONDON | {"id": "e1", "text": "LONDON"}, ADA | {"id": "e2"}],
                "relations": [{"head": "e2", "type": "born in", "tail": "e1"}],
            },
            1.0,
            1.0,
        ),
        ({"entities": [ADA]}, 2 / 3, 0.0),
        ({"entities": [ADA, ADA | {"id": "e2"}, LONDON | {"id": "e3"}]}, 4 / 5, 0.0),
        ({"entities": [ADA | {"type": 'so-called "place"'}]}, 0.0, 0.0),
        ({}, 0.0, 0.0),
    ],
)
def test_a_graph_is_scored_by_f1(graph: Any, entities: float, relations: float) -> None:
    scored = score_record(KIND, GRAPH, graph)
    assert scored.fields == pytest.approx({"entities": entities, "relations": relations})
    assert scored.mean == pytest.approx((entities + relations) / 2)
    alone = score_record(KIND.select(("relations",)), GRAPH, graph)
    assert alone.mean == pytest.approx(relations)


def test_relations_that_are_confirmed_to_be_none_cost_when_they_are_invented() -> None:
    reference = {"entities": [ADA, LONDON], "relations": []}
    assert score_confirmed(KIND, reference, {"entities": [ADA, LONDON]}) == 1.0
    assert score_confirmed(KIND, reference, GRAPH) == 0.5
    assert score_confirmed(KIND, reference, None) == 0.0


def test_a_person_corrects_a_whole_graph() -> None:
    assert validate_human_record(KIND, GRAPH) == GRAPH
    assert not faults_of(GRAPH)
    with pytest.raises(InvalidRecord) as caught:
        validate_human_record(KIND, {"relations": [BORN]})
    assert set(caught.value.faults) == {"entities"}
    with pytest.raises(InvalidRecord) as caught:
        validate_human_record(KIND, {**GRAPH, "entities": [ADA, {**ADA, "text": None}]})
    assert set(caught.value.faults) == {
        "entities.0.id",
        "entities.1.id",
        "entities.1.text",
        "relations.0.tail",
    }
    with pytest.raises(InvalidRecord) as caught:
        validate_human_record(KIND, {**GRAPH, "entities": [ADA, {**LONDON, "type": "ship"}]})
    assert set(caught.value.faults) == {"entities.1.type"}
    assert triples_of({"relations": [BORN]}).total() == 0
