"""A row as the reader takes it: the prompt's tokens, the page's pixels, the answer's tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from trainer.default_model.vision.seeing import AROUND, IMAGE, WHOLE
from trainer.default_model.vision.tower import PATCH, SIDE


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its answer.

    Attributes:
        prompt: [1, tokens]; where a page is shown, with one image token for each of its cells.
        answer: [1, tokens], with the end token.
        pixels: uint8 [1, height, width]; None where no page is shown.
        places: [1, cells], their positions in the page.
    """

    prompt: torch.Tensor
    answer: torch.Tensor
    pixels: torch.Tensor | None = None
    places: torch.Tensor | None = None

    @property
    def length(self) -> int:
        """Tokens of the answer."""
        return self.answer.shape[1]


def question_of(row: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> Question:
    """A row's question.

    Args:
        row: `prompt` and `completion` as chats, `image_files` with one page as serving shows it or
            none, and `band`: first row and number of rows of its cells that are shown.
        tokenizer: of the decoder.
    """
    answer = tokenizer(row["completion"][0]["content"], add_special_tokens=False)["input_ids"]
    told = torch.tensor([[*answer, tokenizer.eos_token_id]])
    if not row["image_files"]:
        return Question(_prompt(row["prompt"], 0, tokenizer), told)
    first, count = row["band"]
    page = np.array(Image.open(Path(row["image_files"][0])).convert("L"))
    pixels = page[first * PATCH : (first + count) * PATCH]
    places = torch.arange(first * SIDE, (first + count) * SIDE)
    prompt = _prompt(row["prompt"], len(places), tokenizer)
    return Question(prompt, told, torch.from_numpy(pixels)[None], places[None])


def _prompt(chat: Any, cells: int, tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """The chat's tokens; a page stands before the last message, as the processor puts it."""
    if cells:
        shown = f"{AROUND}{WHOLE}{IMAGE * cells}{AROUND}{chat[-1]['content']}"
        chat = [*chat[:-1], {**chat[-1], "content": shown}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
