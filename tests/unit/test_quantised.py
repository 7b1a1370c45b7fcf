"""The 8-bit checkpoint: what is rounded, how far it is off, and what stays."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from trainer.quantised import quantise, rounded_to_8_bits
from trainer.tiny_models import build_idefics3, build_llama


def test_a_weight_is_off_by_half_a_step_at_most() -> None:
    weight = torch.randn(16, 64, generator=torch.Generator().manual_seed(0))
    weight[3] = 0
    rounded, scale = rounded_to_8_bits(weight)
    assert (rounded.dtype, tuple(scale.shape)) == (torch.int8, (16, 1))
    assert ((rounded * scale - weight).abs() <= scale / 2 + 1e-7).all()
    assert rounded.abs().amax(dim=1).tolist() == [0 if row == 3 else 127 for row in range(16)]


@pytest.mark.parametrize("build", [build_llama, build_idefics3])
def test_only_the_decoders_linear_layers_are_rounded(
    build: Callable[[Path], Path], tmp_path: Path
) -> None:
    folder = build(tmp_path / "exact")
    count = quantise(folder, tmp_path / "small")
    before = load_file(folder / "model.safetensors")
    after = load_file(tmp_path / "small" / "model.safetensors")
    rounded = {name for name, tensor in after.items() if tensor.dtype == torch.int8}
    assert count == len(rounded) == 2 * 7
    assert not any("vision" in name or "connector" in name for name in rounded)
    assert after.keys() - before.keys() == {f"{name}_scale" for name in rounded}
    for name in before.keys() - rounded:
        assert torch.equal(before[name], after[name])
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    assert config.pop("quantization_config")["quant_method"] == "compressed-tensors"
    assert config == json.loads((folder / "config.json").read_text())
