"""Pieces of pages to write out: crops of a few lines, blocks, whole tiles, and their chat."""

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainer.default_model.vision.plan import ReadingSection
from trainer.default_model.vision.seeing import AROUND, IMAGE, WHOLE
from trainer.default_model.vision.tower import FOLD, PATCH, SIDE, TILE
from trainer.synth.vision.glyphs import make_block, make_crop, make_tile
from trainer.synth.vision.plate import Glyphs

TRANSCRIBE = "Write out the text."
BLOCK_EDGE = 256
_CROP_HEIGHTS = (32, 64, 96)
_CROP_WIDTHS = (256, 384, 512)


@dataclass(frozen=True, slots=True)
class Piece:
    """A drawn piece of a page and what stands on it.

    Attributes:
        pixels: uint8 [height, width], multiples of 32.
        corner: row and column of its first patch in a tile.
        text: lines in reading order.
    """

    pixels: np.ndarray
    corner: tuple[int, int]
    text: str

    @property
    def grid(self) -> tuple[int, int]:
        """Its patches, down and across."""
        return self.pixels.shape[0] // PATCH, self.pixels.shape[1] // PATCH


def draw_piece(rng: random.Random, section: ReadingSection, done: float) -> Piece:
    """A crop, a block or a tile.

    Args:
        rng: decides all of it.
        section: the shares of the kinds.
        done: share of the steps that is over, 0 to 1: shares lean to crops before and to tiles
            behind the middle.
    """
    lean = 2 * (1 - done)
    crops, blocks = section.crops * lean, section.blocks * (1 + lean) / 2
    draw = rng.random()
    if draw < crops:
        width, height = rng.choice(_CROP_WIDTHS), rng.choice(_CROP_HEIGHTS)
        return placed(rng, make_crop(rng, width, height))
    if draw < crops + blocks:
        return placed(rng, make_block(rng, BLOCK_EDGE, BLOCK_EDGE))
    return placed(rng, make_tile(rng, TILE))


def placed(rng: random.Random, glyphs: Glyphs) -> Piece:
    """A drawing at a random place in a tile."""
    pixels = np.asarray(glyphs.image.convert("L"))
    room = [SIDE - edge // PATCH for edge in pixels.shape]
    corner = (
        rng.randrange(0, room[0] + 1, FOLD),
        rng.randrange(0, room[1] + 1, FOLD),
    )
    return Piece(pixels, corner, glyphs.text)


class Pieces(Dataset[dict[str, Any]]):
    """Drawn pieces with their chat as token ids; the same for the same seed and index."""

    def __init__(
        self, section: ReadingSection, tokenizer: PreTrainedTokenizerBase, seed: int
    ) -> None:
        self._section, self._tokenizer, self._seed = section, tokenizer, seed
        self._count = section.steps * section.batch

    def __len__(self) -> int:
        """How many."""
        return self._count

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`pixels`, `corner`, `ids`, `answer_count`."""
        rng = random.Random(f"{self._seed}/piece/{index}")
        piece = draw_piece(rng, self._section, index / self._count)
        prompt, answer = chat_ids(self._tokenizer, piece)
        return {
            "pixels": torch.from_numpy(piece.pixels.copy()),
            "corner": piece.corner,
            "ids": torch.tensor(prompt + answer),
            "answer_count": len(answer),
        }


def chat_ids(tokenizer: PreTrainedTokenizerBase, piece: Piece) -> tuple[list[int], list[int]]:
    """The prompt and the answer, with the end token, of a piece that is to be written out."""
    height, width = piece.grid
    seen = IMAGE * (height // FOLD * (width // FOLD))
    user = {"role": "user", "content": f"{AROUND}{WHOLE}{seen}{AROUND}{TRANSCRIBE}"}
    system = {"role": "system", "content": "Read the document and answer with its text."}
    prompt = tokenizer.apply_chat_template(
        [system, user], tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    answer = tokenizer(piece.text, add_special_tokens=False)["input_ids"]
    return ids, [*answer, tokenizer.eos_token_id]
