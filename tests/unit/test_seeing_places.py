"""The first stage: which character lies where, which token begins where; that it is learned."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from tests.factories_seeing import write_decoder
from trainer.default_model.__main__ import sight_of
from trainer.default_model.vision.characters import BLANK, CLASSES, cells_text
from trainer.default_model.vision.places import PlaceReader, make_optimizer, measure
from trainer.default_model.vision.plan import load_curriculum
from trainer.default_model.vision.seeing import load_parts, load_seeing, save_parts
from trainer.default_model.vision.tiles import (
    CELL,
    AskedTiles,
    asked_pieces,
    places_of_tokens,
    together,
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
    tile = asked_pieces(row_of("", 0, 0), tokenizer)
    assert tile["cells"].numel() == tile["tokens"].numel() == 0
    assert tile["pixels"].shape == (4, 256, 256)


def test_each_token_is_asked_of_its_piece(tokenizer: PreTrainedTokenizerBase) -> None:
    # The third piece of four is the left lower one; its fourth image token of the second row.
    tile = asked_pieces(row_of("a", 3 * CELL + 4, 256 + CELL + 4), tokenizer)
    assert tile["cells"].tolist() == [2 * 64 + 8 + 3]
    assert tile["tokens"].tolist() == tokenizer("a", add_special_tokens=False)["input_ids"]
    twice = together([tile, tile])
    assert twice["cells"].tolist() == [2 * 64 + 8 + 3, 256 + 2 * 64 + 8 + 3]
    assert twice["pixels"].shape[0] == twice["places"].shape[0] == 8


def test_tiles_come_again_from_their_seed(tokenizer: PreTrainedTokenizerBase) -> None:
    tiles = AskedTiles(3, 5, tokenizer)
    assert len(tiles) == 5
    first, again, other = tiles[1], tiles[1], tiles[2]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["pixels"], other["pixels"])
    assert first["cells"].max() < 256


def test_characters_are_asked_of_their_piece(tokenizer: PreTrainedTokenizerBase) -> None:
    tile = asked_pieces(row_of("7", 256 + 32, 16), tokenizer)
    assert [int((piece != BLANK).sum()) for piece in tile["characters"]] == [0, 1, 0, 0]
    assert cells_text(tile["characters"][1].reshape(16, 16, 8).numpy()).strip() == "7"


def test_held_out_tiles_are_none_of_those_that_are_learned(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    tiles = AskedTiles(3, 2, tokenizer)
    held_out = tiles.held_out(2)
    assert held_out["pixels"].shape[0] == 8
    learned = [tiles[index]["pixels"] for index in range(2)]
    apart = [held_out["pixels"][:4], held_out["pixels"][4:]]
    assert not any(torch.equal(one, other) for one in apart for other in learned)


class _Seen:
    """A reader that read the right character in every second place, and no token but the first."""

    def __init__(self, tile: dict[str, torch.Tensor]) -> None:
        self._tile = tile

    def see(self, pixels: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        del pixels, places
        read = self._tile["characters"].clone()
        inked = torch.nonzero(read)[::2]
        read[tuple(inked.T)] = BLANK
        return functional.one_hot(read, CLASSES).float(), torch.empty(0)

    def nearest(self, said: torch.Tensor) -> torch.Tensor:
        del said
        nearest = torch.full((256,), -1)
        nearest[self._tile["cells"][0]] = self._tile["tokens"][0]
        return nearest


def test_what_is_measured(tokenizer: PreTrainedTokenizerBase) -> None:
    tile = asked_pieces(row_of("ab cd" + " " * 9 + "ef", 64, 32), tokenizer)
    figures = measure(_Seen(tile), tile)  # type: ignore[arg-type]
    assert (figures["found"], figures["precision"]) == (0.5, 1.0)
    assert figures["known"] == 1 / len(tile["cells"].unique())


def test_what_is_shown_often_is_known(decoder: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    random.seed(0)
    model, processor = load_seeing(1, decoder)
    plan = load_curriculum().places
    # Without the stage's slow start its own rates are too fast for the first steps.
    slow = {"learning_rate": 1e-3, "other_learning_rate": 2e-4, "connector_learning_rate": 5e-4}
    section = plan.model_copy(update=slow)
    reader = PlaceReader(model, 5, section)
    tile = together([AskedTiles(3, 1, processor.tokenizer)[0]])
    optimizer = make_optimizer(reader, section)
    before, losses = measure(reader, tile), []
    for _ in range(25):
        loss = reader(**tile)["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    after = measure(reader, tile)
    assert losses[-1] < 0.9 * losses[0]
    assert after["known"] > before["known"] + 0.05
    fresh, _ = load_seeing(2, decoder)
    load_parts(fresh, save_parts(model, tmp_path))
    pixels, places = tile["pixels"][:1], tile["places"][:1]
    same = [one.see(pixels, places)[1] for one in (reader, PlaceReader(fresh, 5, section))]
    torch.testing.assert_close(*same, atol=0.05, rtol=0.05)


def test_reading_begins_from_the_newest_sight(tmp_path: Path) -> None:
    kept = sight_of(tmp_path)
    assert kept.is_file(), "it is kept with the code"
    load_parts(load_seeing(1)[0], kept)
    own = tmp_path / kept.name
    own.write_bytes(b"newer")
    assert sight_of(tmp_path) == own
