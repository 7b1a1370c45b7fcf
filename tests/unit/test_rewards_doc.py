"""The figures of docs/rewards.md are what the rewards give."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from extraction.document_types.catalogue import BUILT_IN
from extraction.prompt import AnswerFormat
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
    assert [block["type"] for block, _ in EXAMPLES] == ["receipt", "passport"]
    assert len(ROWS) == 13


@pytest.mark.parametrize(("task", "head", "row"), ROWS)
def test_a_row_of_the_page(task: Task, head: list[str], row: list[str]) -> None:
    _, text, ended, *figures = row
    answer = text.strip("`")
    scored = scores(task, gold(task) if answer == "gold" else answer, ended=ended == "yes")
    found = ["-" if scored[name] is None else f"{scored[name]:.3f}" for name in NAMES]
    assert head[3:] == [*(f"`{name}`" for name in NAMES), "R"]
    assert figures == [*found, f"{weighted(scored):.3f}"]


def test_the_page_names_every_reward() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert listed == list(RewardsSection.model_fields)
