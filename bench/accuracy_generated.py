"""How generated pages and graphs are read: share of unit tests, F1 of entities and relations."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from accuracy_client import Post, gather, mean

from extraction.document_types.graph import faults_of
from extraction.structure_scores import graph_scores
from extraction.unit_tests import Page, read_case
from trainer.synth.pages.facts import ENTITIES, RELATIONS
from trainer.synth.pages.shards import read_shards
from trainer.synth.pages.training_rows import has_texts, read_texts


def write_pages(source: Path, scratch: Path, count: int) -> list[dict[str, Any]]:
    """The images of the first pages of a folder of shards, as files, each with its tests."""
    rows = []
    for page, _ in zip(read_shards(source), range(count), strict=False):
        path = scratch / f"{page.name}.jpg"
        path.write_bytes(page.image)
        rows.append({"id": page.name, "path": str(path), "tests": list(page.tests)})
    return rows


def write_graphs(source: Path, scratch: Path, count: int) -> list[dict[str, Any]]:
    """What states a graph, as files, each with it: the first texts or pages of a folder.

    Args:
        source: of `docloop synth texts`, or of `docloop synth pages`, whose pages without a graph
            are passed over.
        scratch: gets the files.
        count: how many at most.
    """
    if has_texts(source):
        found = ((text.key, ".txt", text.text.encode(), text.graph) for text in read_texts(source))
    else:
        found = ((p.name, ".jpg", p.image, p.graph) for p in read_shards(source) if p.graph)
    rows = []
    for number, (key, ending, content, graph) in enumerate(islice(found, count)):
        path = scratch / f"{number:05}{ending}"
        path.write_bytes(content)
        rows.append({"id": key, "path": str(path), "graph": dict(graph)})
    return rows


async def pages(rows: Sequence[dict[str, Any]], send: Post) -> dict[str, Any]:
    """The share of its unit tests that each page's Markdown passes, and of all tests by kind."""
    answers = await gather(rows, lambda row: send(Path(row["path"]), {"document_type": "document"}))
    passed, asked, results = Counter[str](), Counter[str](), []
    for row, answer in zip(rows, answers, strict=True):
        found = (answer.get("record") or {}).get("pages") or [{}]
        page = Page("\n\n".join(one.get("natural_text") or "" for one in found))
        verdicts = [(test["type"], read_case(test).check(page).passed) for test in row["tests"]]
        asked.update(kind for kind, _ in verdicts)
        passed.update(kind for kind, right in verdicts if right)
        share = mean([float(right) for _, right in verdicts])
        results.append({"id": row["id"], "score": share, "text": page.text, "answer": answer})
    kinds = {kind: passed[kind] / asked[kind] for kind in sorted(asked)}
    return {
        "documents": len(rows),
        "answered": sum(bool(answer) for answer in answers),
        "page_tests": mean([result["score"] for result in results]),
        "kinds": kinds,
        "tests": dict(asked),
        "rows": results,
    }


async def graphs(rows: Sequence[dict[str, Any]], send: Post) -> dict[str, Any]:
    """The share of valid graphs, and the mean F1 over the documents that state some."""
    form = {
        "document_type": "graph",
        "entity_types": ",".join(ENTITIES),
        "relation_types": ",".join(RELATIONS),
    }
    answers = await gather(rows, lambda row: send(Path(row["path"]), form))
    results, valid = [], 0
    for row, answer in zip(rows, answers, strict=True):
        record = answer.get("record") or {}
        valid += bool(answer) and not faults_of(record) and _is_typed(record)
        results.append({"id": row["id"], "scores": graph_scores(row["graph"], record)})
        results[-1] |= {"answer": answer}
    found: dict[str, Any] = {
        name: mean([r["scores"][name] for r in results if name in r["scores"]])
        for name in ("entities", "relations")
    }
    answered = sum(bool(answer) for answer in answers)
    return {"documents": len(rows), "answered": answered, "valid": valid, **found, "rows": results}


def pages_table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and rows."""
    whole = f"{result['answered']} of {result['documents']} pages"
    return [
        ("tests", "of", "passed, %"),
        *(
            (kind, str(result["tests"][kind]), f"{100 * share:.1f}")
            for kind, share in result["kinds"].items()
        ),
        ("mean of the pages", whole, f"{100 * result['page_tests']:.1f}"),
    ]


def graphs_table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """Header and rows."""
    return [
        ("figure", "value"),
        ("answered", f"{result['answered']} of {result['documents']}"),
        ("valid graphs", f"{result['valid']} of {result['documents']}"),
        ("entities, F1", f"{result['entities']:.3f}"),
        ("relations, F1", f"{result['relations']:.3f}"),
    ]


def _is_typed(record: dict[str, Any]) -> bool:
    """Whether every entity and relation has one of the types that were asked for."""
    wanted = {"entities": set(ENTITIES), "relations": set(RELATIONS)}
    return all(
        one.get("type") in types for name, types in wanted.items() for one in record.get(name) or ()
    )
