"""The default model's seeing shape around a tiny decoder: the same code, a second of work."""

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tiny_versions import write_merged

from extraction.layout import Layout
from trainer.default_model.assemble import install_seeing
from trainer.default_model.sight import TOWER, Sight
from trainer.default_model.vision.reader import TARGETS
from trainer.default_model.vision.seeing import load_seeing, save_sight

PAGES = {"tile_pixels": 512, "most_tiles": 1, "most_tiles_alone": 5}


def write_decoder(folder: Path) -> str:
    """A Llama of two layers whose random weights are large enough to answer variously."""
    return str(write_merged(folder, "tiny-decoder-1", seed=1).folder)


def write_trained(root: Path, seed: int) -> Path:
    """What the last stage of seeing leaves: a tower and an adapter, both of random weights."""
    model, _ = load_seeing(seed, write_decoder(root / "decoder"))
    save_sight(model, Sight(Layout.MARKED, PAGES, str(root / "decoder")), root / TOWER)
    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, init_lora_weights=False)
    adapted = get_peft_model(model, config)
    adapted.save_pretrained(root / "adapter", save_embedding_layers=False)
    return root


def write_shipped(root: Path, seed: int = 5) -> Path:
    """A folder as `models/default` is with a model that sees."""
    install_seeing(write_trained(root / "trained", seed), root / "shipped")
    return root / "shipped"
