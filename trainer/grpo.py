"""Group relative policy optimisation from the SFT adapter, with verifiable rewards (TRL).

A_i = (R_i - mean(R_group)) / (std(R_group) + 1e-4) for the weighted sum R of the rewards; the loss
is the clipped policy gradient with token-level or sequence-level importance ratios (Shao et al.
2024; Zheng et al. 2025). Ingredients of a soup are such runs with several seeds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import PeftModel
from transformers import TrainerCallback, set_seed
from trl import GRPOConfig

from trainer.policy import Policy
from trainer.profile import GrpoSection, Level, RewardsSection
from trainer.rewards import TokenizerDecode, make_rewards
from trainer.shared_prompt import SharedPromptTrainer, shares_prompts
from trainer.stage import newest_checkpoint


def train_grpo(
    policy: Policy,
    rows: Sequence[dict[str, Any]],
    sft_adapter: Path,
    section: GrpoSection,
    rewards: RewardsSection,
    *,
    level: Level,
    seed: int,
    on_cpu: bool,
    out: Path,
    callbacks: Sequence[TrainerCallback] = (),
) -> list[dict[str, Any]]:
    """One run; goes on exactly from the newest checkpoint under `out` where there is one.

    Args:
        policy: the champion, frozen.
        rows: `prompt`, `task` (see `trainer.rewards`) and, for a model that sees, `images`.
        sft_adapter: where the policy starts.
        section: how long, how fast, how many completions.
        rewards: their weights.
        level: of the importance ratios.
        seed: of data order and rollouts.
        on_cpu: whether to leave a GPU alone.
        out: gets checkpoints, TensorBoard logs and, at the end, `adapter/`.
        callbacks: see the steps go by.

    Returns:
        The trainer's log: one mapping for each step, with every reward's mean.

    Raises:
        ValueError: fewer rows than prompts of one step.
    """
    if len(rows) < section.prompts_per_step:
        raise ValueError(f"{len(rows)} prompts for steps of {section.prompts_per_step}")
    set_seed(seed)
    groups = section.groups_together if on_cpu and shares_prompts(policy.model) else 1
    policy.tokenizer.padding_side = "left"
    functions, weights = make_rewards(
        rewards, end_token_ids=policy.end_token_ids, decode=TokenizerDecode(policy.tokenizer)
    )
    model = PeftModel.from_pretrained(policy.model, str(sft_adapter), is_trainable=True)
    trainer = SharedPromptTrainer(
        model=model,
        reward_funcs=functions,
        args=GRPOConfig(
            output_dir=str(out),
            per_device_train_batch_size=groups * section.generation_count,
            gradient_accumulation_steps=section.prompts_per_step // groups,
            num_generations=section.generation_count,
            max_completion_length=section.most_completion_tokens,
            temperature=section.temperature,
            beta=section.beta,
            learning_rate=section.learning_rate,
            lr_scheduler_type="constant",
            max_steps=section.steps,
            importance_sampling_level=level,
            # The sequence's ratio belongs to the loss that averages over sequences (GSPO).
            loss_type="grpo" if level == "sequence" else "dapo",
            reward_weights=weights,
            logging_steps=1,
            save_steps=section.save_steps,
            save_total_limit=2,
            use_vllm=section.rollout_engine == "vllm",
            use_cpu=on_cpu,
            bf16=not on_cpu,
            gradient_checkpointing=not on_cpu,
            dataloader_pin_memory=not on_cpu,
            # Prompts of different lengths, as the processors of vision-language models want them.
            chat_template_kwargs=(
                {"processor_kwargs": {"return_tensors": None}} if policy.sees_images else {}
            ),
            report_to=["tensorboard"],
            seed=seed,
            data_seed=seed,
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


def _row(row: dict[str, Any], *, sees_images: bool) -> dict[str, Any]:
    """What the trainer takes; TRL tells by the column `images` what kind of data it has."""
    names = ("prompt", "task", "images")
    kept: dict[str, Any] = {name: row[name] for name in names if name in row}
    if sees_images:
        kept.setdefault("images", [])
    return kept
