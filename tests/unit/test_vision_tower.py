"""The tower's cells, windows and fold say what they are documented to say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from transformers import Idefics3Config
from transformers.models.idefics3.modeling_idefics3 import Idefics3Connector

from trainer.default_model.vision.characters import CELLS, cell_classes, cells_text, shown
from trainer.default_model.vision.plan import CURRICULUM, load_curriculum
from trainer.default_model.vision.seeing import connect, fold
from trainer.default_model.vision.tower import (
    FOLD,
    HIDDEN,
    SIDE,
    TILE,
    build_tower,
    encode_window,
    tower_config,
)


def _boxes(*corners: tuple[float, float]) -> np.ndarray:
    return np.array([(x, y, x + 6, y + 12) for x, y in corners], dtype=np.float32)


def test_cells_hold_the_characters_whose_middle_lies_in_them() -> None:
    # Middles at (5, 8), (21, 8) and (3, 30): patches (0, 0), (0, 1) and (1, 0).
    classes = cell_classes("Aé7", _boxes((2, 2), (18, 2), (0, 24)), 32, 32)
    assert classes.shape == (2, 2, CELLS)
    assert shown(classes[0, 0, 5]) == "A"  # second row of cells, second of four
    assert shown(classes[0, 1, 5]) == "é"
    assert shown(classes[1, 0, 4]) == "7"
    assert (classes != 0).sum() == 3


def test_cells_read_in_order_give_the_lines() -> None:
    classes = cell_classes("TOTAL", _boxes(*((4 * i, 0) for i in range(5))), 32, 64)
    assert cells_text(classes).strip() == "TOTAL"


def test_a_character_outside_the_image_is_left_out() -> None:
    assert not cell_classes("A", _boxes((100, 2)), 32, 32).any()


def test_an_unknown_character_has_a_class_of_its_own() -> None:
    assert shown(cell_classes("漢", _boxes((2, 2)), 32, 32).max()) == "\ufffd"


def test_a_whole_window_is_what_the_model_itself_computes() -> None:
    tower = build_tower(3).eval()
    pixels = torch.rand(1, 3, TILE, TILE) * 2 - 1
    with torch.no_grad():
        window = encode_window(tower, pixels, torch.arange(SIDE * SIDE)[None])
        whole = tower(pixel_values=pixels).last_hidden_state
    assert torch.allclose(window, whole, atol=1e-5)


def test_near_positions_are_nearer_than_far_ones() -> None:
    places = build_tower(3).embeddings.position_embedding.weight
    here = places[5 * SIDE + 5]
    assert (here - places[5 * SIDE + 6]).norm() < (here - places[25 * SIDE + 20]).norm()


def test_the_fold_is_the_connectors_pixel_shuffle() -> None:
    config = Idefics3Config(vision_config=tower_config().to_dict(), scale_factor=FOLD)
    connector = Idefics3Connector(config)
    hidden = torch.rand(2, 64, HIDDEN)
    assert torch.equal(fold(hidden, 8, 8), connector.pixel_shuffle(hidden, FOLD))
    with torch.no_grad():
        assert torch.equal(connect(connector, hidden, 8, 8), connector(hidden))


def test_the_fold_of_a_strip_keeps_each_square_together() -> None:
    grid = torch.arange(2 * 8).reshape(1, 16, 1)
    assert fold(grid, 2, 8)[0].tolist() == [[i, i + 1, i + 8, i + 9] for i in (0, 2, 4, 6)]


def test_the_curriculum_names_an_unknown_key(tmp_path: Path) -> None:
    assert load_curriculum().places.steps > 0
    file = tmp_path / "plan.toml"
    file.write_text(CURRICULUM.read_text() + "\nsteps_of_nothing = 3\n")
    with pytest.raises(ValidationError, match="steps_of_nothing"):
        load_curriculum(file)
