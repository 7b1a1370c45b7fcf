"""The tower, the grid of characters and the curriculum say what they are documented to say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import Idefics3Config
from transformers.models.idefics3.modeling_idefics3 import Idefics3Connector

from extraction.tower_reader import CHARACTERS, SIDE
from trainer.default_model.vision.grid import grid_text, place_characters, plain
from trainer.default_model.vision.plan import CURRICULUM, load_curriculum
from trainer.default_model.vision.seeing import connect
from trainer.default_model.vision.tower import (
    FOLD,
    HIDDEN,
    TILE,
    build_tower,
    encode_window,
    tower_config,
)


def text_of(characters: str, columns: list[float], rows: list[float]) -> list[str]:
    return grid_text(place_characters(characters, columns, rows, (2, 8))).split("\n")


def test_a_cell_holds_the_character_whose_middle_lies_in_it() -> None:
    assert text_of("Aé7", [0.9, 3.0, 7.99], [0.1, 1.0, 1.5]) == ["A", "   e   7"]


def test_print_that_is_too_close_moves_on_by_two_cells_at_most() -> None:
    assert text_of("TOTAL", [1.0, 1.2, 1.4, 1.6, 4.5], [0.0] * 5) == [" TOTL", ""]


def test_what_lies_outside_is_left_out() -> None:
    assert text_of("ABC", [-0.1, 8.0, 2.0], [0.0, 0.0, 2.0]) == ["", ""]


def test_every_character_has_a_plain_form_and_a_class() -> None:
    assert [plain(c) for c in "AÅß漢"] == ["A", "A", "?", "?"]
    assert len(set(CHARACTERS)) == len(CHARACTERS) == 95


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8))
def test_a_line_comes_back_as_it_was_placed(line: str) -> None:
    columns = [float(column) for column in range(len(line))]
    assert text_of(line, columns, [0.5] * len(line)) == [line, ""]
    assert np.count_nonzero(place_characters(line, columns, [0.5] * len(line), (1, 8))) == len(line)


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


def test_the_connector_is_the_models_own() -> None:
    config = Idefics3Config(vision_config=tower_config().to_dict(), scale_factor=FOLD)
    connector = Idefics3Connector(config)
    hidden = torch.rand(2, SIDE * SIDE, HIDDEN)
    with torch.no_grad():
        assert torch.equal(connect(connector, hidden), connector(hidden))


def test_the_curriculum_names_an_unknown_key(tmp_path: Path) -> None:
    assert load_curriculum().places.steps > 0
    file = tmp_path / "plan.toml"
    file.write_text(CURRICULUM.read_text() + "\nsteps_of_nothing = 3\n")
    with pytest.raises(ValidationError, match="steps_of_nothing"):
        load_curriculum(file)
