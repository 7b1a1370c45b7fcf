"""A LoRA adapter on disk as factors per layer: read, write, and the delta it stands for.

The delta of a layer is scale * B A, with scale = alpha / r (Hu et al. 2021) or alpha / sqrt(r)
(rank-stabilised, Kalajdzievski 2023). Here the scale is put into B once an adapter is read, so that
what follows is plain algebra of factors; what is written has alpha = r, which is scale 1.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from extraction.errors import DocloopError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_A, _B = ".lora_A.weight", ".lora_B.weight"
# Settings under which the delta is not scale * B A with one scale, each with its plain value.
_PLAIN: Mapping[str, tuple[Any, ...]] = {
    "use_dora": (False, None),
    "lora_bias": (False, None),
    "bias": ("none", None),
    "modules_to_save": (None, []),
    "rank_pattern": ({}, None),
    "alpha_pattern": ({}, None),
    "layer_replication": (None, []),
    "trainable_token_indices": (None, [], {}),
    "target_parameters": (None, []),
    "use_qalora": (False, None),
    "alora_invocation_tokens": (None, []),
}


class UnsupportedAdapter(DocloopError):
    """An adapter that is not plain LoRA, so that its delta is no product of two factors.

    Args:
        path: its folder.
        why: what is special about it.
    """

    slug = "unsupported-adapter"

    def __init__(self, path: Path, why: str) -> None:
        self.path, self.why = str(path), why
        super().__init__(f"The adapter {path.name} cannot be combined: {why}.")


@dataclass(frozen=True, slots=True)
class Factors:
    """A layer's delta, up @ down.

    Attributes:
        down: A, rank x inputs, float32.
        up: scale * B, outputs x rank, float32.
    """

    down: torch.Tensor
    up: torch.Tensor

    @property
    def rank(self) -> int:
        """Number of rows of A."""
        return self.down.shape[0]

    def delta(self) -> torch.Tensor:
        """The change of the layer's weight, outputs x inputs, float64."""
        return self.up.double() @ self.down.double()


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter in memory.

    Attributes:
        layers: name of each adapted layer in the base model -> its factors, by name.
        config: its `adapter_config.json`.
    """

    layers: Mapping[str, Factors]
    config: Mapping[str, Any]

    @property
    def rank(self) -> int:
        """The highest of a layer."""
        return max(factors.rank for factors in self.layers.values())


def read_adapter(folder: Path) -> Adapter:
    """The adapter of a folder.

    Raises:
        UnsupportedAdapter: it is not plain LoRA on linear layers, or incomplete.
    """
    try:
        config = json.loads((folder / CONFIG).read_text())
        tensors = load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise UnsupportedAdapter(folder, f"{Path(error.filename).name} is missing") from None
    if config.get("peft_type") != "LORA":
        raise UnsupportedAdapter(folder, f"it is {config.get('peft_type')}, not LORA")
    for name, plain in _PLAIN.items():
        if config.get(name, plain[0]) not in plain:
            raise UnsupportedAdapter(folder, f"{name} is {config[name]!r}")
    names = {key.removesuffix(_A).removesuffix(_B) for key in tensors}
    if not names or len(tensors) != 2 * len(names):
        raise UnsupportedAdapter(folder, "it has tensors that are no pair of factors")
    layers = {}
    for name in sorted(names):
        down, up = tensors.get(name + _A), tensors.get(name + _B)
        if down is None or up is None or down.ndim != 2 or down.shape[0] != up.shape[-1]:  # noqa: PLR2004 - a matrix
            raise UnsupportedAdapter(folder, f"{name} has no matching pair of matrices")
        scaled = (up.double() * _scale(config, down.shape[0])).float()
        layers[name.removeprefix(_PREFIX)] = Factors(down.float(), scaled)
    return Adapter(layers, config)


def _scale(config: Mapping[str, Any], rank: int) -> float:
    alpha = float(config["lora_alpha"])
    return alpha / rank**0.5 if config.get("use_rslora") else alpha / rank


def write_adapter(
    layers: Mapping[str, Factors], likeness: Mapping[str, Any], out: Path, base: str | None = None
) -> int:
    """Writes factors as one plain LoRA adapter in float32; the folder is whole or not there.

    Layers of lower rank are filled up with zero rows, so that the adapter has one rank.

    Args:
        layers: name of each layer -> its factors.
        likeness: a config whose other settings are taken over.
        out: the folder; what is there is replaced.
        base: name of the base model, where the likeness has another.

    Returns:
        The rank.
    """
    rank = max(factors.rank for factors in layers.values())
    tensors = {}
    for name, factors in layers.items():
        missing = rank - factors.rank
        down = torch.nn.functional.pad(factors.down, (0, 0, 0, missing))
        up = torch.nn.functional.pad(factors.up, (0, missing))
        tensors[f"{_PREFIX}{name}{_A}"] = down.contiguous()
        tensors[f"{_PREFIX}{name}{_B}"] = up.contiguous()
    plain = {"r": rank, "lora_alpha": rank, "use_rslora": False, "inference_mode": True}
    config = {**likeness, **plain}
    if base is not None:
        config["base_model_name_or_path"] = base
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(tensors, partial / WEIGHTS, metadata={"format": "pt"})
    (partial / CONFIG).write_text(json.dumps(config, indent=1) + "\n")
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
    return rank
