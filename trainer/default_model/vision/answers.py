"""The stages after the first: the decoder's adapter learns to answer from what the tower says.

In each step questions about fields from lines alone, so that the adapter does not forget how they
are answered, and bands of pages that are written out, from the last stage on questions about fields
from a page alone too. Tower and connector are held still: their image tokens are characters of the
decoder's own since the first stage.
"""

import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.utils.data import Dataset, SequentialSampler
from torch.utils.tensorboard import SummaryWriter
from transformers import Trainer, TrainerCallback, set_seed
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from extraction.tower_reader import TOWER
from trainer.default_model.sight import Sight
from trainer.default_model.vision.arguments import stage_arguments
from trainer.default_model.vision.field_rows import View
from trainer.default_model.vision.plan import AnswerSection
from trainer.default_model.vision.questions import Question, question_of
from trainer.default_model.vision.reader import LEARNED, Reader
from trainer.default_model.vision.seeing import load_parts, load_seeing, save_sight
from trainer.policy import ADAPTER, Policy
from trainer.stage import newest_checkpoint, read_lines
from trainer.vocabulary import NAME

_MOST_TOKENS = 320  # of an answer that is measured


class Steps(Dataset[list[Question]]):
    """The questions of each step; the same for the same rows, seed and index.

    Args:
        rows: to learn, of all views; each view's are taken in passes.
        section: how many of which view make a step.
        tokenizer: of the decoder.
        seed: of the order.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        section: AnswerSection,
        tokenizer: PreTrainedTokenizerBase,
        seed: int,
    ) -> None:
        self._steps, self._tokenizer, self._seed = section.steps, tokenizer, seed
        self._rows = {view: [row for row in rows if row["view"] == view] for view in View}
        self._counts = {
            View.LINES: section.lines_in_step,
            View.ALONE: section.alone_in_step,
            View.PART: section.parts_in_step,
        }

    def __len__(self) -> int:
        """How many steps."""
        return self._steps

    def __getitem__(self, index: int) -> list[Question]:
        """One step's."""
        return [
            question_of(self._row(view, index * count + number), self._tokenizer)
            for view, count in self._counts.items()
            if self._rows[view]
            for number in range(count)
        ]

    def _row(self, view: View, number: int) -> Mapping[str, Any]:
        rows = self._rows[view]
        one_pass, place = divmod(number, len(rows))
        order = random.Random(f"{self._seed}/{view}/{one_pass}").sample(rows, len(rows))
        return order[place]


class _StepTrainer(Trainer):  # type: ignore[misc]
    """The questions of a step one after the other, in the order of the rows."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(train_dataset or self.train_dataset)

    def compute_loss(
        self,
        model: Reader,
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: ARG002 - the trainer's signature
        num_items_in_batch: torch.Tensor | None = None,  # noqa: ARG002 - as above
    ) -> torch.Tensor:
        """Mean over the questions."""
        return torch.stack([model.loss(question) for question in inputs["questions"]]).mean()

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """What is learned, without what is held still."""
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.model.learned(), folder / LEARNED)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:  # noqa: ARG002
        self.model.load_learned(Path(resume_from_checkpoint) / LEARNED)


def train_answers(
    section: AnswerSection,
    *,
    seed: int,
    threads: int,
    rows: tuple[Path, Path],
    start: Path | None,
    before: Path | None,
    tower: Path,
    sight: Sight,
    out: Path,
    decoder: str = NAME,
) -> Path:
    """Trains the adapter of one stage; resumable.

    Args:
        section: how long and how fast.
        seed: of the order.
        threads: of torch.
        rows: files of the rows to learn and of those that are measured (`field_rows.write_rows`).
        start: folder of an adapter that it begins from; None begins with one that changes nothing.
        before: folder of the adapter that is blended in at the end, as `section.share` says; None
            leaves what was learned.
        tower: tower and connector as the first stage wrote them.
        sight: how the model that comes out is asked.
        out: checkpoints, logs, pictures, and at the end `adapter/` and `tower/`.
        decoder: as `load_base` takes it.

    Returns:
        `out`, which `install_seeing` takes.
    """
    torch.set_num_threads(threads)
    set_seed(seed)
    model, processor = load_seeing(seed, decoder)
    load_parts(model, tower)
    model.requires_grad_(requires_grad=False)
    reader = Reader(model, section.rank, start)
    optimizer = torch.optim.AdamW(
        reader.adapter(), lr=section.learning_rate, betas=(0.9, 0.98), weight_decay=0.0
    )
    trainer = _StepTrainer(
        model=reader,
        args=stage_arguments(section, out, seed, batch=1, logging_steps=5),
        train_dataset=Steps(read_lines(rows[0]), section, processor.tokenizer, seed),
        data_collator=lambda steps: {"questions": steps[0]},
        optimizers=(optimizer, None),
        callbacks=[_Answers(processor, read_lines(rows[1]), section.picture_steps, out)],
    )
    trainer.train(resume_from_checkpoint=newest_checkpoint(out))
    if before is not None:
        reader.blend(before, section.share)
    reader.model.save_pretrained(out / ADAPTER, save_embedding_layers=False)
    save_sight(reader.seeing, sight, out / TOWER)
    return out


class _Answers(TrainerCallback):  # type: ignore[misc]
    """Asks about documents that are never learned from, and tells how many fields are right."""

    def __init__(
        self, processor: Any, rows: Sequence[Mapping[str, Any]], every: int, out: Path
    ) -> None:
        self._rows, self._every = rows, every
        self._tokenizer = processor.tokenizer
        self._folder = out / "pictures"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._board = SummaryWriter(str(self._folder))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Every so many steps, and at the end."""
        is_last = state.global_step == state.max_steps
        if not self._rows or (state.global_step % self._every and not is_last):
            return
        reader: Reader = kwargs["model"]
        ends = Policy(reader.seeing, self._tokenizer, sees_images=True).end_token_ids
        told = []
        reader.eval()
        for view in View:
            rows = [row for row in self._rows if row["view"] == view]
            if rows:
                share = self._measure(reader, ends, view, rows, state.global_step)
                told.append(f"{view} {share:.3f}")
        reader.train()
        print(f"step {state.global_step}: fields right: {', '.join(told)}", flush=True)

    def _measure(
        self,
        reader: Reader,
        ends: Sequence[int],
        view: View,
        rows: Sequence[Mapping[str, Any]],
        step: int,
    ) -> float:
        shares = []
        for number, row in enumerate(rows):
            written = reader.write(question_of(row, self._tokenizer), ends, _MOST_TOKENS)
            answer = str(self._tokenizer.decode(written, skip_special_tokens=True))
            expected = row["completion"][0]["content"]
            shares.append(share_right(expected, answer))
            if number == 0:
                said = f"{expected}\n\nwas answered\n\n{answer}"
                self._board.add_text(f"held_out/{view}", said, step)
                (self._folder / f"{view}.txt").write_text(said + "\n")
                for file in row["image_files"]:
                    pixels = np.asarray(Image.open(file).convert("RGB"))
                    self._board.add_image(f"held_out/{view}", pixels, step, dataformats="HWC")
        share = math.fsum(shares) / len(shares)
        self._board.add_scalar(f"held_out/{view}_fields_right", share, step)
        return share


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
