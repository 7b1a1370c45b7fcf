"""What `docs/learning-features.md` says and no other test proves."""

import re
from pathlib import Path

import pytest

from extraction.document_types.passport import PASSPORT
from extraction.document_types.receipt import RECEIPT
from trainer.profile import load_profile
from trainer.vocabulary import special_tokens


def test_three_runs_of_each_level_in_production() -> None:
    assert list(load_profile("production").grpo.levels) == ["token"] * 3 + ["sequence"] * 3
    assert list(load_profile("small").grpo.levels) == ["token", "sequence"]


def test_every_flat_field_has_its_pair_of_tokens() -> None:
    tokens = special_tokens()
    flat = [
        field.name for kind in (PASSPORT, RECEIPT) for field in kind.fields if not field.children
    ]
    assert {f"<{name}>" for name in flat} | {f"</{name}>" for name in flat} <= set(tokens)
    assert {"<think>", "</think>"} <= set(tokens)
    assert len(set(tokens)) == len(tokens)


@pytest.mark.parametrize(
    ("layer", "sees", "expected"),
    [
        ("model.layers.3.self_attn.q_proj", False, True),
        ("model.layers.3.mlp.down_proj", False, True),
        ("lm_head", False, False),
        ("model.text_model.layers.3.self_attn.q_proj", True, True),
        ("model.language_model.layers.3.mlp.gate_proj", True, True),
        ("model.vision_model.encoder.layers.3.self_attn.q_proj", True, False),
        ("model.connector.modality_projection.proj", True, False),
    ],
)
def test_adapters_are_for_the_decoder_alone(layer: str, sees: bool, expected: bool) -> None:
    from trainer.policy import lora_targets

    pattern = lora_targets({"sees_images": sees})
    assert bool(re.fullmatch(pattern, layer)) is expected


def test_the_loss_is_that_of_the_answer_alone(tmp_path: Path) -> None:
    """The trainer's loss is the negative log-likelihood of the completion's tokens, by hand."""
    import torch
    from transformers import AutoModelForCausalLM

    from trainer.sft import CompletionTrainer
    from trainer.tiny_models import build_llama

    model = AutoModelForCausalLM.from_pretrained(build_llama(tmp_path / "llama"))
    ids = torch.tensor([[5, 9, 14, 3, 22, 7]])
    labels = torch.tensor([[-100, -100, -100, 3, 22, 7]])
    trainer = CompletionTrainer.__new__(CompletionTrainer)
    loss = trainer.compute_loss(model, {"input_ids": ids, "labels": labels}, num_items_in_batch=3)
    log_probabilities = model(input_ids=ids).logits[0].float().log_softmax(-1)
    expected = -sum(log_probabilities[place - 1, ids[0, place]] for place in (3, 4, 5)) / 3
    assert torch.isclose(loss, expected, atol=1e-5)
