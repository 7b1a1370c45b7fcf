"""A merged version taken apart: base and adapter are what was merged, and both can be served."""

from pathlib import Path

import pytest
import torch
from adapter_form import take_apart
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from extraction.model_folder import open_model_folder
from tests.factories_seeing import write_shipped
from trainer.default_model.assemble import assemble


def test_base_and_adapter_are_what_was_merged(tmp_path: Path) -> None:
    name = assemble(write_shipped(tmp_path), tmp_path / "merged")
    parts = take_apart(tmp_path / "merged", tmp_path / "apart")
    base, version = (open_model_folder(part.folder, require_hashes=True) for part in parts)
    assert (base.form, version.form) == ("merged", "adapter")
    assert version.base == base.version
    assert version.version == f"{name}-adapter"
    assert version.traits.pages == base.traits.pages
    loaded = AutoModelForImageTextToText.from_pretrained(base.folder, dtype=torch.float32)
    again = PeftModel.from_pretrained(loaded, str(version.weights)).merge_and_unload().state_dict()
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    plain = load_file(base.folder / "model.safetensors")
    changed = 0
    for key, weight in merged.items():
        torch.testing.assert_close(again[key], weight.float(), atol=0.02, rtol=0.02)
        changed += not torch.equal(plain[key], weight)
    assert changed >= 14, "seven layers each of two"


def test_without_an_adapter_there_is_nothing_to_take_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="cannot be taken apart"):
        take_apart(tmp_path, tmp_path / "apart")
