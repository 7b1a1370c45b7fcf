"""The graph rewards, worked out by hand."""

import json
from typing import Any

import pytest

from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.graph import graph_type
from extraction.prompt import AnswerFormat, Asked
from tests.factories_rewards import scores
from trainer.rewards import Task

ADA = {"id": "e1", "text": "Ada", "type": "person"}
LONDON = {"id": "e2", "text": "London", "type": "place"}
TURIN = {"id": "e3", "text": "Turin", "type": "place"}
BORN = {"head": "e1", "type": "born in", "tail": "e2"}
LIVES = {"head": "e1", "type": "lives in", "tail": "e3"}
REFERENCE = {"entities": [ADA, LONDON, TURIN], "relations": [BORN, LIVES]}
NAMES = ("graph_valid", "graph_entities", "graph_relations", "graph_relation_accuracy")


def task(reference: dict[str, Any] | None = None, *, reasoning: bool = False) -> Task:
    kind = graph_type(["person", "place"], ["born in", "lives in"])
    asked = Asked(kind, AnswerFormat.JSON, reasoning=reasoning)
    return Task(asked, REFERENCE if reference is None else reference, ())


def graph(*entities: Any, relations: Any = ()) -> str:
    return json.dumps({"entities": entities, "relations": list(relations)})


RIGHT = graph(ADA, LONDON, TURIN, relations=[BORN, LIVES])
RENAMED = RIGHT.replace("e1", "e9").replace("Ada", " ADA ")


@pytest.mark.parametrize(
    ("answer", "valid", "entities", "relations", "accuracy", "why"),
    [
        (RIGHT, 1, 1, 1, 1, "right"),
        (RENAMED, 1, 1, 1, 1, "ids and case say nothing"),
        (graph(ADA, LONDON, relations=[BORN]), 1, 4 / 5, 2 / 3, 1, "one of each is missing"),
        (
            graph(ADA, LONDON, TURIN, relations=[BORN, LIVES | {"type": "born in"}]),
            1,
            1,
            2 / 4,
            1 / 2,
            "a link of the wrong type",
        ),
        (
            graph(ADA, LONDON, TURIN, relations=[BORN | {"head": "e2", "tail": "e1"}]),
            1,
            1,
            0,
            0,
            "the other way round",
        ),
        (graph(ADA, LONDON, relations=[BORN, LIVES]), 3 / 4, 4 / 5, 2 / 3, 1, "no such end"),
        (graph(ADA, LONDON, LONDON | {"text": "Rome"}), 1 / 3, 4 / 6, 0, 0, "an id twice"),
        (graph(ADA | {"type": "ship"}), 0, 0, 0, 0, "a type that nobody asked for"),
        (graph(ADA | {"text": ""}), 0, 0, 0, 0, "a part is empty"),
        (graph({"id": "e1", "text": "Ada"}), 0, 0, 0, 0, "a part is missing"),
        (graph(ADA | {"age": "9"}), 0, 2 / 4, 0, 0, "a part too many"),
        (graph(ADA, 7, ["e1"], {"id": ["e1"]}, None), 1 / 5, 2 / 8, 0, 0, "no elements"),
        (graph(*[ADA] * 9), 0, 2 / 12, 0, 0, "the same over and over"),
        ('{"entities":[]}', 0, 0, 0, 0, "empty"),
        ("{}", 0, 0, 0, 0, "empty"),
        ('{"entities":{}}', 0, 0, 0, 0, "no list"),
        ('{"people":[]}', 0, 0, 0, 0, "another name"),
        ("[]", 0, 0, 0, 0, "no object"),
        (RIGHT[:-1], 0, 0, 0, 0, "no JSON"),
        (f"```json\n{RIGHT}\n```", 0, 0, 0, 0, "JSON with something around it"),
        ("[" * 9000, 0, 0, 0, 0, "a nest"),
        ("", 0, 0, 0, 0, "nothing"),
    ],
)
def test_graph(
    answer: str, valid: float, entities: float, relations: float, accuracy: float, why: str
) -> None:
    scored = scores(task(), answer)
    found = [scored[name] for name in NAMES]
    assert found == [pytest.approx(x) for x in (valid, entities, relations, accuracy)], why


def test_a_cut_graph_is_not_valid() -> None:
    assert scores(task(), RIGHT, ended=False)["graph_valid"] == 0.0


def test_a_thought_is_only_for_those_who_asked() -> None:
    thought = f"<think>Two towns.</think>{RIGHT}"
    assert scores(task(), thought)["graph_valid"] == 0.0
    scored = scores(task(reasoning=True), thought)
    assert [scored[name] for name in NAMES] == [1.0] * 4


def test_a_page_without_anything() -> None:
    scored = scores(task({"entities": [], "relations": []}), '{"entities":[],"relations":[]}')
    assert [scored[name] for name in NAMES] == [1.0, 1.0, 1.0, None]
    scored = scores(task({"entities": [], "relations": []}), graph(ADA))
    assert [scored[name] for name in NAMES] == [1.0, 0.0, 1.0, None]


def test_what_nobody_confirmed_is_not_scored() -> None:
    scored = scores(task({"entities": [ADA]}), graph(ADA))
    assert [scored[name] for name in NAMES] == [1.0, 1.0, None, None]
    receipt = Task(Asked(BUILT_IN["receipt"], AnswerFormat.JSON), {"total": "1.00"}, ())
    assert [scores(receipt, RIGHT)[name] for name in NAMES] == [None] * 4
