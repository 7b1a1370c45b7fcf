"""Labels move to where the tower sees them, in their order and by one cell at most."""

import itertools

import numpy as np
import pytest
import torch

from extraction.tower_reader import CHARACTERS
from trainer.default_model.vision.alignment import align
from trainer.default_model.vision.grid import UNKNOWN

CLASSES = 8


def likely(seen: list[list[int]]) -> torch.Tensor:
    """Logarithms of a tower that is nearly sure of each cell's class: [rows, columns, classes]."""
    said = torch.full((len(seen), len(seen[0]), CLASSES), -9.0)
    return said.scatter(2, torch.tensor(seen)[..., None], -0.1)


@pytest.mark.parametrize(
    ("labels", "seen", "placed"),
    [
        ([0, 3, 0, 0], [0, 3, 0, 0], [0, 3, 0, 0]),
        ([0, 3, 0, 0], [0, 0, 3, 0], [0, 0, 3, 0]),
        ([0, 3, 0, 0], [3, 0, 0, 0], [3, 0, 0, 0]),
        # Two cells away is another character.
        ([3, 0, 0, 0], [0, 0, 3, 0], [3, 0, 0, 0]),
        # Neighbours move together, and past no other.
        ([0, 3, 4, 0], [0, 0, 3, 4], [0, 0, 3, 4]),
        ([3, 4, 0, 0], [4, 3, 4, 0], [0, 3, 4, 0]),
        # Twice the same one is two characters, though the tower sees one.
        ([3, 3], [3, 0], [3, 3]),
        # Where nobody knows what stands nothing moves to.
        ([3, UNKNOWN, 0, 0], [0, 3, 0, 0], [3, UNKNOWN, 0, 0]),
        # A window has edges.
        ([3, 0, 0, 4], [0, 3, 4, 0], [0, 3, 4, 0]),
    ],
)
def test_one_row(labels: list[int], seen: list[int], placed: list[int]) -> None:
    assert align(likely([seen]), torch.tensor([labels])).tolist() == [placed]


def test_rows_do_not_touch_each_other() -> None:
    labels = [[0, 3, 0, 0], [0, 0, 0, 0], [1, 2, 0, 4]]
    seen = [[0, 0, 3, 0], [5, 5, 5, 5], [1, 0, 2, 4]]
    expected = [[0, 0, 3, 0], [0, 0, 0, 0], [1, 0, 2, 4]]
    assert align(likely(seen), torch.tensor(labels)).tolist() == expected


def test_a_window_without_characters_stays_as_it_is() -> None:
    labels = torch.tensor([[0, UNKNOWN, 0], [0, 0, 0]])
    assert torch.equal(align(torch.zeros(2, 3, len(CHARACTERS)), labels), labels)


def _every_placement(labels: list[int]) -> list[list[int]]:
    """Every allowed placement of one row, found without dynamic programming."""
    columns = [index for index, label in enumerate(labels) if label > 0]
    rows = []
    for shifts in itertools.product((-1, 0, 1), repeat=len(columns)):
        places = [column + shift for column, shift in zip(columns, shifts, strict=True)]
        inside = all(0 <= place < len(labels) and labels[place] != UNKNOWN for place in places)
        if inside and all(first < second for first, second in itertools.pairwise(places)):
            row = [UNKNOWN if label == UNKNOWN else 0 for label in labels]
            for column, place in zip(columns, places, strict=True):
                row[place] = labels[column]
            rows.append(row)
    return rows


@pytest.mark.parametrize("seed", range(20))
def test_the_likeliest_of_all_placements_is_found(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.choice([UNKNOWN, 0, 0, 0, 2, 3, 4], size=(4, 7))
    said = torch.from_numpy(random.normal(size=(4, 7, CLASSES))).float().log_softmax(-1)
    found = align(said, torch.from_numpy(labels))

    def likelihood(row: int, placed: list[int]) -> float:
        return sum(float(said[row, n, c]) for n, c in enumerate(placed) if c != UNKNOWN)

    for row in range(4):
        ways = _every_placement(labels[row].tolist())
        assert found[row].tolist() in ways
        best = max(likelihood(row, way) for way in ways)
        assert likelihood(row, found[row].tolist()) == pytest.approx(best, abs=1e-4)
