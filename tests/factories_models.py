"""Versions' folders that can be opened, with weights of a few bytes."""

import hashlib
import json
from pathlib import Path
from typing import Any

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}


def write_card(folder: Path, version: str, **facts: Any) -> Path:
    """`docloop.json` of a folder, with the hashes of all that is in it."""
    files = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "docloop.json"
    }
    card = {
        "version": version,
        "base": "tiny",
        "style": "compact",
        "sees_images": False,
        "form": "merged",
        "files": files,
        **facts,
    }
    (folder / "docloop.json").write_text(json.dumps(card))
    return folder


def write_version(folder: Path, version: str, **facts: Any) -> Path:
    """A folder in the shape of a merged version; the weights are one number."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text("{}")
    tensor = {"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    header = json.dumps(tensor).encode()
    weight = hashlib.sha256(version.encode()).digest()[:4]
    content = len(header).to_bytes(8, "little") + header + weight
    (folder / "model.safetensors").write_bytes(content)
    return write_card(folder, version, **facts)
