"""How a stage that draws its own pictures is run: what all of them share."""

from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from trainer.default_model.vision.plan import AnswerSection, PlaceSection


def stage_arguments(
    section: PlaceSection | AnswerSection,
    out: Path,
    seed: int,
    *,
    batch: int,
    logging_steps: int,
    max_grad_norm: float = 1.0,
    **more: Any,
) -> TrainingArguments:
    """The trainer's arguments.

    Args:
        section: how long.
        out: gets checkpoints and logs.
        seed: of the order.
        batch: examples that the trainer takes for a step.
        logging_steps: steps between two lines of figures.
        max_grad_norm: slopes are cut to this length; 0 leaves them.
        more: other arguments of the trainer.
    """
    return TrainingArguments(
        output_dir=str(out),
        max_steps=section.steps,
        per_device_train_batch_size=batch,
        lr_scheduler_type="cosine",
        warmup_steps=section.warmup_steps,
        max_grad_norm=max_grad_norm,
        logging_steps=logging_steps,
        save_steps=section.save_steps,
        save_total_limit=2,
        use_cpu=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
        report_to=["tensorboard"],
        seed=seed,
        data_seed=seed,
        **more,
    )
