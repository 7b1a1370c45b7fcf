"""Is a graph one, and are its entities and relations the right ones.

Entities are the same with equal text and type, relations with the same ends and type; case and
white space do not count, and each counts as often as it stands. The ids say nothing. F1 is
2 * common / (expected + answered).

Source: the rewards of the replication of R1 for information extraction (JSON validity, entities,
relations), after DeepSeek-R1 (DeepSeek-AI 2025).
"""

import json
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from extraction.document_types.base import DocumentType
from extraction.document_types.graph import (
    Triple,
    entities_of,
    faults_of,
    is_graph,
    triples_of,
    types_of,
)
from extraction.structure_scores import f1
from trainer.rewards.base import RewardFunction, Rollout
from trainer.rewards.valid_record import thinks

_PARTS: dict[str, frozenset[str]] = {
    "entities": frozenset({"id", "text", "type"}),
    "relations": frozenset({"head", "type", "tail"}),
}


class GraphValid(RewardFunction):
    """J = valid elements / elements of a whole JSON graph, else 0; 0 to 1.

    None for types other than `graph`. An entity is valid with an id of its own, a text and an
    allowed type; a relation with an allowed type and two ends that are entities of the graph. 0 for
    what is no JSON object of `entities` and `relations`, was cut, or has a thought that was not
    asked, and for an empty graph where the reference has entities.
    """

    __name__ = "graph_valid"

    def score(self, rollout: Rollout) -> float | None:
        """The share of elements that can be used."""
        document_type = rollout.task.asked.document_type
        if not is_graph(document_type):
            return None
        if not rollout.ended or (thinks(rollout) and not rollout.task.asked.reasoning):
            return 0.0
        graph = read_graph(rollout.text)
        if graph is None or not set(graph) <= set(document_type.field_names):
            return 0.0
        elements = sum(len(found) for found in graph.values())
        if elements == 0:
            return float(not rollout.task.reference.get("entities"))
        return 1 - len(_invalid(graph, document_type)) / elements


class GraphEntities(RewardFunction):
    """E = F1 of the entities, 0 to 1; 0 for no graph.

    None for types other than `graph` and where the reference says nothing of entities. Where it
    says that there are none, E is 1 for none and 0 for any.
    """

    __name__ = "graph_entities"

    def score(self, rollout: Rollout) -> float | None:
        """F1 of the entities."""
        if not _is_known(rollout, "entities"):
            return None
        graph = read_graph(rollout.text)
        return 0.0 if graph is None else f1(entities_of(rollout.task.reference), entities_of(graph))


class GraphRelations(RewardFunction):
    """R = F1 of the relations, 0 to 1; 0 for no graph.

    A relation is right with both ends, each by text and type, its direction and its type. None for
    types other than `graph` and where the reference says nothing of relations; where it says that
    there are none, R is 1 for none and 0 for any.
    """

    __name__ = "graph_relations"

    def score(self, rollout: Rollout) -> float | None:
        """F1 of the relations."""
        if not _is_known(rollout, "relations"):
            return None
        graph = read_graph(rollout.text)
        return 0.0 if graph is None else f1(triples_of(rollout.task.reference), triples_of(graph))


class GraphRelationAccuracy(RewardFunction):
    """A = |right| / |shared|, 0 to 1: of the linked pairs that are linked, those of the right type.

    shared are the relations of the reference whose head and tail the answer links in this
    direction, by whatever type; right are those that it has. 0 where nothing is shared. It tells a
    wrong type from a missed link, which F1 does not. None for types other than `graph` and where
    the reference has no relations.
    """

    __name__ = "graph_relation_accuracy"

    def score(self, rollout: Rollout) -> float | None:
        """The share of shared links with the right type."""
        if not _is_known(rollout, "relations"):
            return None
        expected = triples_of(rollout.task.reference)
        if not expected:
            return None
        graph = read_graph(rollout.text)
        answered: Counter[Triple] = triples_of(graph) if graph is not None else Counter()
        linked = {(head, tail) for head, _, tail in answered}
        shared = [triple for triple in expected if (triple[0], triple[2]) in linked]
        return sum(triple in answered for triple in shared) / len(shared) if shared else 0.0


# The four rewards read the same completions. What is returned is shared, and never changed.
@lru_cache(maxsize=4096)
def read_graph(answer: str) -> Mapping[str, list[dict[str, str]]] | None:
    """The lists of an answer; None where it is no object of lists.

    An element of anything but texts is an empty one: it counts, and is never right.
    """
    body = answer.rpartition("</think>")[2] if answer.lstrip().startswith("<think>") else answer
    try:
        graph = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(graph, dict) or not set(graph) <= set(_PARTS):
        return None
    if not all(isinstance(elements, list) for elements in graph.values()):
        return None
    return {name: [_of_texts(element) for element in found] for name, found in graph.items()}


def _of_texts(element: Any) -> dict[str, str]:
    is_usable = isinstance(element, dict) and all(isinstance(v, str) for v in element.values())
    return element if is_usable else {}


def _invalid(
    graph: Mapping[str, list[dict[str, str]]], document_type: DocumentType
) -> set[tuple[str, int]]:
    """Name and index of each element that cannot be used."""
    invalid = {
        (name, index)
        for name, elements in graph.items()
        for index, element in enumerate(elements)
        if not _has_parts(element, name, types_of(document_type, name))
    }
    for path in faults_of(graph):
        name, index, _ = path.split(".")
        invalid.add((name, int(index)))
    return invalid


def _has_parts(element: Mapping[str, str], name: str, types: tuple[str, ...]) -> bool:
    if set(element) != _PARTS[name] or not all(element.values()):
        return False
    return not types or element["type"] in types


def _is_known(rollout: Rollout, name: str) -> bool:
    return is_graph(rollout.task.asked.document_type) and isinstance(
        rollout.task.reference.get(name), list
    )
