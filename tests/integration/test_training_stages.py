"""SFT and GRPO as the cycle runs them: on text, on pages, with quantised weights, both levels."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from safetensors.torch import load_file

from extraction.document_types.receipt import RECEIPT
from extraction.prompt import Asked
from tests.factories_cycle import QUICK
from tests.factories_learning import receipt_lines
from trainer.examples import make_example
from trainer.profile import load_profile
from trainer.rewards import Task, encode_task
from trainer.stage import DONE, PROGRESS, main, read_json
from trainer.tiny_models import build_idefics3, build_llama, write_card

VERSION = "tiny-000000000001"
NAMES = ("merchant_name", "total")


def profile_of(**changes: dict[str, Any]) -> dict[str, Any]:
    content = load_profile("small").model_dump(mode="json")
    content["threads"] = 1
    for section, values in [*QUICK.items(), *changes.items()]:
        content[section] |= values
    content["sft"] |= {"epochs": 1.0, "batch": 2, "warmup_steps": 0.0}
    content["grpo"]["steps"] = 2
    return content


def write_examples(path: Path, *, pages: Path | None = None, count: int = 4) -> Path:
    asked = Asked(RECEIPT.select(NAMES))
    with path.open("w") as file:
        for number in range(count):
            total = f"{number + 1}.00"
            lines = receipt_lines(total)
            record = {"merchant_name": "CORNER STORE SDN BHD", "total": total}
            example = make_example(asked, lines, record, source="test")
            row = {
                **example.as_row(),
                "task": encode_task(Task(asked, record, tuple(lines))),
            }
            if pages is not None:
                image = Image.new("RGB", (120, 160 + 10 * number), "white")
                ImageDraw.Draw(image).text((10, 10), total, fill="black")
                image.save(pages / f"{number}.png")
                row["image_files"] = [str(pages / f"{number}.png")]
            file.write(json.dumps(row) + "\n")
    return path


def run_stage(folder: Path, name: str, stage: str, **task: Any) -> dict[str, Any]:
    out = folder / name
    out.mkdir()
    whole = {"stage": stage, "out": str(out), **{k: _plain(v) for k, v in task.items()}}
    (out / "task.json").write_text(json.dumps(whole))
    main(out / "task.json")
    done = read_json(out / DONE)
    assert done is not None
    return done


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def trained(adapter: str) -> bool:
    tensors = load_file(Path(adapter) / "adapter_model.safetensors")
    return any(bool(t.abs().sum() > 0) for name, t in tensors.items() if "lora_B" in name)


@pytest.fixture(scope="module")
def text_champion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build_llama(tmp_path_factory.mktemp("text"))
    write_card(folder, VERSION, sees_images=False)
    return folder


@pytest.mark.parametrize("quantisation", ["none", "nf4"])
@pytest.mark.filterwarnings("ignore:.*:UserWarning", "ignore:.*:FutureWarning")
def test_sft_then_grpo_at_both_levels(
    text_champion: Path, tmp_path: Path, quantisation: str
) -> None:
    profile = profile_of(adapter={"quantisation": quantisation})
    task = {
        "champion": text_champion,
        "profile": profile,
        "examples": write_examples(tmp_path / "examples.jsonl"),
    }
    sft = run_stage(tmp_path, "sft", "sft", **task)
    assert trained(sft["adapter"])
    assert [row["loss"] for row in sft["history"] if "loss" in row]
    for index, level in enumerate(("token", "sequence")):
        made = run_stage(
            tmp_path, f"grpo-{level}", "grpo", index=index, sft_adapter=sft["adapter"], **task
        )
        logged = [row for row in made["history"] if "reward" in row]
        assert len(logged) == 2
        # Every reward of the profile is recorded apart.
        recorded = {key.split("/")[1] for key in logged[0] if key.startswith("rewards/")}
        assert recorded == set(profile["rewards"])
        seen = read_json(tmp_path / f"grpo-{level}" / PROGRESS)
        assert seen is not None
        assert (seen["step"], seen["steps"]) == (2, 2)


@pytest.mark.filterwarnings("ignore:.*:UserWarning", "ignore:.*:FutureWarning")
def test_a_model_that_sees_learns_from_pages(tmp_path: Path) -> None:
    folder = build_idefics3(tmp_path / "champion")
    write_card(folder, VERSION, sees_images=True)
    pages = tmp_path / "pages"
    pages.mkdir()
    task = {
        "champion": folder,
        "profile": profile_of(),
        "examples": write_examples(tmp_path / "examples.jsonl", pages=pages),
    }
    sft = run_stage(tmp_path, "sft", "sft", **task)
    assert trained(sft["adapter"])
    names = load_file(Path(sft["adapter"]) / "adapter_model.safetensors")
    assert not any("vision" in name for name in names), "vLLM would ignore them"
    made = run_stage(tmp_path, "grpo-0", "grpo", index=0, sft_adapter=sft["adapter"], **task)
    assert trained(made["adapter"])
