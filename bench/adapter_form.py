"""A merged version taken apart: its base model, and itself as an adapter beside it."""

import json
import shutil
from pathlib import Path

import torch

from extraction.model_folder import ADAPTER, file_sha256
from extraction.traits import CARD
from trainer.policy import base_of, load_foundation
from trainer.versions import read_card

BASE, VERSION = "base", "version"
_SERVING_FILES = ("calibration.json", "classifier.json")


def take_apart(model: Path, out: Path) -> tuple[Path, Path]:
    """The two folders that together answer as the merged version does.

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
    for name in _SERVING_FILES:
        if (model / name).is_file():
            for folder in (base, version):
                shutil.copyfile(model / name, folder / name)
    _write_card(base, {**card, "version": card["base"], "form": "merged"})
    _write_card(version, {**card, "version": f"{card['version']}-adapter", "form": "adapter"})
    return base, version


def _write_card(folder: Path, card: dict[str, object]) -> None:
    """The card with the hash of every file, without which a version is not served."""
    files = {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    (folder / CARD).write_text(json.dumps({**card, "files": files}, indent=1) + "\n")
