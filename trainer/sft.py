"""Supervised fine-tuning of a fresh adapter on what people confirmed (TRL, PEFT)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from torch.utils.data import SequentialSampler
from transformers import TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer

from trainer.policy import Policy
from trainer.profile import AdapterSection, SftSection
from trainer.stage import newest_checkpoint

_IGNORED = -100  # the label of tokens that are not learned
# One example has no padding, and without a mask the attention is the plain causal one.
_NOT_SHOWN = ("labels", "attention_mask")


def train_sft(
    policy: Policy,
    rows: Sequence[dict[str, Any]],
    adapter: AdapterSection,
    section: SftSection,
    *,
    targets: str,
    seed: int,
    on_cpu: bool,
    out: Path,
    callbacks: Sequence[TrainerCallback] = (),
) -> list[dict[str, Any]]:
    """Trains an adapter; goes on from the newest checkpoint under `out` where there is one.

    Args:
        policy: the champion, frozen.
        rows: `prompt`, `completion` and, for a model that sees, `images`; in the order to learn.
        adapter: of which shape.
        section: how long and how fast.
        targets: pattern of the layers that get an adapter.
        seed: of the adapter's start and of dropout.
        on_cpu: whether to leave a GPU alone.
        out: gets checkpoints, TensorBoard logs and, at the end, `adapter/`.
        callbacks: see the steps go by.

    Returns:
        The trainer's log: one mapping for each logged step.
    """
    set_seed(seed)
    trainer = CompletionTrainer(
        model=with_adapter(policy, adapter, targets),
        args=sft_settings(
            out,
            batch=section.batch,
            epochs=section.epochs,
            learning_rate=section.learning_rate,
            warmup_steps=section.warmup_steps,
            logging_steps=1,
            save_steps=section.save_steps,
            seed=seed,
            on_cpu=on_cpu,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(
            [_row(row, sees_images=policy.sees_images) for row in rows]
        ),
        processing_class=policy.processor,
        callbacks=list(callbacks),
    )
    trainer.train(resume_from_checkpoint=newest_checkpoint(out))
    trainer.save_model(str(out / "adapter"))
    history: list[dict[str, Any]] = trainer.state.log_history
    return history


def sft_settings(
    out: Path,
    *,
    batch: int,
    warmup_steps: float,
    logging_steps: int,
    save_steps: int,
    seed: int,
    epochs: float = 1,
    learning_rate: float | None = None,
    on_cpu: bool = True,
    disable_tqdm: bool | None = None,
) -> SFTConfig:
    """How every supervised training here goes: one example at a time, nothing cut, nothing padded.

    The rate rises to its peak and falls linearly to 0, gradients are clipped at a norm of 1, and
    the two newest checkpoints are kept. On a GPU arithmetic is in bfloat16 and activations are
    computed again.

    Args:
        out: gets checkpoints and TensorBoard logs.
        batch: examples of an optimiser step, accumulated one by one.
        warmup_steps: optimiser steps until the peak; below 1, a share of them all.
        logging_steps: optimiser steps between two lines of the log.
        save_steps: optimiser steps between two checkpoints.
        seed: of the adapter's start, of dropout and of the data.
        epochs: passes over the examples.
        learning_rate: the peak; None where the trainer is given an optimiser, which has its own.
        on_cpu: whether to leave a GPU alone.
        disable_tqdm: whether no progress bar is shown; None leaves that to the log's level.
    """
    rate = {} if learning_rate is None else {"learning_rate": learning_rate}
    return SFTConfig(
        output_dir=str(out),
        max_length=None,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=batch,
        num_train_epochs=epochs,
        lr_scheduler_type="linear",
        warmup_steps=warmup_steps,
        max_grad_norm=1.0,
        logging_steps=logging_steps,
        save_steps=save_steps,
        save_total_limit=2,
        use_cpu=on_cpu,
        bf16=not on_cpu,
        gradient_checkpointing=not on_cpu,
        dataloader_pin_memory=not on_cpu,
        report_to=["tensorboard"],
        seed=seed,
        data_seed=seed,
        disable_tqdm=disable_tqdm,
        **rate,
    )


def with_adapter(policy: Policy, adapter: AdapterSection, targets: str) -> PeftModel:
    """The frozen model with a fresh adapter, whose own weights are float32.

    Small updates would be lost in bfloat16.
    """
    model = policy.model
    if adapter.quantisation != "none":
        model = prepare_model_for_kbit_training(model)
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config, autocast_adapter_dtype=True)


class CompletionTrainer(SFTTrainer):  # type: ignore[misc]
    """SFT whose logits are computed for the completion alone; on text, and on pages with text.

    The vocabulary's matrix is a fifth of the default model, and TRL's chunked loss multiplies it in
    float32: a step took 1.4 times as long on one core. With one example per batch the completion
    is the sequence's end, so `logits_to_keep` says all that is needed; a page and its lines are a
    thousand tokens before it.
    """

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> SequentialSampler:
        """The examples come shuffled, with a seed of their own."""
        return SequentialSampler(train_dataset or self.train_dataset)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,  # noqa: ARG002 - the trainer's signature
        num_items_in_batch: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Mean negative log-likelihood of the completion's tokens over the accumulated batch."""
        shown = {name: value for name, value in inputs.items() if name not in _NOT_SHOWN}
        labels = inputs["labels"]
        wanted = int((labels[0] != _IGNORED).sum())
        logits = model(**shown, logits_to_keep=wanted + 1).logits
        count = num_items_in_batch if num_items_in_batch is not None else wanted
        loss: torch.Tensor = torch.nn.functional.cross_entropy(
            logits[0, :-1].float(), labels[0, -wanted:], reduction="sum"
        )
        return loss / count


def _row(row: dict[str, Any], *, sees_images: bool) -> dict[str, Any]:
    """What the trainer takes; TRL tells by the column `images` what kind of data it has."""
    names = ("prompt", "completion", "images")
    kept: dict[str, Any] = {name: row[name] for name in names if name in row}
    if sees_images:
        kept.setdefault("images", [])
    return kept
