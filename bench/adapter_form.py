"""A merged version taken apart: its base model, and itself as an adapter beside it."""

import shutil
from pathlib import Path

import torch
from tiny_versions import seal

from extraction.model_folder import ADAPTER, ModelFolder
from trainer.default_model.assemble import SERVING_FILES
from trainer.policy import base_of, load_foundation
from trainer.versions import read_card

BASE, VERSION = "base", "version"


def take_apart(model: Path, out: Path) -> tuple[ModelFolder, ModelFolder]:
    """The two versions that together answer as the merged version does.

    Args:
        model: a merged version's folder, with the adapter that was merged into it.
        out: gets `base/`, which an engine begins with, and `version/`, which it is given.

    Raises:
        FileNotFoundError: the folder has no adapter.
    """
    if not (model / ADAPTER).is_dir():
        raise FileNotFoundError(f"{model} has no {ADAPTER}/: it cannot be taken apart")
    card = read_card(model)
    base, version = out / BASE, out / VERSION
    loaded, processor = load_foundation(base_of(model), sees_images=bool(card["sees_images"]))
    loaded.to(torch.bfloat16).save_pretrained(base)
    processor.save_pretrained(base)
    shutil.copytree(model / ADAPTER, version / ADAPTER)
    for name in SERVING_FILES:
        if (model / name).is_file():
            for folder in (base, version):
                shutil.copyfile(model / name, folder / name)
    merged = card.pop("version")
    return (
        seal(base, **{**card, "version": card["base"], "form": "merged"}),
        seal(version, **{**card, "version": f"{merged}-adapter", "form": "adapter"}),
    )
