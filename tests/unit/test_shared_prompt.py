"""The group's shared prompt changes the speed of GRPO and nothing else."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from PIL import Image, ImageDraw
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)
from trl import GRPOConfig, GRPOTrainer

from trainer.shared_prompt import SharedPromptTrainer, completion_logits
from trainer.tiny_models import build_idefics3, build_llama


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_idefics3(tmp_path_factory.mktemp("seeing"))


def constant_reward(completions: list[object], **_: object) -> list[float]:
    return [float(index % 3) for index, _ in enumerate(completions)]


def make_trainer(
    kind: type[GRPOTrainer], folder: Path, out: Path, pages: list[Any] | None = None
) -> GRPOTrainer:
    torch.manual_seed(5)
    loader = AutoModelForCausalLM if pages is None else AutoModelForImageTextToText
    model = loader.from_pretrained(folder, dtype=torch.float32)
    targets = r".*text_model.*\.(q|v)_proj" if pages else r".*\.(q|v)_proj"
    adapted = get_peft_model(
        model, LoraConfig(r=4, target_modules=targets, init_lora_weights=False)
    )
    rows: list[dict[str, Any]] = [
        {"prompt": [{"role": "user", "content": "read " * n}]} for n in (3, 5, 9, 2)
    ]
    if pages is not None:
        rows = [
            {"prompt": [{"role": "user", "content": "read"}], "images": [page] if page else []}
            for page in pages
        ]
    processor = AutoTokenizer if pages is None else AutoProcessor
    sees = {"processor_kwargs": {"return_tensors": None}}
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
            shuffle_dataset=False,
            chat_template_kwargs=sees if pages else {},
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=processor.from_pretrained(folder, padding_side="left"),
    )


def page(total: str) -> Image.Image:
    image = Image.new("RGB", (90, 120), "white")
    ImageDraw.Draw(image).text((10, 10), total, fill="black")
    return image


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


def test_pages_of_one_group_are_encoded_once_and_nothing_else_changes(
    seeing: Path, tmp_path: Path
) -> None:
    """Two pages under the same words, and a prompt without a page."""
    pages = [page("1.00"), page("22.00"), None]
    found = []
    for kind in (GRPOTrainer, SharedPromptTrainer):
        trainer = make_trainer(kind, seeing, tmp_path / kind.__name__, pages)
        chats = [trainer.train_dataset[row] for row in (0, 0, 0, 1, 1, 2)]
        chats = [with_page(chat) for chat in chats]
        prompts, _, pictures = trainer._tokenize_prompts(chats)
        assert prompts[0] == prompts[3], "only the pixels tell them apart"
        pixels = torch.as_tensor(pictures["pixel_values"])
        ids, mask = batch_of(prompts, trainer.processing_class.tokenizer.pad_token_id)
        encoded: list[int] = []
        tower = trainer.accelerator.unwrap_model(trainer.model).get_base_model().model.vision_model
        tower.register_forward_pre_hook(
            lambda _module, _args, kwargs, seen=encoded: seen.append(len(kwargs["pixel_values"])),
            with_kwargs=True,
        )
        logps, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model,
            ids,
            mask,
            8,
            pixel_values=pixels,
            pixel_attention_mask=torch.as_tensor(pictures["pixel_attention_mask"]),
            num_images=[1, 1, 1, 1, 1, 0],
        )
        (logps * mask[:, -8:]).sum().backward()
        gradients = [p.grad for p in trainer.model.parameters() if p.grad is not None]
        found.append((logps.detach() * mask[:, -8:], gradients, sum(encoded)))
    (plain, plain_grad, plain_count), (shared, shared_grad, shared_count) = found
    torch.testing.assert_close(shared, plain, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(shared[2], shared[3], atol=1e-3), "the page decides"
    assert len(shared_grad) == len(plain_grad) > 0
    for ours, theirs in zip(shared_grad, plain_grad, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)
    assert (plain_count, shared_count) == (5, 2)


def with_page(row: dict[str, Any]) -> list[dict[str, Any]]:
    shown = [{"type": "image", "image": image} for image in row["images"]]
    text = {"type": "text", "text": row["prompt"][0]["content"]}
    return [{"role": "user", "content": [*shown, text]}]


def batch_of(prompts: list[list[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same completion after every prompt: what differs comes from the prompt."""
    longest = max(map(len, prompts))
    answer = torch.randint(10, 200, (8,), generator=torch.Generator().manual_seed(2)).tolist()
    padded = [[pad] * (longest - len(ids)) + list(ids) + answer for ids in prompts]
    seen = [[0] * (longest - len(ids)) + [1] * (len(ids) + 8) for ids in prompts]
    return torch.tensor(padded), torch.tensor(seen)


def test_a_step_on_pages_trains_and_tells_pages_apart(seeing: Path, tmp_path: Path) -> None:
    pages = [page("1.00"), None, page("22.00"), page("3.00")]
    trainer = make_trainer(SharedPromptTrainer, seeing, tmp_path, pages)
    before = {n: p.clone() for n, p in trainer.model.named_parameters() if p.requires_grad}
    trainer.train()
    after = dict(trainer.model.named_parameters())
    assert any(not torch.equal(before[n], after[n]) for n in before)
    assert not any("vision" in name or "connector" in name for name in before)


def test_checkpointed_gradients_are_computed_without_shared_keys(
    folder: Path, tmp_path: Path
) -> None:
    """The shared keys and values would be dropped: the completion would follow nothing."""
    ids = torch.randint(10, 200, (6, 20), generator=torch.Generator().manual_seed(1))
    found = []
    for kind in (GRPOTrainer, SharedPromptTrainer):
        trainer = make_trainer(kind, folder, tmp_path / kind.__name__)
        trainer.args.gradient_checkpointing = True
        trainer.model.gradient_checkpointing_enable()
        trainer.model.train()
        logps, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, torch.ones_like(ids), 8
        )
        found.append(logps.detach())
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-4)
