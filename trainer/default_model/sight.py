"""What a default model that sees has beside its adapter: a folder with its vision tower.

    tower/tower.safetensors   tower and connector in bfloat16, by their names in the Idefics3 model
    tower/tower.json          the decoder that they were trained with, and how the model is asked

The folder is the base model of such a version, without the decoder, which is on every machine. It
lies beside the shipped adapter and in every version that is made from it. Imports no torch.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extraction.layout import Layout
from extraction.page_view import PageView
from extraction.tower_reader import TOWER
from trainer.vocabulary import NAME

WEIGHTS, CARD = "tower.safetensors", "tower.json"
# The parts of an Idefics3 model that are not its decoder.
PARTS = ("model.vision_model.", "model.connector.")


@dataclass(frozen=True, slots=True)
class Sight:
    """How a seeing model was trained, so that it is asked alike.

    Attributes:
        layout: how its prompts show where lines stand.
        pages: its view of pages, as a card has it.
        decoder: the base model's name, or the folder of another Llama.
    """

    layout: Layout
    pages: Mapping[str, int]
    decoder: str = NAME

    def as_json(self) -> dict[str, Any]:
        """The content of `tower.json`."""
        return {"decoder": self.decoder, "layout": str(self.layout), "pages": dict(self.pages)}


def is_sight(folder: Path) -> bool:
    """Whether a folder holds a tower."""
    return (folder / WEIGHTS).is_file()


def read_sight(folder: Path) -> Sight:
    """How the tower of a folder was trained.

    Raises:
        FileNotFoundError: it has no card.
        ValueError: the card says something of pages or of a layout that is not known.
    """
    content = json.loads((folder / CARD).read_text())
    PageView.read(content["pages"])
    return Sight(Layout(content["layout"]), content["pages"], str(content["decoder"]))


def base_name(folder: Path) -> str:
    """The name of a decoder with this tower: it says the tower's content, 12 hexadecimal digits."""
    digest = hashlib.sha256()
    for name in (WEIGHTS, CARD):
        digest.update((folder / name).read_bytes())
    return f"{read_sight(folder).decoder.rsplit('/', 1)[-1]}-{TOWER}-{digest.hexdigest()[:12]}"
