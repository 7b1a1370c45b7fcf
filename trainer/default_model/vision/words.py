"""Second stage: the connector learns to say in the decoder's own words what stands where.

The decoder knows its tokens' embeddings and copies them since it reads lines. So the connector is
taught these: where a token of the text begins, the image token of that place shall be like the
token's embedding; where none begins, like that of a space. This asks some forty questions a piece
without a pass through the decoder, and gives the next stage image tokens that it understands
already.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import Dataset
from torch.utils.tensorboard import SummaryWriter
from transformers import Idefics3ForConditionalGeneration, Trainer, TrainerCallback
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainer.default_model.vision.arguments import DRAWN_AHEAD, stage_arguments
from trainer.default_model.vision.plan import WordSection
from trainer.default_model.vision.quarters import PIECE, normalised, quarters_of
from trainer.default_model.vision.seeing import connect, load_seeing
from trainer.default_model.vision.tower import FOLD, PATCH, TILE, encode_window
from trainer.stage import newest_checkpoint
from trainer.synth.vision.glyphs import make_tile
from trainer.synth.vision.plate import Glyphs
from trainer.vocabulary import NAME

SIGHT = "sight.pt"
CELL = PATCH * FOLD  # pixels along the edge of what an image token sees
_WIDE = PIECE // CELL  # image tokens along a piece's edge
_HELD_OUT = 4  # tiles that are measured and never learned from
_OTHERS = 4096  # tokens that a place's token is told from, beside those of the same step
_SHARPNESS = 16.0  # of the likelihoods, which are of cosines


class WordReader(torch.nn.Module):
    """Tower and connector, and the embeddings that they shall speak.

    Args:
        model: the seeing model, of which the decoder is not used.
        space: the token of a place where no token begins.
        space_weight: of such places in the loss.
    """

    def __init__(
        self, model: Idefics3ForConditionalGeneration, space: int, space_weight: float
    ) -> None:
        super().__init__()
        self.tower = model.model.vision_model
        self.connector = model.model.connector
        words = model.get_input_embeddings().weight.detach().float().clone()
        self.words: torch.Tensor
        self.register_buffer("words", words, persistent=False)
        self._space, self._space_weight = space, space_weight
        self._variance = float(words.var())

    def say(self, pixels: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """The image tokens of pieces, row by row and one piece after the other: [n, width]."""
        height, width = (edge // PATCH for edge in pixels.shape[1:])
        with torch.autocast("cpu", torch.bfloat16):
            hidden = encode_window(self.tower, normalised(pixels), places)
            said = connect(self.connector, hidden, height, width)
        return said.flatten(0, 1).float()

    def forward(
        self, pixels: torch.Tensor, places: torch.Tensor, cells: torch.Tensor, tokens: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """The loss of a batch: likelihood of the right tokens, and distance from their embeddings.

        Args:
            pixels: uint8 [batch, height, width], grey.
            places: [batch, patches], each patch's position in its tile.
            cells: [m], which of the batch's image tokens a text token begins in.
            tokens: [m], that text token.
        """
        said = self.say(pixels, places)
        counts = torch.bincount(cells, minlength=len(said))
        empty = torch.nonzero(counts == 0).flatten()
        cells = torch.cat([cells, empty])
        tokens = torch.cat([tokens, torch.full_like(empty, self._space)])
        weights = torch.where(counts > 0, 1.0 / counts.clamp(min=1), self._space_weight)[cells]
        likelihood = self._likelihood(said, cells, tokens)
        distance = (said[cells] - self.words[tokens]).square().mean(1) / self._variance
        loss = (weights * (distance - likelihood)).sum() / weights.sum()
        return {"loss": loss}

    def _likelihood(
        self, said: torch.Tensor, cells: torch.Tensor, tokens: torch.Tensor
    ) -> torch.Tensor:
        """Logarithm of the probability of each token in its cell, among the step's and others."""
        others = torch.randint(len(self.words), (_OTHERS,))
        classes, index = torch.unique(torch.cat([tokens, others]), return_inverse=True)
        known = functional.normalize(self.words[classes], dim=1)
        logits = _SHARPNESS * functional.normalize(said, dim=1) @ known.T
        likelihood: torch.Tensor = logits.log_softmax(1)[cells, index[: len(tokens)]]
        return likelihood

    def nearest(self, said: torch.Tensor) -> torch.Tensor:
        """The token of the whole vocabulary whose embedding each image token is most like: [n]."""
        known = functional.normalize(self.words, dim=1)
        nearest: torch.Tensor = (functional.normalize(said, dim=1) @ known.T).argmax(1)
        return nearest


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


