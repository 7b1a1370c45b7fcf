"""Supervised fine-tuning of the default model's adapter on CPU, resumable."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PreTrainedModel, set_seed
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainer.base_model import load_base
from trainer.default_model.vision.reader import TARGETS
from trainer.default_model.vision.seeing import load_sight
from trainer.examples import Example
from trainer.sft import CompletionTrainer, sft_settings
from trainer.stage import newest_checkpoint

_TARGETS = r".*\.(q|k|v|o|gate|up|down)_proj"


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers of the run.

    Attributes:
        seed: of data order, adapter initialisation and dropout.
        rank: of the adapter on every linear layer of the decoder; alpha is twice the rank.
        learning_rate: peak; falls linearly to 0 after `warmup_steps`.
        batch: examples per step, accumulated one by one, so that nothing is padded.
        threads: CPU threads of torch.
    """

    seed: int = 17
    rank: int = 32
    learning_rate: float = 1e-3
    batch: int = 4
    warmup_steps: float = 20
    save_steps: int = 30
    threads: int = 1


def train(
    examples: Sequence[Example], recipe: Recipe, runs: Path, tower: Path | None = None
) -> Path:
    """Trains the adapter; continues from the newest checkpoint under `runs` where there is one.

    Args:
        examples: are read from lines alone.
        recipe: the run's numbers.
        runs: checkpoints, and the adapter at the end.
        tower: folder of a tower that the decoder is to have; it is held still.

    Returns:
        The folder of the trained adapter.
    """
    torch.set_num_threads(recipe.threads)
    set_seed(recipe.seed)
    model, tokenizer = _load(tower)
    # AVX-512 BF16 makes bfloat16 base weights 1.6 times as fast as float32 here; the adapter's own
    # weights stay in float32, so small updates are not lost.
    model = model.to(torch.bfloat16)
    dataset = Dataset.from_list([example.as_row() for example in examples])
    trainer = CompletionTrainer(
        model=model,
        args=sft_settings(
            runs,
            batch=recipe.batch,
            learning_rate=recipe.learning_rate,
            warmup_steps=recipe.warmup_steps,
            logging_steps=5,
            save_steps=recipe.save_steps,
            seed=recipe.seed,
        ),
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=recipe.rank,
            lora_alpha=2 * recipe.rank,
            target_modules=_TARGETS if tower is None else TARGETS,
            task_type="CAUSAL_LM",
        ),
    )
    trainer.train(resume_from_checkpoint=newest_checkpoint(runs))
    adapter = runs / "adapter"
    trainer.save_model(str(adapter))
    return adapter


def _load(tower: Path | None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if tower is None:
        return load_base()
    model, processor = load_sight(tower)
    return model, processor.tokenizer
