"""The default model's seeing shape around a tiny decoder, and what transformers answer.

The decoder's code is the real one's; building it is a second of work.
"""

import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from tiny_versions import write_merged
from transformers import AutoModelForImageTextToText, AutoProcessor

from extraction.engine import Message, Prompt
from extraction.layout import Layout
from extraction.tower_reader import TOWER
from trainer.default_model.assemble import install_seeing
from trainer.default_model.sight import Sight
from trainer.default_model.vision.reader import TARGETS
from trainer.default_model.vision.seeing import load_seeing, save_sight

PAGES = {"tile_pixels": 1536, "most_tiles": 0, "most_tiles_alone": 1, "stretched": True}


def write_decoder(folder: Path) -> str:
    """A Llama of two layers whose random weights are large enough to answer variously.

    It has room for a page, whose 2,304 tokens are more than tiny models take otherwise.
    """
    written = write_merged(folder, "tiny-decoder-1", seed=1).folder
    config = written / "config.json"
    roomy = {**json.loads(config.read_text()), "max_position_embeddings": 4096}
    config.write_text(json.dumps(roomy))
    return str(written)


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


def as_parts(message: Message) -> dict[str, Any]:
    """A message as chat templates take it, its pages before its text."""
    content = [{"type": "image"} for _ in message.images]
    return {"role": message.role, "content": [*content, {"type": "text", "text": message.text}]}


def answered_by_transformers(folder: Path, prompt: Prompt, most_tokens: int) -> tuple[int, str]:
    """Prompt tokens and greedy answer of a model folder in float32."""
    model, processor = _loaded(folder)
    images = [Image.open(io.BytesIO(i)) for m in prompt.messages for i in m.images]
    chat = [as_parts(message) for message in prompt.messages]
    text = processor.apply_chat_template(chat, add_generation_prompt=True)
    seen = {"images": [images], "images_kwargs": dict(prompt.image_options)} if images else {}
    shown = processor(**seen, text=[text], return_tensors="pt")
    drawn = model.generate(**shown, max_new_tokens=most_tokens, do_sample=False)
    count = shown["input_ids"].shape[1]
    ids = drawn[0, count:].tolist()
    if ids and ids[-1] == processor.tokenizer.eos_token_id:
        ids.pop()
    return count, whole(processor.tokenizer.decode(ids))


@cache
def _loaded(folder: Path) -> tuple[Any, Any]:
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), AutoProcessor.from_pretrained(folder)


def whole(text: str) -> str:
    """Without the first bytes of a character that is cut off at the end."""
    return text.rstrip("\ufffd")