def worded_pieces(glyphs: Glyphs, tokenizer: PreTrainedTokenizerBase) -> dict[str, torch.Tensor]:
    """A tile as four pieces, as `WordReader` takes them: 64 image tokens each."""
    middles, tokens = places_of_tokens(glyphs, tokenizer)
    columns, rows = (middles // CELL).astype(np.int64).reshape(-1, 2).T
    found: dict[str, list[np.ndarray]] = {"pixels": [], "places": [], "cells": [], "tokens": []}
    for number, quarter in enumerate(quarters_of(glyphs.image)):
        found["pixels"].append(quarter.pixels)
        found["places"].append(quarter.places)
        row, column = rows - quarter.rows.start // FOLD, columns - quarter.columns.start // FOLD
        here = (row >= 0) & (row < _WIDE) & (column >= 0) & (column < _WIDE)
        found["cells"].append(number * _WIDE**2 + (row * _WIDE + column)[here])
        found["tokens"].append(tokens[here])
    joined = {name: np.concatenate(found[name]) for name in ("cells", "tokens")}
    stacked = {name: np.stack(found[name]) for name in ("pixels", "places")}
    return {name: torch.from_numpy(array) for name, array in (stacked | joined).items()}


def together(tiles: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The pieces of several tiles as one batch."""
    cells = (TILE // CELL) ** 2
    moved = [{**tile, "cells": tile["cells"] + n * cells} for n, tile in enumerate(tiles)]
    return {name: torch.cat([tile[name] for tile in moved]) for name in tiles[0]}


class WordedTiles(Dataset[dict[str, torch.Tensor]]):
    """Drawn tiles; the same for the same seed and index."""

    def __init__(self, seed: int, count: int, tokenizer: PreTrainedTokenizerBase) -> None:
        self._seed, self._count, self._tokenizer = seed, count, tokenizer

    def __len__(self) -> int:
        """How many."""
        return self._count

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """As `worded_pieces`."""
        glyphs = make_tile(random.Random(f"{self._seed}/words/{index}"), TILE)
        return worded_pieces(glyphs, self._tokenizer)


def make_optimizer(reader: WordReader, section: WordSection) -> torch.optim.Optimizer:
    """AdamW with a rate for the tower and one for the connector."""
    return torch.optim.AdamW(
        [
            {"params": list(reader.tower.parameters()), "lr": section.learning_rate},
            {"params": list(reader.connector.parameters()), "lr": section.connector_learning_rate},
        ],
        betas=(0.9, 0.98),
        weight_decay=0.0,
    )


def train_words(
    section: WordSection, *, seed: int, threads: int, tower: Path, out: Path, decoder: str = NAME
) -> Path:
    """Trains connector and tower; goes on from the newest checkpoint under `out`.

    Args:
        section: how long and how fast.
        seed: of the pictures and of the connector's start.
        threads: of torch.
        tower: the first stage's weights.
        out: checkpoints, logs, samples, and at the end `sight.pt`.
        decoder: as `load_base` takes it.

    Returns:
        The file of tower and connector: the state of each, under `tower` and `connector`.
    """
    torch.set_num_threads(threads)
    model, processor = load_seeing(seed, decoder)
    model.model.vision_model.load_state_dict(torch.load(tower))
    tokenizer = processor.tokenizer
    space = tokenizer(" ", add_special_tokens=False)["input_ids"][0]
    reader = WordReader(model, space, section.space_weight)
    del model
    tiles = section.batch // 4
    trainer = Trainer(
        model=reader,
        args=stage_arguments(section, out, seed, batch=tiles, logging_steps=20, **DRAWN_AHEAD),
        train_dataset=WordedTiles(seed, section.steps * tiles, tokenizer),
        data_collator=together,
        optimizers=(make_optimizer(reader, section), None),
        callbacks=[_Measure(seed, section.picture_steps, out / "pictures", tokenizer)],
    )
    trainer.train(resume_from_checkpoint=newest_checkpoint(out))
    file = out / SIGHT
    states = {"tower": reader.tower.state_dict(), "connector": reader.connector.state_dict()}
    torch.save(states, file)
    return file


def load_sight_state(model: Idefics3ForConditionalGeneration, file: Path) -> None:
    """Gives a seeing model the tower and connector that `train_words` wrote."""
    states = torch.load(file)
    model.model.vision_model.load_state_dict(states["tower"])
    model.model.connector.load_state_dict(states["connector"])


def known_share(reader: WordReader, tiles: dict[str, torch.Tensor]) -> float:
    """Share of the places where tokens begin that are most like one of these tokens."""
    with torch.no_grad():
        nearest = reader.nearest(reader.say(tiles["pixels"], tiles["places"]))
    right = nearest[tiles["cells"]] == tiles["tokens"]
    places, known = torch.unique(tiles["cells"]), torch.unique(tiles["cells"][right])
    return len(known) / max(len(places), 1)


class _Measure(TrainerCallback):  # type: ignore[misc]
    """The share of known tokens on held-out tiles, and what is said of the first one's piece."""

    def __init__(
        self, seed: int, every: int, folder: Path, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        self._every, self._folder, self._tokenizer = every, folder, tokenizer
        held_out = WordedTiles(seed, 0, tokenizer)
        self._tiles = together([held_out[-1 - number] for number in range(_HELD_OUT)])
        folder.mkdir(parents=True, exist_ok=True)
        self._board = SummaryWriter(str(folder))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Every so many steps."""
        if state.global_step % self._every:
            return
        reader: WordReader = kwargs["model"]
        share = known_share(reader, self._tiles)
        with torch.no_grad():
            said = reader.say(self._tiles["pixels"][:1], self._tiles["places"][:1])
            tokens = reader.nearest(said)
        wide = self._tiles["pixels"].shape[2] // CELL
        lines = [
            "|".join(self._tokenizer.decode([int(token)]).strip() for token in row)
            for row in tokens.reshape(-1, wide)
        ]
        text = "\n".join(lines)
        self._board.add_scalar("held_out/known", share, state.global_step)
        self._board.add_text(
            "held_out/said", f"    {text}".replace("\n", "\n    "), state.global_step
        )
        self._board.add_image(
            "held_out/piece", self._tiles["pixels"][0].numpy(), state.global_step, dataformats="HW"
        )
        (self._folder / "latest.txt").write_text(text + "\n")
        print(f"step {state.global_step}: tokens known: {share:.3f}", flush=True)
