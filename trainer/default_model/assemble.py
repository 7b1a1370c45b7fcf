"""Puts the served model together: base model + shipped adapter -> one merged checkpoint.

Where a tower lies beside the adapter (`sight.py`) the base model has it, and the checkpoint sees.

On CPU an active adapter makes vLLM several times slower, so the champion is served as merged
weights (measured; see the decisions).
"""

import hashlib
import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from extraction.tower_reader import TOWER, TowerReader
from trainer.default_model.sight import CARD, WEIGHTS, base_name, is_sight, read_sight
from trainer.vocabulary import NAME, special_tokens

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
SERVING_FILES = ("calibration.json", "classifier.json")


def assemble(adapter: Path, folder: Path) -> str:
    """Merges the adapter and writes a checkpoint that vLLM serves.

    Args:
        adapter: holds the adapter and what serving needs beside it (calibration, classifier).
        folder: is written as a whole or not at all.

    Returns:
        The version's name, which is derived from the content of adapter and base.
    """
    version = version_of(adapter)
    card = folder / "docloop.json"
    traits = _traits(adapter, version)
    tower = adapter / TOWER
    whole = not is_sight(tower) or TowerReader.is_in(folder / TOWER)
    if whole and card.exists() and json.loads(card.read_text()) == traits:
        _copy_serving_files(adapter, folder)
        return version
    import torch
    from peft import PeftModel

    from trainer.policy import load_foundation

    base = str(tower) if is_sight(tower) else NAME
    model, processor = load_foundation(base, sees_images=is_sight(tower))
    _check_layers(adapter, {name for name, _ in model.named_modules()})
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    if is_sight(tower):
        from trainer.default_model.vision.export import export_reader

        export_reader(model, processor.tokenizer, partial / TOWER)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    merged.to(torch.bfloat16).save_pretrained(partial)
    processor.save_pretrained(partial)
    _copy_serving_files(adapter, partial)
    (partial / "docloop.json").write_text(json.dumps(traits, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return version


def _traits(adapter: Path, version: str) -> dict[str, Any]:
    """The card of the merged model."""
    traits: dict[str, Any] = {
        "version": version,
        "base": NAME,
        "style": "compact",
        "sees_images": False,
        # SROIE's answers are in capitals, and so are this model's.
        "capitals": True,
        "special_tokens": list(special_tokens()),
        "form": "merged",
    }
    if is_sight(tower := adapter / TOWER):
        sight = read_sight(tower)
        traits |= {
            "base": base_name(tower),
            "sees_images": True,
            "layout": str(sight.layout),
            "pages": dict(sight.pages),
        }
    return traits


def _check_layers(adapter: Path, modules: Collection[str]) -> None:
    """An adapter of a model without a tower says nothing to one with it, without an error."""
    from trainer.adapters import read_adapter

    if unknown := sorted(read_adapter(adapter).layers.keys() - set(modules)):
        raise ValueError(f"{adapter} is no adapter of this model: it has no {unknown[0]}")


def version_of(adapter: Path) -> str:
    """`default-` and 12 hexadecimal digits of the SHA-256 over what decides the weights."""
    digest = hashlib.sha256(NAME.encode())
    digest.update("".join(special_tokens()).encode())
    files = [adapter / name for name in ADAPTER_FILES]
    if is_sight(tower := adapter / TOWER):
        files += [tower / name for name in (WEIGHTS, CARD)]
    for file in files:
        digest.update(file.read_bytes())
    return f"default-{digest.hexdigest()[:12]}"


def install_seeing(trained: Path, shipped: Path) -> None:
    """Copies what the last stage of seeing trained to where it ships: adapter and tower.

    What the confidence was calibrated with and the classifier stay; the former has to be fitted
    anew (`bench/calibration.py`).
    """
    install_adapter(trained / "adapter", shipped, base=base_name(trained / TOWER))
    shutil.rmtree(shipped / TOWER, ignore_errors=True)
    shutil.copytree(trained / TOWER, shipped / TOWER)


def install_adapter(trained: Path, shipped: Path, base: str = NAME) -> None:
    """Copies a trained adapter to where it ships, in bfloat16, without paths of this machine."""
    import torch
    from safetensors.torch import load_file, save_file

    shipped.mkdir(parents=True, exist_ok=True)
    tensors = load_file(trained / "adapter_model.safetensors")
    halves = {name: tensor.to(torch.bfloat16) for name, tensor in tensors.items()}
    save_file(halves, shipped / "adapter_model.safetensors", metadata={"format": "pt"})
    config = json.loads((trained / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = base
    (shipped / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")


def _copy_serving_files(adapter: Path, folder: Path) -> None:
    for name in SERVING_FILES:
        if (adapter / name).exists():
            shutil.copyfile(adapter / name, folder / name)
    # What a training run starts from: the next version's adapter is this one plus what it learns.
    (folder / "adapter").mkdir(exist_ok=True)
    for name in ADAPTER_FILES:
        shutil.copyfile(adapter / name, folder / "adapter" / name)
    if is_sight(adapter / TOWER):
        shutil.copytree(adapter / TOWER, folder / TOWER, dirs_exist_ok=True)
