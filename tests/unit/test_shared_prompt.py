"""The group's shared prompt changes the speed of GRPO and nothing else."""

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from trainer.shared_prompt import SharedPromptTrainer, completion_logits
from trainer.tiny_models import build_llama


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_llama(tmp_path_factory.mktemp("tiny"))


def constant_reward(completions: list[object], **_: object) -> list[float]:
    return [float(index % 3) for index, _ in enumerate(completions)]


def make_trainer(kind: type[GRPOTrainer], folder: Path, out: Path) -> GRPOTrainer:
    torch.manual_seed(5)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    adapted = get_peft_model(
        model, LoraConfig(r=4, target_modules=r".*\.(q|v)_proj", init_lora_weights=False)
    )
    rows = [{"prompt": [{"role": "user", "content": "read " * n}]} for n in (3, 5, 9, 2)]
    return kind(
        model=adapted,
        reward_funcs=[constant_reward],
        args=GRPOConfig(
            output_dir=str(out),
            per_device_train_batch_size=6,
            num_generations=3,
            max_completion_length=12,
            max_steps=1,
            learning_rate=1e-3,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            dataloader_pin_memory=False,
            report_to=[],
            disable_tqdm=True,
            save_strategy="no",
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(folder),
    )


def test_log_probabilities_and_gradients_are_those_of_trl(folder: Path, tmp_path: Path) -> None:
    ids = torch.randint(10, 200, (6, 20), generator=torch.Generator().manual_seed(1))
    ids[3:, 4:12] = ids[3, 4:12]
    ids[:3, :12] = ids[0, :12]
    mask = torch.ones_like(ids)
    mask[3:, :4] = 0  # the second prompt is shorter, and padded on the left
    mask[1, 17:] = 0  # one completion is shorter
    found = []
    for kind in (GRPOTrainer, SharedPromptTrainer):
        trainer = make_trainer(kind, folder, tmp_path / kind.__name__)
        logps, entropies, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, 8, compute_entropy=True
        )
        kept = mask[:, -8:]
        (logps * kept).sum().backward()
        gradients = [p.grad for p in trainer.model.parameters() if p.grad is not None]
        found.append((logps.detach() * kept, entropies * kept, gradients))
    (plain, plain_entropy, plain_grad), (shared, shared_entropy, shared_grad) = found
    torch.testing.assert_close(shared, plain, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(shared_entropy, plain_entropy, atol=1e-4, rtol=1e-4)
    assert len(shared_grad) == len(plain_grad) > 0
    for ours, theirs in zip(shared_grad, plain_grad, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_a_step_trains_and_rolls_out_up_to_the_end_token(folder: Path, tmp_path: Path) -> None:
    trainer = make_trainer(SharedPromptTrainer, folder, tmp_path)
    before = {n: p.clone() for n, p in trainer.model.named_parameters() if p.requires_grad}
    trainer.train()
    after = dict(trainer.model.named_parameters())
    assert any(not torch.equal(before[n], after[n]) for n in before)
    assert trainer.state.log_history[0]["reward"] > 0
    answers, _ = trainer._generate_single_turn([[5, 6, 7], [5, 6, 7], [9, 9]], None, {}, 3)
    ends = set(trainer.eos_token_ids)
    assert len(answers) == 3
    for answer in answers:
        assert 1 <= len(answer) <= 12
        assert not ends & set(answer[:-1])


def test_one_token_completions(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompt = torch.tensor([[3, 4, 5, 6]])
    completion = torch.tensor([[7], [8]])
    logits = completion_logits(model, prompt, completion, torch.ones_like(completion))
    torch.testing.assert_close(logits[0, 0], model(prompt).logits[0, -1], atol=1e-5, rtol=1e-4)
    assert logits.shape[:2] == (2, 1)
