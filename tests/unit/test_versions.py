"""A trained adapter becomes a folder that the service accepts, named after its content."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from tiny_versions import write_merged
from transformers import LlamaForCausalLM

from extraction.model_folder import open_model_folder
from trainer.policy import NoTrainableModel, base_of, load_policy, read_card
from trainer.profile import load_profile
from trainer.versions import WrittenVersion, write_version

CHAMPION = "tiny-000000000001"


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / CHAMPION
    folder.mkdir()
    write_merged(folder, CHAMPION, seed=1)
    return folder


def make_adapter(champion: Path, out: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    model = LlamaForCausalLM.from_pretrained(champion, dtype=torch.float32)
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=r".*\.(q|v)_proj", init_lora_weights=False
    )
    get_peft_model(model, config).save_pretrained(out)
    return out


def write(champion: Path, adapter: Path, folder: Path, **changes: object) -> WrittenVersion:
    settings: dict[str, object] = {
        "form": "merged",
        "most_rank": 64,
        "run": "run-1",
        "capitals": None,
        "scratch": folder / "scratch",
        **changes,
    }
    return write_version(champion, adapter, folder / "versions", **settings)  # type: ignore[arg-type]


def test_a_version_opens_as_the_service_opens_it(champion: Path, tmp_path: Path) -> None:
    adapter = make_adapter(champion, tmp_path / "adapter", 3)
    made = write(champion, adapter, tmp_path)
    opened = open_model_folder(made.folder, expected=made.version, require_hashes=True)
    card = read_card(made.folder)
    assert opened.version == made.version
    assert made.version.startswith("tiny-")
    assert (card["parent"], card["run"], card["form"]) == (CHAMPION, "run-1", "merged")
    assert base_of(made.folder) == str(champion.resolve())
    assert made.rank_error == 0.0


def test_the_merged_weights_are_base_and_adapter(champion: Path, tmp_path: Path) -> None:
    adapter = make_adapter(champion, tmp_path / "adapter", 3)
    made = write(champion, adapter, tmp_path)
    before = load_file(champion / "model.safetensors")
    after = load_file(made.folder / "model.safetensors")
    assert before.keys() == after.keys()
    name = "model.layers.0.self_attn.q_proj.weight"
    tensors = load_file(adapter / "adapter_model.safetensors")
    prefix = "base_model.model.model.layers.0.self_attn.q_proj"
    delta = tensors[f"{prefix}.lora_B.weight"] @ tensors[f"{prefix}.lora_A.weight"] * 2.0
    expected = (before[name].float() + delta).to(torch.bfloat16)
    torch.testing.assert_close(after[name], expected)
    untouched = "model.layers.0.mlp.up_proj.weight"
    torch.testing.assert_close(after[untouched], before[untouched])


def test_the_same_gives_the_same_name_and_another_run_another_folder_never(
    champion: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(champion, tmp_path / "adapter", 3)
    first = write(champion, adapter, tmp_path)
    again = write(champion, adapter, tmp_path, run="run-2")
    loud = write(champion, adapter, tmp_path, capitals=True)
    assert first == again
    assert read_card(first.folder)["run"] == "run-1"
    assert loud.version != first.version
    assert read_card(loud.folder)["capitals"] is True


def test_the_name_is_the_same_wherever_the_folders_lie(champion: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / CHAMPION
    shutil.copytree(champion, elsewhere)
    names = set()
    for folder in (champion, elsewhere):
        adapter = make_adapter(folder, tmp_path / f"of-{folder.parent.name}", 3)
        names.add(write(folder, adapter, tmp_path / f"to-{folder.parent.name}").version)
    assert len(names) == 1


def test_a_second_cycle_adds_to_the_first_exactly(champion: Path, tmp_path: Path) -> None:
    first = write(champion, make_adapter(champion, tmp_path / "one", 3), tmp_path)
    second_adapter = make_adapter(champion, tmp_path / "two", 4)
    second = write(first.folder, second_adapter, tmp_path)
    card = read_card(second.folder)
    assert base_of(second.folder) == str(champion.resolve()), "still of the first base"
    assert card["parent"] == first.version
    assert json.loads((second.folder / "adapter" / "adapter_config.json").read_text())["r"] == 8
    weights = load_file(second.folder / "model.safetensors")
    name = "model.layers.1.self_attn.v_proj.weight"
    prefix = "base_model.model.model.layers.1.self_attn.v_proj"
    total = load_file(champion / "model.safetensors")[name].float()
    for path in (tmp_path / "one", second_adapter):
        tensors = load_file(path / "adapter_model.safetensors")
        total += tensors[f"{prefix}.lora_B.weight"] @ tensors[f"{prefix}.lora_A.weight"] * 2.0
    torch.testing.assert_close(weights[name], total.to(torch.bfloat16))


def test_a_rank_that_is_too_high_is_reduced_and_the_error_told(
    champion: Path, tmp_path: Path
) -> None:
    adapter = make_adapter(champion, tmp_path / "adapter", 3)
    made = write(champion, adapter, tmp_path, most_rank=2)
    assert 0.0 < made.rank_error < 1.0
    assert json.loads((made.folder / "adapter" / "adapter_config.json").read_text())["r"] == 2


def test_the_adapter_form_holds_no_weights_of_the_base(champion: Path, tmp_path: Path) -> None:
    adapter = make_adapter(champion, tmp_path / "adapter", 3)
    made = write(champion, adapter, tmp_path, form="adapter")
    assert not (made.folder / "model.safetensors").exists()
    assert read_card(made.folder)["form"] == "adapter"
    opened = open_model_folder(made.folder, expected=made.version, require_hashes=True)
    assert opened.form == "adapter"


def test_an_adapter_after_a_merged_champion_has_that_champion_as_its_base(
    champion: Path, tmp_path: Path
) -> None:
    first = write(champion, make_adapter(champion, tmp_path / "one", 3), tmp_path)
    new = make_adapter(champion, tmp_path / "two", 4)
    second = write(first.folder, new, tmp_path, form="adapter")
    assert read_card(second.folder)["base"] == first.version, "what the engine holds"
    assert json.loads((second.folder / "adapter" / "adapter_config.json").read_text())["r"] == 4
    third = write(
        second.folder, make_adapter(champion, tmp_path / "x", 5), tmp_path, form="adapter"
    )
    assert read_card(third.folder)["base"] == first.version
    assert json.loads((third.folder / "adapter" / "adapter_config.json").read_text())["r"] == 8


def test_a_policy_starts_from_the_champion_with_its_adapter(champion: Path, tmp_path: Path) -> None:
    first = write(champion, make_adapter(champion, tmp_path / "one", 3), tmp_path)
    section = load_profile("small").adapter.model_copy(update={"dtype": "float32"})
    policy = load_policy(first.folder, section, tmp_path / "scratch")
    served = load_file(first.folder / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.weight"
    ours = dict(policy.model.named_parameters())[name]
    torch.testing.assert_close(ours.to(torch.bfloat16), served[name])
    assert policy.end_token_ids
    assert not policy.sees_images


def test_a_folder_without_a_card_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoTrainableModel, match=r"docloop\.json"):
        read_card(tmp_path)
