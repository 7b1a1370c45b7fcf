"""Second stage: connector and decoder learn to write out what the tower sees.

From crops of a few lines to blocks to whole tiles. A crop costs a tenth of a tile's tokens, so the
meaning of the connector's tokens is learned on crops and the order of reading on tiles. The share
of each kind moves with the steps: crops first, tiles last.
"""

import random
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from rapidfuzz.distance import Levenshtein
from safetensors.torch import save_file
from torch.utils.tensorboard import SummaryWriter
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainer.default_model.vision.pieces import BLOCK_EDGE, Pieces, placed
from trainer.default_model.vision.plan import ReadingSection
from trainer.default_model.vision.reader import Reader
from trainer.default_model.vision.seeing import load_seeing
from trainer.default_model.vision.tower import TILE
from trainer.stage import newest_checkpoint
from trainer.synth.vision.glyphs import make_block, make_crop, make_tile

LEARNED = "learned.safetensors"
_MEASURED = 6  # crops and blocks that are written out whenever it is measured


class _PieceTrainer(Trainer):  # type: ignore[misc]
    """One piece after the other, each at its own size: nothing is padded."""

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, list[Any]],
        return_outputs: bool = False,  # noqa: ARG002 - the trainer's signature
        num_items_in_batch: torch.Tensor | None = None,  # noqa: ARG002 - as above
    ) -> torch.Tensor:
        """Mean over the answers' tokens of the whole step."""
        pieces = inputs["pieces"]
        loss: torch.Tensor = torch.stack([model(**piece) for piece in pieces]).sum()
        count: int = sum(piece["answer_count"] for piece in pieces)
        return loss / count

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """What is learned, without the frozen decoder."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.model.learned(), folder / LEARNED)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:  # noqa: ARG002
        self.model.load_learned(Path(resume_from_checkpoint) / LEARNED)


def train_reading(
    section: ReadingSection, *, seed: int, threads: int, tower: Path, out: Path
) -> Path:
    """Trains connector and adapter, then the tower with them; resumable.

    Args:
        section: how long and how fast.
        seed: of the pictures, the adapter's start and the order.
        threads: of torch.
        tower: the first stage's weights.
        out: checkpoints, logs, pictures, and at the end `learned.safetensors`.
    """
    torch.set_num_threads(threads)
    model, processor = load_seeing(seed)
    model.model.vision_model.load_state_dict(torch.load(tower))
    reader = Reader(model, section.rank)
    connector = list(reader.seeing.model.connector.parameters())
    named = {id(weight) for weight in connector}
    others = [p for p in reader.parameters() if p.requires_grad and id(p) not in named]
    optimizer = torch.optim.AdamW(
        [
            {"params": others, "lr": section.learning_rate},
            {"params": connector, "lr": section.connector_learning_rate},
        ],
        betas=(0.9, 0.98),
        weight_decay=0.0,
    )
    trainer = _PieceTrainer(
        model=reader,
        args=TrainingArguments(
            output_dir=str(out),
            max_steps=section.steps,
            per_device_train_batch_size=section.batch,
            lr_scheduler_type="cosine",
            warmup_steps=section.warmup_steps,
            max_grad_norm=1.0,
            logging_steps=10,
            save_steps=section.save_steps,
            save_total_limit=2,
            use_cpu=True,
            dataloader_num_workers=1,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
            report_to=["tensorboard"],
            seed=seed,
            data_seed=seed,
        ),
        train_dataset=Pieces(section, processor.tokenizer, seed),
        data_collator=lambda rows: {"pieces": rows},
        optimizers=(optimizer, None),
        callbacks=[_Stages(section, processor.tokenizer, seed, out / "pictures")],
    )
    trainer.train(resume_from_checkpoint=newest_checkpoint(out))
    trainer.save_model(str(out))
    return out / LEARNED


class _Stages(TrainerCallback):  # type: ignore[misc]
    """Frees the tower when its time comes, and measures on pieces that are never learned from."""

    def __init__(
        self,
        section: ReadingSection,
        tokenizer: PreTrainedTokenizerBase,
        seed: int,
        folder: Path,
    ) -> None:
        self._section, self._tokenizer, self._folder = section, tokenizer, folder
        draw = random.Random(f"{seed}/held-out-pieces")
        self._held_out = {
            "crop": [placed(draw, make_crop(draw, 512, 64)) for _ in range(_MEASURED)],
            "block": [placed(draw, make_block(draw, *[BLOCK_EDGE] * 2)) for _ in range(_MEASURED)],
            "tile": [placed(draw, make_tile(draw, TILE)) for _ in range(2)],
        }
        folder.mkdir(parents=True, exist_ok=True)
        self._board = SummaryWriter(str(folder))

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Holds the tower still for the first share of the steps."""
        moves = state.global_step >= self._section.frozen_tower * self._section.steps
        kwargs["model"].seeing.model.vision_model.requires_grad_(moves)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Every so many steps: the characters' error ratio by kind, and what was written."""
        if state.global_step % self._section.picture_steps:
            return
        shown = []
        for kind, pieces in self._held_out.items():
            written = [kwargs["model"].write_out(piece, self._tokenizer) for piece in pieces]
            errors = [
                Levenshtein.normalized_distance(text, piece.text)
                for text, piece in zip(written, pieces, strict=True)
            ]
            ratio = sum(errors) / len(errors)
            self._board.add_scalar(f"held_out/{kind}_error_ratio", ratio, state.global_step)
            said = f"{pieces[0].text}\n\nwas read as\n\n{written[0]}"
            self._board.add_text(f"held_out/{kind}", said, state.global_step)
            Image.fromarray(pieces[0].pixels).save(self._folder / f"{kind}.png")
            (self._folder / f"{kind}.txt").write_text(said + "\n")
            shown.append(f"{kind} {ratio:.3f}")
        print(f"step {state.global_step}: error ratio {', '.join(shown)}", flush=True)
