"""The figures of docs/rewards.md are what the rewards give."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from extraction.document_types.catalogue import BUILT_IN
from extraction.document_types.graph import graph_type
from extraction.prompt import AnswerFormat, Asked
from tests.factories_lines import page_of
from tests.factories_rewards import REWARDS, gold, scores, task_of, weighted
from trainer.profile import RewardsSection
from trainer.rewards import Task

PAGE = (Path(__file__).parents[2] / "docs" / "rewards.md").read_text()
EXAMPLES = [
    (json.loads(block), table)
    for block, table in re.findall(r"```json\n(.*?)```\n\n((?:\|[^\n]*\n)+)", PAGE, re.DOTALL)
]
NAMES = [reward.__name__ for reward in REWARDS]


def task_in(block: dict[str, Any]) -> Task:
    asked = Asked(BUILT_IN["document"], AnswerFormat.JSON)
    if block["type"] == "document":
        return Task(asked, block["reference"], (), tuple(block["tests"]))
    if block["type"] == "graph":
        kind = graph_type(block["entity_types"], block["relation_types"])
        return Task(replace(asked, document_type=kind), block["reference"], ())
    return task_of(
        BUILT_IN[block["type"]],
        block["reference"],
        page_of(*block["lines"]),
        AnswerFormat(block["format"]),
    )


def rows_of(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]


ROWS = [
    (task_in(block), head, row)
    for block, table in EXAMPLES
    for head, _, *rows in [rows_of(table)]
    for row in rows
]


def test_the_page_has_its_examples() -> None:
    assert [block["type"] for block, _ in EXAMPLES] == ["receipt", "passport", "document", "graph"]
    assert len(ROWS) == 26


@pytest.mark.parametrize(("task", "head", "row"), ROWS)
def test_a_row_of_the_page(task: Task, head: list[str], row: list[str]) -> None:
    _, text, ended, *figures = row
    answer = text.strip("`").replace("\\n", "\n")
    scored = scores(task, gold(task) if answer == "gold" else answer, ended=ended == "yes")
    shown = [name.strip("`") for name in head[3:-1]]
    found = ["-" if scored[name] is None else f"{scored[name]:.3f}" for name in shown]
    assert shown == [name for name in NAMES if name in shown]
    assert figures == [*found, f"{weighted(scored):.3f}"]
    assert all(scored[name] is None for name in NAMES if name not in shown)


def test_the_page_names_every_reward() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert listed == list(RewardsSection.model_fields)
