"""Tiny random model versions, sealed as a cycle seals them, for benches and tests of the swap."""

import hashlib
import json
from pathlib import Path
from typing import Any

from extraction.model_folder import ModelFolder, open_model_folder
from trainer.tiny_models import build_llama

_SPREAD = 0.2  # of the random weights: small ones answer everything alike
_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def write_merged(folder: Path, version: str, *, seed: int, layers: int = 2) -> ModelFolder:
    """A whole checkpoint; versions of as many layers can be reloaded into each other."""
    _random_llama(folder, seed=seed, layers=layers)
    return seal(folder, version, form="merged")


def write_adapter(folder: Path, version: str, base: ModelFolder, *, seed: int) -> ModelFolder:
    """A random LoRA of rank 4 for all linear layers of `base`."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(base.folder)
    torch.manual_seed(seed)
    # Not zero at first, as it would be for training: it shall answer otherwise than the base.
    config = LoraConfig(r=4, lora_alpha=32, target_modules=list(_LINEAR), init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    return seal(folder, version, form="adapter", base=base.version)


def seal(folder: Path, version: str, **card: Any) -> ModelFolder:
    """Writes the card with the hash of every file, and opens the folder as the service does."""
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "docloop.json"
    }
    content = {"version": version, "style": "compact", "sees_images": False, **card, "files": files}
    (folder / "docloop.json").write_text(json.dumps(content))
    return open_model_folder(folder, expected=version, require_hashes=True)


def _random_llama(folder: Path, *, seed: int, layers: int) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    build_llama(folder)
    config = LlamaConfig.from_pretrained(folder)
    config.num_hidden_layers, config.initializer_range = layers, _SPREAD
    torch.manual_seed(seed)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
