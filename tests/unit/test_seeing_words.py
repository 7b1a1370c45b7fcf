"""The connector's own stage: which token begins where, and that it is learned."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from tests.factories_seeing import write_decoder
from trainer.default_model.vision.plan import load_curriculum
from trainer.default_model.vision.seeing import load_seeing
from trainer.default_model.vision.words import (
    CELL,
    SIGHT,
    WordedTiles,
    WordReader,
    known_share,
    load_sight_state,
    make_optimizer,
    places_of_tokens,
    together,
    worded_pieces,
)
from trainer.synth.vision.plate import Glyphs


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_decoder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="module")
def tokenizer(decoder: str) -> PreTrainedTokenizerBase:
    return load_seeing(1, decoder)[1].tokenizer


def row_of(text: str, left: int, top: int) -> Glyphs:
    """Characters of 8 x 16 pixels beside each other; a space is one without ink."""
    boxes = [
        (left + 8 * n, top, left + 8 * n + 8, top + 16)
        for n, character in enumerate(text)
        if not character.isspace()
    ]
    characters = "".join(text.split())
    picture = Image.new("L", (512, 512), "white")
    return Glyphs(picture, text, characters, np.array(boxes, dtype=np.float32))


def test_a_token_stands_where_its_first_letter_does(tokenizer: PreTrainedTokenizerBase) -> None:
    glyphs = row_of("total amount", 64, 32)
    middles, tokens = places_of_tokens(glyphs, tokenizer)
    encoded = tokenizer(glyphs.text, add_special_tokens=False, return_offsets_mapping=True)
    inked = [
        (token, begin + len(text) - len(text.lstrip()))
        for token, (begin, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        if (text := glyphs.text[begin:end]).strip()
    ]
    assert tokens.tolist() == [token for token, _ in inked]
    assert middles[:, 0].tolist() == [64 + 8 * begin + 4 for _, begin in inked]
    assert set(middles[:, 1].tolist()) == {40}


def test_nothing_is_asked_of_an_empty_page(tokenizer: PreTrainedTokenizerBase) -> None:
    tile = worded_pieces(row_of("", 0, 0), tokenizer)
    assert tile["cells"].numel() == tile["tokens"].numel() == 0
    assert tile["pixels"].shape == (4, 256, 256)


def test_each_token_is_asked_of_its_piece(tokenizer: PreTrainedTokenizerBase) -> None:
    # The third piece of four is the left lower one; its fourth image token of the second row.
    tile = worded_pieces(row_of("a", 3 * CELL + 4, 256 + CELL + 4), tokenizer)
    assert tile["cells"].tolist() == [2 * 64 + 8 + 3]
    assert tile["tokens"].tolist() == tokenizer("a", add_special_tokens=False)["input_ids"]
    twice = together([tile, tile])
    assert twice["cells"].tolist() == [2 * 64 + 8 + 3, 256 + 2 * 64 + 8 + 3]
    assert twice["pixels"].shape[0] == twice["places"].shape[0] == 8


def test_tiles_come_again_from_their_seed(tokenizer: PreTrainedTokenizerBase) -> None:
    tiles = WordedTiles(3, 5, tokenizer)
    assert len(tiles) == 5
    first, again, other = tiles[1], tiles[1], tiles[2]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["pixels"], other["pixels"])
    assert first["cells"].max() < 256


def test_what_is_shown_often_is_known(decoder: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    random.seed(0)
    model, processor = load_seeing(1, decoder)
    # Without the stage's slow start its own rates are too fast for the first steps.
    slow = {"learning_rate": 1e-4, "connector_learning_rate": 5e-4}
    section = load_curriculum().words.model_copy(update=slow)
    reader = WordReader(model, 5, section.space_weight)
    tile = together([WordedTiles(3, 1, processor.tokenizer)[0]])
    optimizer = make_optimizer(reader, section)
    before, losses = known_share(reader, tile), []
    for _ in range(25):
        loss = reader(**tile)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    assert known_share(reader, tile) > before + 0.05
    states = {"tower": reader.tower.state_dict(), "connector": reader.connector.state_dict()}
    torch.save(states, tmp_path / SIGHT)
    fresh, _ = load_seeing(2, decoder)
    load_sight_state(fresh, tmp_path / SIGHT)
    again = WordReader(fresh, 5, section.space_weight)
    same = [one.say(tile["pixels"][:1], tile["places"][:1]) for one in (reader, again)]
    torch.testing.assert_close(*same)
