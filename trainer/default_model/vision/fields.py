"""Third stage: fields from lines and page together, from the page alone, from the lines alone.

Supervised fine-tuning as the learning loop does it (`trainer.sft`), of the adapter that the second
stage trained, and of tower and connector with a small rate. Lines are hidden at random, so that the
model leans on them where they are and still reads where they are not.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, List
from datasets import Image as ImageColumn
from PIL import Image
from safetensors.torch import save_file
from torch.utils.tensorboard import SummaryWriter
from transformers import TrainerCallback, set_seed

from trainer.default_model.sight import TOWER
from trainer.default_model.vision.field_rows import View
from trainer.default_model.vision.plan import FieldSection
from trainer.default_model.vision.reader import LEARNED, Reader, autocast
from trainer.default_model.vision.seeing import load_seeing, save_sight
from trainer.greedy import answer_greedily
from trainer.page_size import by_page_size
from trainer.policy import ADAPTER, Policy
from trainer.sft import CompletionTrainer, sft_settings
from trainer.stage import newest_checkpoint, read_lines
from trainer.vocabulary import NAME

_MOST_TOKENS = 320  # of an answer that is measured
_SAID_STEPS = 5


class _FieldTrainer(CompletionTrainer):
    """The learning loop's trainer; what it keeps is tower, connector and adapter."""

    def __init__(self, reader: Reader, **kwargs: Any) -> None:
        self._reader = reader
        super().__init__(model=reader.model, **kwargs)

    def compute_loss(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As the parent's, in bfloat16."""
        with autocast():
            return super().compute_loss(*args, **kwargs)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """What is learned, without the frozen decoder."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self._reader.learned(), folder / LEARNED)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:  # noqa: ARG002
        self._reader.load_learned(Path(resume_from_checkpoint) / LEARNED)


def make_optimizer(reader: Reader, section: FieldSection) -> torch.optim.Optimizer:
    """AdamW, with a rate for the adapter and one for tower and connector."""
    sight = [weight for part in reader.sight() for weight in part.parameters()]
    return torch.optim.AdamW(
        [
            {"params": reader.adapter(), "lr": section.learning_rate},
            {"params": sight, "lr": section.sight_learning_rate},
        ],
        betas=(0.9, 0.98),
        weight_decay=0.0,
    )


def train_fields(
    section: FieldSection,
    *,
    rank: int,
    seed: int,
    threads: int,
    rows: tuple[Path, Path],
    learned: Path,
    out: Path,
    decoder: str = NAME,
) -> Path:
    """Trains adapter, tower and connector on fields; resumable.

    Args:
        section: how fast, and how the model is asked.
        rank: of the adapter, as in the second stage.
        seed: of the order.
        threads: of torch.
        rows: files of the rows to learn and of those that are measured (`field_rows.write_rows`).
        learned: what the second stage wrote.
        out: checkpoints, logs, pictures, and at the end `adapter/` and `tower/`.
        decoder: as `load_base` takes it.

    Returns:
        `out`, which `install_seeing` takes.
    """
    torch.set_num_threads(threads)
    set_seed(seed)
    model, processor = load_seeing(seed, decoder)
    reader = Reader(model, rank)
    reader.load_learned(learned)
    for part in reader.sight():
        part.requires_grad_(section.sight_learning_rate > 0)
    by_page_size(processor)
    trainer = _FieldTrainer(
        reader,
        args=sft_settings(
            out,
            batch=section.batch,
            warmup_steps=section.warmup_steps,
            logging_steps=_SAID_STEPS,
            save_steps=section.save_steps,
            seed=seed,
        ),
        train_dataset=_dataset(read_lines(rows[0])),
        processing_class=processor,
        optimizers=(make_optimizer(reader, section), None),
        callbacks=[_Answers(reader, processor, read_lines(rows[1]), section.picture_steps, out)],
    )
    trainer.train(resume_from_checkpoint=newest_checkpoint(out))
    reader.model.save_pretrained(out / ADAPTER, save_embedding_layers=False)
    save_sight(reader.seeing, section.sight, out / TOWER)
    return out


def _dataset(rows: Sequence[Mapping[str, Any]]) -> Dataset:
    """What the trainer takes; a page is opened when its turn comes."""
    listed = [
        {
            "prompt": row["prompt"],
            "completion": row["completion"],
            "images": row["image_files"],
        }
        for row in rows
    ]
    return Dataset.from_list(listed).cast_column("images", List(ImageColumn()))


class _Answers(TrainerCallback):  # type: ignore[misc]
    """Answers about held-out documents, by what was shown: figures, texts and pages."""

    def __init__(
        self,
        reader: Reader,
        processor: Any,
        rows: Sequence[Mapping[str, Any]],
        every: int,
        out: Path,
    ) -> None:
        self._reader, self._rows, self._every = reader, rows, every
        self._policy = Policy(reader.seeing, processor, sees_images=True)
        self._folder = out / "pictures"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._board = SummaryWriter(str(self._folder))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Every so many steps, and at the end."""
        is_last = state.global_step == state.max_steps
        if not self._rows or (state.global_step % self._every and not is_last):
            return
        told = []
        self._reader.eval()
        for view in View:
            rows = [row for row in self._rows if row["view"] == view]
            if rows:
                share = self._measure(view, rows, state.global_step)
                told.append(f"{view} {share:.3f}")
        self._reader.train()
        print(f"step {state.global_step}: fields right: {', '.join(told)}", flush=True)

    def _measure(self, view: View, rows: Sequence[Mapping[str, Any]], step: int) -> float:
        shares = []
        for number, row in enumerate(rows):
            images = [Image.open(path).convert("RGB") for path in row["image_files"]]
            answer = self._answer(row["prompt"], images)
            expected = row["completion"][0]["content"]
            shares.append(share_right(expected, answer))
            if number == 0:
                said = f"{expected}\n\nwas answered\n\n{answer}"
                self._board.add_text(f"held_out/{view}", said, step)
                (self._folder / f"{view}.txt").write_text(said + "\n")
                for image in images:
                    pixels = np.asarray(image)
                    self._board.add_image(f"held_out/{view}", pixels, step, dataformats="HWC")
                    image.save(self._folder / f"{view}.png")
        share = sum(shares) / len(shares)
        self._board.add_scalar(f"held_out/{view}_fields_right", share, step)
        return share

    def _answer(self, prompt: Sequence[Mapping[str, Any]], images: Sequence[Image.Image]) -> str:
        row = {"prompt": prompt, "images": images}
        with autocast():
            (ids,) = answer_greedily(self._policy, self._reader.model, [row], _MOST_TOKENS)
        return str(self._policy.tokenizer.decode(ids, skip_special_tokens=True))


def share_right(expected: str, answer: str) -> float:
    """Of the fields that are expected or answered, the share that is equal but for case and spaces.

    An answer that is no JSON object has none; where nothing is expected, nothing must be answered.
    """
    wanted = json.loads(expected)
    try:
        given = json.loads(answer)
    except ValueError:
        return 0.0
    if not isinstance(given, dict):
        return 0.0
    names = wanted.keys() | given.keys()
    right = sum(_plain(wanted.get(name)) == _plain(given.get(name)) for name in names)
    return right / len(names) if names else 1.0


def _plain(value: Any) -> str:
    return "".join(json.dumps(value, ensure_ascii=False).casefold().split())
