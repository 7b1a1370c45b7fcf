"""Tiny random model versions, sealed as a cycle seals them, for benches and tests of the swap."""

import json
from pathlib import Path
from typing import Any

from extraction.model_folder import ModelFolder, file_sha256, open_model_folder
from trainer.tiny_models import build_idefics3, build_llama

_SPREAD = 0.2  # of the random weights: small ones answer everything alike
# Of the decoder alone: the other parts of an adapter are not served.
_LINEAR = r"(?!.*vision).*layers\..*\.(q|k|v|o|gate|up|down)_proj"


def write_merged(
    folder: Path, version: str, *, seed: int, layers: int = 2, vision: bool = False
) -> ModelFolder:
    """A whole checkpoint; versions of as many layers can be reloaded into each other.

    Args:
        folder: where to write it.
        version: its name.
        seed: of its weights.
        layers: of its decoder.
        vision: an Idefics3, which sees pages, and not a Llama.
    """
    import torch
    from transformers import AutoConfig, Idefics3ForConditionalGeneration, LlamaForCausalLM

    (build_idefics3 if vision else build_llama)(folder)
    config = AutoConfig.from_pretrained(folder)
    for part in (config, config.get_text_config()):
        part.initializer_range = _SPREAD
    config.get_text_config().num_hidden_layers = layers
    torch.manual_seed(seed)
    kind = Idefics3ForConditionalGeneration if vision else LlamaForCausalLM
    kind(config).to(torch.bfloat16).save_pretrained(folder)
    return seal(folder, version, form="merged", sees_images=vision)


def write_adapter(folder: Path, version: str, base: ModelFolder, *, seed: int) -> ModelFolder:
    """A random LoRA of rank 4 for all linear layers of `base`."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Idefics3ForConditionalGeneration, LlamaForCausalLM

    sees = base.traits.sees_images
    model = (Idefics3ForConditionalGeneration if sees else LlamaForCausalLM).from_pretrained(
        base.folder
    )
    torch.manual_seed(seed)
    # Not zero at first, as it would be for training: it shall answer otherwise than the base.
    config = LoraConfig(r=4, lora_alpha=32, target_modules=_LINEAR, init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)
    return seal(folder, version, form="adapter", base=base.version, sees_images=sees)


def seal(folder: Path, version: str, **card: Any) -> ModelFolder:
    """Writes the card with the hash of every file, and opens the folder as the service does."""
    files = {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "docloop.json"
    }
    traits = {"style": "compact", "sees_images": False}
    content = {"version": version, **traits, **card, "files": files}
    (folder / "docloop.json").write_text(json.dumps(content))
    return open_model_folder(folder, expected=version, require_hashes=True)
