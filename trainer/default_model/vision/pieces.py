"""Pieces of pages to write out: crops of a few lines, blocks, whole tiles, and their chat."""

import random
from collections.abc import Callable, Mapping, Sequence
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

READ, TRANSCRIBE = "Read the document and answer with its text.", "Write out the text."
BLOCK_EDGE = 256
_CROP_HEIGHTS = (32, 64, 96)
_CROP_WIDTHS = (256, 384, 512)
# What is filled up is computed for nothing: a text joins a batch up to this length of its shortest,
# with the prompt's in characters of text.
_MUCH_LONGER, _PROMPT = 1.3, 120


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

    @property
    def places(self) -> np.ndarray:
        """Where its patches lie in a tile: int64 [patches], row by row."""
        height, width = self.grid
        rows = np.arange(self.corner[0], self.corner[0] + height) * SIDE
        columns = np.arange(self.corner[1], self.corner[1] + width)
        return (rows[:, None] + columns[None, :]).reshape(-1)


def draw_pieces(rng: random.Random, section: ReadingSection, done: float) -> list[Piece]:
    """The pieces of one step, all of one kind and of one size, so that they make one batch.

    Args:
        rng: decides all of it.
        section: the shares of the kinds, and how many make a step.
        done: share of the steps that is over, 0 to 1: shares lean to crops before and to tiles
            behind the middle.
    """
    lean = 2 * (1 - done)
    crops, blocks = section.crops * lean, section.blocks * (1 + lean) / 2
    draw = rng.random()
    make: Callable[[], Glyphs] = lambda: make_tile(rng, TILE)  # noqa: E731 - one of three
    count = section.tiles_in_step
    if draw < crops:
        width, height = rng.choice(_CROP_WIDTHS), rng.choice(_CROP_HEIGHTS)
        make, count = (lambda: make_crop(rng, width, height)), section.crops_in_step
    elif draw < crops + blocks:
        make, count = (lambda: make_block(rng, *[BLOCK_EDGE] * 2)), section.blocks_in_step
    return [placed(rng, make()) for _ in range(count)]


def placed(rng: random.Random, glyphs: Glyphs) -> Piece:
    """A drawing at a random place in a tile."""
    pixels = np.asarray(glyphs.image.convert("L"))
    room = [SIDE - edge // PATCH for edge in pixels.shape]
    corner = (
        rng.randrange(0, room[0] + 1, FOLD),
        rng.randrange(0, room[1] + 1, FOLD),
    )
    return Piece(pixels, corner, glyphs.text)


class Steps(Dataset[list[list[dict[str, Any]]]]):
    """What is learned in each step, in order; the same for the same seed and index.

    Args:
        section: how much of what.
        tokenizer: of the decoder.
        seed: of the pieces and of the questions.
        questions: rows about fields, of which `section.rehearsed` are asked in every step.
    """

    def __init__(
        self,
        section: ReadingSection,
        tokenizer: PreTrainedTokenizerBase,
        seed: int,
        questions: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._section, self._tokenizer, self._seed = section, tokenizer, seed
        self._questions = questions

    def __len__(self) -> int:
        """How many."""
        return self._section.steps

    def __getitem__(self, index: int) -> list[list[dict[str, Any]]]:
        """Batches of pieces, as `batches_of` gives, and those of questions, where there are any."""
        rng = random.Random(f"{self._seed}/step/{index}")
        pieces = draw_pieces(rng, self._section, index / self._section.steps)
        asked = rng.sample(self._questions, min(self._section.rehearsed, len(self._questions)))
        told = [question_of(row, self._tokenizer) for row in asked]
        return [batches_of(pieces, self._tokenizer), *([told] if told else [])]


def question_of(row: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """A question from lines alone as the reader takes it: a batch of one, without pixels.

    Args:
        row: `prompt` and `completion` as chats.
        tokenizer: of the decoder.
    """
    prompt = _prompt_ids(tokenizer, row["prompt"])
    answer = _answer_ids(tokenizer, row["completion"][0]["content"])
    return {
        "ids": torch.tensor([prompt + answer]),
        "spans": [(len(prompt), len(prompt) + len(answer))],
    }


def batches_of(pieces: Sequence[Piece], tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    """Pieces of one size in batches of texts of about the same length, each as `batch_of` gives."""
    ordered = sorted(pieces, key=lambda piece: len(piece.text))
    groups: list[list[Piece]] = []
    for piece in ordered:
        longest = _MUCH_LONGER * (_PROMPT + len(groups[-1][0].text)) if groups else 0.0
        if _PROMPT + len(piece.text) > longest:
            groups.append([])
        groups[-1].append(piece)
    return [batch_of(group, tokenizer) for group in groups]


def batch_of(pieces: Sequence[Piece], tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Pieces of one size with their chats, as the reader takes them.

    Returns:
        `pixels` uint8 [n, height, width]; `places` [n, patches]; `ids` [n, tokens], filled up on
        the right; `spans`: where each answer begins and ends.
    """
    chats = [chat_ids(tokenizer, piece) for piece in pieces]
    spans = [(len(prompt), len(prompt) + len(answer)) for prompt, answer in chats]
    ids = torch.full((len(pieces), max(end for _, end in spans)), tokenizer.eos_token_id)
    for row, (prompt, answer) in enumerate(chats):
        ids[row, : spans[row][1]] = torch.tensor(prompt + answer)
    return {
        "pixels": torch.from_numpy(np.stack([piece.pixels for piece in pieces])),
        "places": torch.from_numpy(np.stack([piece.places for piece in pieces])),
        "ids": ids,
        "spans": spans,
    }


def chat_ids(tokenizer: PreTrainedTokenizerBase, piece: Piece) -> tuple[list[int], list[int]]:
    """The prompt and the answer, with the end token, of a piece that is to be written out."""
    height, width = piece.grid
    seen = IMAGE * (height // FOLD * (width // FOLD))
    user = {"role": "user", "content": f"{AROUND}{WHOLE}{seen}{AROUND}{TRANSCRIBE}"}
    system = {"role": "system", "content": READ}
    return _prompt_ids(tokenizer, [system, user]), _answer_ids(tokenizer, piece.text)


def _prompt_ids(tokenizer: PreTrainedTokenizerBase, chat: Sequence[Mapping[str, str]]) -> list[int]:
    prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    return ids


def _answer_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
