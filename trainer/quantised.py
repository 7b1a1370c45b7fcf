"""A checkpoint whose decoder has 8-bit weights, as vLLM's CPU build computes with them.

The form is compressed-tensors' "int-quantized" (W8A8): each linear layer's weight is rounded to 8
bits with one scale for each of its outputs,

    scale = max |w| / 127        q = round(w / scale)

and vLLM rounds each token's activations to 8 bits as it comes to them. No data are needed, for no
scale depends on them (Xiao et al. 2023, "SmoothQuant", section 2: per-channel weights, per-token
activations). Embeddings, norms, output layer, tower and connector stay as they are.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

WEIGHTS, CONFIG = "model.safetensors", "config.json"
_DECODER_LINEAR = re.compile(r"(?!.*(vision|connector)).*\.(q|k|v|o|gate|up|down)_proj\.weight$")
_LARGEST = 127
_IGNORED = ["lm_head", "re:.*vision_model.*", "re:.*connector.*"]


def quantise(folder: Path, out: Path) -> int:
    """Writes the checkpoint of a model folder with 8-bit weights; all else is copied.

    Args:
        folder: as transformers saves it, in one file of weights.
        out: gets the copy. It has no adapter, for training starts from the exact weights.

    Returns:
        How many layers were quantised.

    Raises:
        FileNotFoundError: the folder has no single file of weights.
    """
    tensors = load_file(folder / WEIGHTS)
    written: dict[str, torch.Tensor] = {}
    count = 0
    for name, weight in tensors.items():
        if not _DECODER_LINEAR.match(name):
            written[name] = weight
            continue
        rounded, scale = rounded_to_8_bits(weight)
        written[name] = rounded
        written[f"{name}_scale"] = scale
        count += 1
    shutil.copytree(
        folder, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns(WEIGHTS, "adapter")
    )
    save_file(written, out / WEIGHTS, metadata={"format": "pt"})
    config = json.loads((out / CONFIG).read_text())
    config["quantization_config"] = _scheme()
    (out / CONFIG).write_text(json.dumps(config, indent=1) + "\n")
    return count


def rounded_to_8_bits(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The weight as int8 [outputs, inputs], and the scale of each output [outputs, 1], float32."""
    exact = weight.float()
    scale = exact.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / _LARGEST
    return (exact / scale).round().to(torch.int8), scale


def _scheme() -> dict[str, Any]:
    common = {"num_bits": 8, "type": "int", "symmetric": True}
    return {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "quantization_status": "compressed",
        "ignore": _IGNORED,
        "config_groups": {
            "decoder": {
                "targets": ["Linear"],
                "weights": {**common, "strategy": "channel", "dynamic": False},
                "input_activations": {**common, "strategy": "token", "dynamic": True},
            }
        },
    }
