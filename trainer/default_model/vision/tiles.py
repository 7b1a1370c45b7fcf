"""Drawn tiles with their questions: which character lies in each patch, which token begins where.

Pages drawn here come with each character's place, so every patch has an answer of its own. That
teaches reading with far fewer pages than answers of whole pages would: a piece of 256 x 256 pixels
asks 2,048 questions of the patches and some forty of the image tokens.
"""

import random
from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainer.default_model.vision.characters import CELLS, cell_classes
from trainer.default_model.vision.quarters import PIECE, quarters_of
from trainer.default_model.vision.tower import FOLD, PATCH, TILE
from trainer.synth.vision.glyphs import make_tile
from trainer.synth.vision.plate import Glyphs

CELL = PATCH * FOLD  # pixels along the edge of what an image token sees
PIECES = (TILE // PIECE) ** 2  # of a tile
_WIDE = PIECE // CELL  # image tokens along a piece's edge
_OF_PIECES, _OF_TOKENS = ("pixels", "places", "characters"), ("cells", "tokens")


class AskedTiles(Dataset[dict[str, torch.Tensor]]):
    """Drawn tiles; the same for the same seed and index. Negative ones are never learned from."""

    def __init__(self, seed: int, count: int, tokenizer: PreTrainedTokenizerBase) -> None:
        self._seed, self._count, self._tokenizer = seed, count, tokenizer

    def __len__(self) -> int:
        """How many tiles are learned from."""
        return self._count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """As `asked_pieces`."""
        glyphs = make_tile(random.Random(f"{self._seed}/tile/{index}"), TILE)
        return asked_pieces(glyphs, self._tokenizer)

    def held_out(self, count: int) -> dict[str, torch.Tensor]:
        """So many tiles that are never learned from, as one batch."""
        return together([self[-1 - number] for number in range(count)])


def asked_pieces(glyphs: Glyphs, tokenizer: PreTrainedTokenizerBase) -> dict[str, torch.Tensor]:
    """A tile as four pieces with their questions.

    Returns:
        `pixels` uint8 [4, 256, 256]; `places` [4, 256], each patch's position in its tile;
        `characters` [4, 256, 8], the classes of each patch's cells (`cell_classes`); `cells` [m],
        which of the 4 x 64 image tokens a token of the text begins in; `tokens` [m], that token.
    """
    classes = cell_classes(glyphs.characters, glyphs.boxes, TILE, TILE)
    middles, tokens = places_of_tokens(glyphs, tokenizer)
    columns, rows = (middles // CELL).astype(np.int64).reshape(-1, 2).T
    found: dict[str, list[np.ndarray]] = {name: [] for name in (*_OF_PIECES, *_OF_TOKENS)}
    for number, quarter in enumerate(quarters_of(glyphs.image)):
        found["pixels"].append(quarter.pixels)
        found["places"].append(quarter.places)
        found["characters"].append(classes[quarter.rows, quarter.columns].reshape(-1, CELLS))
        row, column = rows - quarter.rows.start // FOLD, columns - quarter.columns.start // FOLD
        here = (row >= 0) & (row < _WIDE) & (column >= 0) & (column < _WIDE)
        found["cells"].append(number * _WIDE**2 + (row * _WIDE + column)[here])
        found["tokens"].append(tokens[here])
    stacked = {name: np.stack(found[name]) for name in _OF_PIECES}
    joined = {name: np.concatenate(found[name]) for name in _OF_TOKENS}
    return {name: torch.from_numpy(array) for name, array in (stacked | joined).items()}


def places_of_tokens(
    glyphs: Glyphs, tokenizer: PreTrainedTokenizerBase
) -> tuple[np.ndarray, np.ndarray]:
    """Where each token of a drawing's text begins.

    Returns:
        float32 [m, 2], the middle (x, y) of the ink of its first character in pixels, and int64
        [m], the tokens. A token of white space alone stands nowhere.
    """
    encoded = tokenizer(glyphs.text, add_special_tokens=False, return_offsets_mapping=True)
    # How many characters with ink stand before each position of the text.
    before = np.cumsum([0, *(not character.isspace() for character in glyphs.text)])
    firsts, tokens = [], []
    for token, (begin, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
        if before[end] > before[begin]:
            firsts.append(before[begin])
            tokens.append(token)
    boxes = glyphs.boxes[np.array(firsts, dtype=np.int64)].reshape(-1, 4)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    return middles, np.array(tokens, dtype=np.int64)


def together(tiles: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The pieces of several tiles as one batch."""
    cells = (TILE // CELL) ** 2
    moved = [{**tile, "cells": tile["cells"] + n * cells} for n, tile in enumerate(tiles)]
    return {name: torch.cat([tile[name] for tile in moved]) for name in tiles[0]}
