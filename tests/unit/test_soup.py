"""Soups against merged weights and against PEFT; and the choice of ingredients."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from trainer.adapters import UnsupportedAdapter, read_adapter
from trainer.soup import SoupMismatch, concatenate, rank_of, reduce_rank, uniform_soup
from trainer.soup_choice import better_soup, greedy_soup

SHAPE: Mapping[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


def base() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SHAPE)).float()


def ingredient(folder: Path, seed: int, *, name: str = "default", **settings: Any) -> Path:
    """An adapter as a training leaves it, with weights that do something."""
    config = LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"], **settings}
    )
    model = get_peft_model(base(), config, adapter_name=name)
    torch.manual_seed(seed)
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "lora_" in key:
                weight.copy_(torch.randn_like(weight) * 0.1)
    model.save_pretrained(folder)
    return folder


def merged(adapter: Path) -> dict[str, torch.Tensor]:
    model = PeftModel.from_pretrained(base(), str(adapter)).merge_and_unload()
    return dict(model.state_dict())


def largest_difference(
    first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]
) -> float:
    assert first.keys() == second.keys()
    return max(float((first[key] - second[key]).abs().max()) for key in first)


@pytest.fixture
def different(tmp_path: Path) -> list[Path]:
    """Ingredients of several ranks, scales and layers, one of them rank-stabilised."""
    return [
        ingredient(tmp_path / "a", 1),
        ingredient(tmp_path / "b", 2, r=6, lora_alpha=3),
        ingredient(tmp_path / "c", 3, r=9, use_rslora=True, target_modules=["q_proj", "v_proj"]),
    ]


def test_a_soup_is_the_average_of_the_merged_weights(different: list[Path], tmp_path: Path) -> None:
    report = uniform_soup(different, tmp_path / "soup", base="tiny")
    parts = [merged(folder) for folder in different]
    mean = {key: sum(part[key] for part in parts) / 3 for key in parts[0]}
    soup = merged(tmp_path / "soup")
    assert largest_difference(soup, mean) < 1e-6
    assert largest_difference(soup, parts[0]) > 0.01, "the adapters do something"
    assert report.largest_error < 1e-7
    config = json.loads((tmp_path / "soup" / "adapter_config.json").read_text())
    assert (report.rank, config["r"], config["lora_alpha"]) == (19, 19, 19)
    assert (config["base_model_name_or_path"], config["use_rslora"]) == ("tiny", False)


def test_a_soup_is_what_peft_concatenates(tmp_path: Path) -> None:
    folders = [ingredient(tmp_path / "a", 1), ingredient(tmp_path / "b", 2, r=6, lora_alpha=3)]
    uniform_soup(folders, tmp_path / "soup")
    model = PeftModel.from_pretrained(base(), str(folders[0]), adapter_name="a")
    model.load_adapter(str(folders[1]), "b")
    model.add_weighted_adapter(["a", "b"], [0.5, 0.5], "both", combination_type="cat")
    model.set_adapter("both")
    theirs = model.merge_and_unload(adapter_names=["both"]).state_dict()
    assert largest_difference(merged(tmp_path / "soup"), theirs) < 1e-6


def test_the_mean_of_the_factors_would_be_wrong(tmp_path: Path) -> None:
    """The mistake that the check is there for."""
    folders = [ingredient(tmp_path / "a", 1), ingredient(tmp_path / "b", 2)]
    first, second = (load_file(folder / "adapter_model.safetensors") for folder in folders)
    wrong = ingredient(tmp_path / "wrong", 1)
    mean = {key: (first[key] + second[key]) / 2 for key in first}
    save_file(mean, wrong / "adapter_model.safetensors")
    uniform_soup(folders, tmp_path / "soup")
    assert largest_difference(merged(wrong), merged(tmp_path / "soup")) > 1e-3


def test_a_version_is_its_champion_and_its_soup(different: list[Path], tmp_path: Path) -> None:
    champion, *others = different
    uniform_soup(others, tmp_path / "soup")
    report = concatenate([(champion, 1.0), (tmp_path / "soup", 1.0)], tmp_path / "version")
    plain = dict(base().state_dict())
    parts = [merged(folder) for folder in (champion, tmp_path / "soup")]
    both = {key: parts[0][key] + parts[1][key] - plain[key] for key in plain}
    assert largest_difference(merged(tmp_path / "version"), both) < 1e-6
    assert report.rank == 19


def test_half_precision_is_summed_exactly(tmp_path: Path) -> None:
    folder = ingredient(tmp_path / "a", 1)
    weights = folder / "adapter_model.safetensors"
    save_file({key: value.bfloat16() for key, value in load_file(weights).items()}, weights)
    concatenate([(folder, 1.0)], tmp_path / "one")
    layers = read_adapter(folder).layers
    for name, factors in read_adapter(tmp_path / "one").layers.items():
        assert torch.equal(factors.delta(), layers[name].delta())
        assert factors.up.dtype == torch.float32


def test_the_same_soup_has_the_same_bytes(different: list[Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        uniform_soup(different, tmp_path / name)
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_a_wrong_result_is_found_on_the_disk(
    different: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_badly(tensors: dict[str, torch.Tensor], path: Path, **settings: Any) -> None:
        tensors = dict(tensors)
        key = next(key for key in tensors if "layers.1" in key and "lora_B" in key)
        tensors[key] = tensors[key] * 1.001
        save_file(tensors, path, **settings)

    monkeypatch.setattr("trainer.adapters.save_file", save_badly)
    with pytest.raises(SoupMismatch, match=r"differs by .* in model\.layers\.1"):
        uniform_soup(different, tmp_path / "soup")


def test_weights_that_are_no_numbers_are_found(tmp_path: Path) -> None:
    folder = ingredient(tmp_path / "a", 1)
    weights = folder / "adapter_model.safetensors"
    tensors = load_file(weights)
    tensors[next(iter(tensors))][0, 0] = float("nan")
    save_file(tensors, weights)
    with pytest.raises(SoupMismatch):
        uniform_soup([folder], tmp_path / "soup")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"use_dora": True}, "use_dora is True"),
        ({"bias": "lora_only"}, "bias is 'lora_only'"),
        ({"rank_pattern": {"q_proj": 2}}, "rank_pattern is"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is"),
        ({"target_modules": ["embed_tokens"]}, "no pair of factors"),
    ],
)
def test_what_is_no_plain_lora_is_refused(
    settings: dict[str, Any], why: str, tmp_path: Path
) -> None:
    if "embed_tokens" in str(settings):
        folder = ingredient(tmp_path / "a", 1)
        tensors = load_file(folder / "adapter_model.safetensors")
        tensors["base_model.model.model.embed_tokens.lora_embedding_A"] = torch.zeros(2, 2)
        save_file(tensors, folder / "adapter_model.safetensors")
    else:
        folder = ingredient(tmp_path / "a", 1, **settings)
    with pytest.raises(UnsupportedAdapter, match=why):
        uniform_soup([folder], tmp_path / "soup")
    with pytest.raises(UnsupportedAdapter, match=r"adapter_config\.json is missing"):
        uniform_soup([tmp_path / "nowhere"], tmp_path / "soup")


def test_a_lower_rank_is_the_nearest_one(different: list[Path], tmp_path: Path) -> None:
    uniform_soup(different, tmp_path / "soup")
    reported = reduce_rank(tmp_path / "soup", 5, tmp_path / "small")
    assert reported.rank == rank_of(tmp_path / "small") == 5
    whole, small = (read_adapter(tmp_path / name).layers for name in ("soup", "small"))
    lost = kept = 0.0
    for name, factors in whole.items():
        values = torch.linalg.svdvals(factors.delta())
        error = float((factors.delta() - small[name].delta()).norm())
        # Eckart and Young: no matrix of rank 5 is nearer than the discarded singular values.
        assert error == pytest.approx(float(values[5:].norm()), rel=1e-5, abs=1e-6)
        lost += error**2
        kept += float(values.norm()) ** 2
    assert reported.relative_error == pytest.approx((lost / kept) ** 0.5, rel=1e-5)
    assert 0.1 < reported.relative_error < 1
    PeftModel.from_pretrained(base(), str(tmp_path / "small"))


def test_a_rank_that_fits_is_kept_and_a_spare_one_costs_nothing(
    different: list[Path], tmp_path: Path
) -> None:
    uniform_soup(different, tmp_path / "soup")
    assert reduce_rank(tmp_path / "soup", 19, tmp_path / "same").relative_error == 0.0
    assert largest_difference(merged(tmp_path / "same"), merged(tmp_path / "soup")) < 1e-7
    # Summed with itself the rank is 38 on layers of 24 and 12 outputs; it never was above 19.
    twice = concatenate([(tmp_path / "soup", 0.5)] * 2, tmp_path / "twice")
    lost = reduce_rank(tmp_path / "twice", 20, tmp_path / "back")
    assert (twice.rank, rank_of(tmp_path / "back")) == (38, 20)
    assert lost.relative_error < 1e-6
    assert largest_difference(merged(tmp_path / "back"), merged(tmp_path / "soup")) < 1e-6


class Table:
    """Scores by ingredients; remembers what it was asked."""

    def __init__(self, **scores: float) -> None:
        self.scores = {frozenset(names): score for names, score in scores.items()}
        self.asked: list[str] = []

    async def __call__(self, ingredients: tuple[str, ...]) -> float:
        self.asked.append("".join(ingredients))
        return self.scores[frozenset(ingredients)]


async def test_greedy_keeps_what_does_not_hurt() -> None:
    table = Table(ab=0.7, bc=0.9, bcd=0.9)
    greedy = await greedy_soup({"a": 0.79, "b": 0.8, "c": 0.6, "d": 0.5}, table)
    assert (greedy.ingredients, greedy.score) == (("b", "c", "d"), 0.9)
    assert [(step.ingredients, step.score, step.kept) for step in greedy.steps] == [
        (("b",), 0.8, True),
        (("b", "a"), 0.7, False),
        (("b", "c"), 0.9, True),
        (("b", "c", "d"), 0.9, True),
    ]


async def test_the_better_recipe_goes_on_and_nothing_is_asked_twice() -> None:
    own = {"a": 0.8, "b": 0.8, "c": 0.1}
    table = Table(ab=0.85, abc=0.6)
    choice = await better_soup(own, table)
    assert (choice.kind, choice.ingredients, choice.score) == ("greedy", ("a", "b"), 0.85)
    assert (choice.uniform_score, table.asked) == (0.6, ["ab", "abc"])
    assert json.loads(json.dumps(choice.as_json()))["steps"][2]["kept"] is False

    everything = await better_soup(own, Table(ab=0.7, ac=0.7, abc=0.9))
    assert (everything.kind, everything.ingredients) == ("uniform", ("a", "b", "c"))
    assert everything.greedy.ingredients == ("a",)


async def test_a_single_ingredient_is_its_own_soup() -> None:
    table = Table()
    choice = await better_soup({"a": 0.4}, table)
    assert (choice.ingredients, choice.score, table.asked) == (("a",), 0.4, [])
    with pytest.raises(ValueError, match="needs an ingredient"):
        await better_soup({}, table)
