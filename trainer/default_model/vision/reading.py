"""Second stage: connector and decoder learn to write out what the tower sees.

From crops of a few lines to blocks to whole tiles. A crop costs a tenth of a tile's tokens, so the
meaning of the connector's tokens is learned on crops and the order of reading on tiles. The share
of each kind moves with the steps: crops first, tiles last. Beside them questions about fields are
rehearsed from lines alone: without these the adapter forgets how they are answered.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rapidfuzz.distance import Levenshtein
from safetensors.torch import save_file
from torch.utils.data import SequentialSampler
from torch.utils.tensorboard import SummaryWriter
from transformers import Trainer, TrainerCallback
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainer.default_model.vision.arguments import stage_arguments
from trainer.default_model.vision.optimizer import MuonAndAdamW
from trainer.default_model.vision.pieces import BLOCK_EDGE, Piece, Steps, batch_of, placed
from trainer.default_model.vision.plan import ReadingSection
from trainer.default_model.vision.reader import LEARNED, Reader
from trainer.default_model.vision.seeing import load_parts, load_seeing
from trainer.default_model.vision.tower import TILE
from trainer.stage import newest_checkpoint
from trainer.synth.vision.glyphs import make_block, make_crop, make_tile
from trainer.synth.vision.plate import Glyphs
from trainer.vocabulary import NAME

# Pieces that are measured whenever it is measured, and never learned from.
_MEASURED = {"crop": 12, "block": 4, "tile": 2}
_MORE_TOKENS = 20  # than the text has, before a piece that is written out is cut off


class _StepTrainer(Trainer):  # type: ignore[misc]
    """One batch of pieces a step, in the order of the curriculum."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(train_dataset or self.train_dataset)

    def compute_loss(
        self,
        model: Reader,
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: ARG002 - the trainer's signature
        num_items_in_batch: torch.Tensor | None = None,  # noqa: ARG002 - as above
    ) -> torch.Tensor:
        """Mean over the tokens of the pieces, and over those of the questions' answers."""
        return torch.stack([_mean(model, batches) for batches in inputs["groups"]]).sum()

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """What is learned, without the frozen decoder."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.model.learned(), folder / LEARNED)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:  # noqa: ARG002
        self.model.load_learned(Path(resume_from_checkpoint) / LEARNED)


def _mean(model: Reader, batches: list[dict[str, Any]]) -> torch.Tensor:
    parts = [model.loss(**batch) for batch in batches]
    loss: torch.Tensor = torch.stack([loss for loss, _ in parts]).sum()
    return loss / sum(count for _, count in parts)


def make_optimizer(reader: Reader, section: ReadingSection) -> MuonAndAdamW:
    """Muon for the adapter's matrices, AdamW for the connector.

    After 60 steps from the same start on the same pieces, Muon (2e-3) knew 16.2 % of the held-out
    tokens of crops and 17.2 % of blocks', AdamW (4e-4) 14.6 and 15.3 %. Muon at 8e-3 fell back.
    """
    connector = {
        "params": list(reader.sight()[1].parameters()),
        "lr": section.connector_learning_rate,
    }
    return MuonAndAdamW((reader.adapter(), section.learning_rate), [connector], betas=(0.9, 0.98))


def train_reading(
    section: ReadingSection,
    *,
    seed: int,
    threads: int,
    sight: Path,
    out: Path,
    questions: Sequence[Mapping[str, Any]] = (),
    decoder: str = NAME,
) -> Path:
    """Trains connector and adapter; resumable. The tower is held still.

    Args:
        section: how long and how fast.
        seed: of the pictures, the adapter's start and the order.
        threads: of torch.
        sight: tower and connector as the first stage wrote them.
        out: checkpoints, logs, pictures, and at the end `learned.safetensors`.
        questions: rows about fields that are rehearsed.
        decoder: as `load_base` takes it.
    """
    torch.set_num_threads(threads)
    model, processor = load_seeing(seed, decoder)
    load_parts(model, sight)
    reader = Reader(model, section.rank, Path(section.adapter) if section.adapter else None)
    reader.sight()[0].requires_grad_(requires_grad=False)
    optimizer = make_optimizer(reader, section)
    trainer = _StepTrainer(
        model=reader,
        args=stage_arguments(section, out, seed, batch=1, logging_steps=10),
        train_dataset=Steps(section, processor.tokenizer, seed, questions),
        data_collator=lambda steps: {"groups": steps[0]},
        optimizers=(optimizer, None),
        callbacks=[_Measure(section, processor.tokenizer, seed, out / "pictures")],
    )
    trainer.train(resume_from_checkpoint=newest_checkpoint(out))
    trainer.save_model(str(out))
    return out / LEARNED


class _Measure(TrainerCallback):  # type: ignore[misc]
    """Measures on pieces that are never learned from."""

    def __init__(
        self,
        section: ReadingSection,
        tokenizer: PreTrainedTokenizerBase,
        seed: int,
        folder: Path,
    ) -> None:
        self._section, self._tokenizer, self._folder = section, tokenizer, folder
        draw = random.Random(f"{seed}/held-out-pieces")
        made: dict[str, Callable[[], Glyphs]] = {
            "crop": lambda: make_crop(draw, 512, 64),
            "block": lambda: make_block(draw, BLOCK_EDGE, BLOCK_EDGE),
            "tile": lambda: make_tile(draw, TILE),
        }
        self._held_out = {
            kind: [placed(draw, make()) for _ in range(_MEASURED[kind])]
            for kind, make in made.items()
        }
        folder.mkdir(parents=True, exist_ok=True)
        self._board = SummaryWriter(str(folder))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Every so many steps: how much of each kind is read, and what is written of the first."""
        if state.global_step % self._section.picture_steps:
            return
        shown = []
        for kind, pieces in self._held_out.items():
            reader, first = kwargs["model"], pieces[0]
            known = _known_share(reader, pieces, self._tokenizer)
            most = len(self._tokenizer(first.text)["input_ids"]) + _MORE_TOKENS
            written = reader.write_out(first, self._tokenizer, most)
            errors = Levenshtein.normalized_distance(written, first.text)
            self._board.add_scalar(f"held_out/{kind}_known", known, state.global_step)
            self._board.add_scalar(f"held_out/{kind}_error_ratio", errors, state.global_step)
            said = f"{first.text}\n\nwas read as\n\n{written}"
            self._board.add_text(f"held_out/{kind}", said, state.global_step)
            self._board.add_image(
                f"held_out/{kind}", first.pixels, state.global_step, dataformats="HW"
            )
            Image.fromarray(first.pixels).save(self._folder / f"{kind}.png")
            (self._folder / f"{kind}.txt").write_text(said + "\n")
            shown.append(f"{kind} {known:.3f} (error ratio {errors:.3f})")
        print(f"step {state.global_step}: tokens known: {', '.join(shown)}", flush=True)


def _known_share(reader: Reader, pieces: list[Piece], tokenizer: PreTrainedTokenizerBase) -> float:
    """Share of the answers' tokens that are the likeliest after the right ones before them."""
    with torch.no_grad():
        logits, tokens = reader(**batch_of(pieces, tokenizer))
    return float((logits.argmax(-1) == tokens).float().mean())
