"""The model that a run starts from: the base model with the champion's adapter merged in.

Every version's adapter is the exact difference to one base model, so a run trains a fresh adapter
on top of base + champion, and the new version's adapter is the sum of the two: ranks stay small,
and the base model is never rounded twice.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
)

from extraction.errors import DocloopError
from extraction.page_view import PageView
from extraction.tower_reader import TOWER
from trainer.base_model import load_base
from trainer.default_model.sight import is_sight
from trainer.profile import AdapterSection
from trainer.vocabulary import NAME

CARD = "docloop.json"
ADAPTER = "adapter"
_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True, slots=True)
class Policy:
    """A model that can be trained.

    Attributes:
        model: with frozen weights; the adapter is added by the stage that trains it.
        processor: its tokenizer, or the processor of a model that sees.
        sees_images: whether examples carry their pages.
    """

    model: PreTrainedModel
    processor: Any
    sees_images: bool

    @property
    def tokenizer(self) -> Any:
        """The tokenizer, which is the processor of a model that reads text alone."""
        return getattr(self.processor, "tokenizer", self.processor)

    @property
    def end_token_ids(self) -> tuple[int, ...]:
        """The tokens that end an answer."""
        config = self.model.generation_config
        configured = None if config is None else config.eos_token_id
        listed = configured if isinstance(configured, list) else [configured]
        known = {self.tokenizer.eos_token_id, *listed} - {None}
        return tuple(sorted(known))


class NoTrainableModel(DocloopError):
    """A model folder from which nothing can be trained.

    Args:
        folder: it.
        why: what is missing.
    """

    slug = "no-trainable-model"

    def __init__(self, folder: Path, why: str) -> None:
        self.folder, self.why = str(folder), why
        super().__init__(f"{folder} cannot be trained from: {why}.")


def read_card(folder: Path) -> dict[str, Any]:
    """The version's card.

    Raises:
        NoTrainableModel: there is none that can be read.
    """
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text())
    except (OSError, ValueError) as error:
        raise NoTrainableModel(folder, f"{CARD} cannot be read ({type(error).__name__})") from None
    return card


def base_of(folder: Path) -> str:
    """Where the base model of a version is: its name for the one that is built here, else a path.

    A folder without an adapter is its own base. One with a tower of its own (`sight.py`) has its
    base in it, for the decoder is on every machine.

    Raises:
        NoTrainableModel: the folder has no card.
    """
    card = read_card(folder)
    if not (folder / ADAPTER).is_dir():
        return str(folder.resolve())
    if is_sight(folder / TOWER):
        return str((folder / TOWER).resolve())
    return str(card.get("base_folder") or card["base"])


def load_foundation(base: str, *, sees_images: bool) -> tuple[PreTrainedModel, Any]:
    """A base model in float32, and its processor.

    Args:
        base: as `base_of` says.
        sees_images: whether it is a vision-language model.
    """
    if base == NAME:
        return load_base()
    if is_sight(Path(base)):
        from trainer.default_model.vision.seeing import load_sight

        return load_sight(Path(base))
    kind = AutoModelForImageTextToText if sees_images else AutoModelForCausalLM
    model = kind.from_pretrained(base, dtype=torch.float32)
    return model, _processor(base, sees_images=sees_images)


def load_policy(folder: Path, adapter: AdapterSection, scratch: Path) -> Policy:
    """The champion as a frozen model, ready for a fresh adapter.

    Args:
        folder: of the champion.
        adapter: says how the frozen weights are held.
        scratch: a folder where a merged copy may be put, for weights that are to be quantised.

    Raises:
        NoTrainableModel: the folder has no card.
    """
    card = read_card(folder)
    sees_images = bool(card.get("sees_images", True))
    if adapter.quantisation == "nf4":
        held = _quantised(folder, scratch, sees_images=sees_images)
        return replace(held, processor=_as_served(card, held.processor))
    model, processor = merged(folder, sees_images=sees_images)
    return Policy(model.to(_DTYPES[adapter.dtype]), _as_served(card, processor), sees_images)


def merged(folder: Path, *, sees_images: bool) -> tuple[PreTrainedModel, Any]:
    """Base and adapter of a version as one model in float32."""
    model, processor = load_foundation(base_of(folder), sees_images=sees_images)
    if (folder / ADAPTER).is_dir():
        model = PeftModel.from_pretrained(model, str(folder / ADAPTER)).merge_and_unload()
    return model, processor


def lora_targets(card: Mapping[str, Any]) -> str:
    """The linear layers that get an adapter: all of the decoder, none of the vision tower.

    vLLM applies adapters to the language model alone and ignores others without a word.
    """
    layers = r".*\.(q|k|v|o|gate|up|down)_proj"
    return rf".*(language_model|text_model){layers}" if card.get("sees_images", True) else layers


def _quantised(folder: Path, scratch: Path, *, sees_images: bool) -> Policy:
    """The champion with NF4 weights and bfloat16 arithmetic (QLoRA, Dettmers et al. 2023).

    bitsandbytes quantises while it loads, so the merged weights go through a folder.
    """
    source = folder
    if not (folder / "config.json").is_file():
        model, processor = merged(folder, sees_images=sees_images)
        model.to(torch.bfloat16).save_pretrained(scratch)
        processor.save_pretrained(scratch)
        source = scratch
    quantisation = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    kind = AutoModelForImageTextToText if sees_images else AutoModelForCausalLM
    model = kind.from_pretrained(source, quantization_config=quantisation, dtype=torch.bfloat16)
    return Policy(model, _processor(str(source), sees_images=sees_images), sees_images)


def _as_served(card: Mapping[str, Any], processor: Any) -> Any:
    """The processor, cutting pages into as many tiles as serving has them cut into."""
    if PageView.read(card.get("pages", {})).tile_pixels is None:
        return processor
    from trainer.page_size import by_page_size

    return by_page_size(processor)


def _processor(source: str, *, sees_images: bool) -> Any:
    kind = AutoProcessor if sees_images else AutoTokenizer
    return kind.from_pretrained(source)
