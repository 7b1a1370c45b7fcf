"""A row as the reader takes it: the prompt's tokens, the page's pixels, the answer's tokens.

What is read from a page is answered as the page says it, character by character: copying a token
is what every decoder knows, putting words together from letters is not. The text is the same.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from extraction.tower_reader import SIDE
from trainer.default_model.vision.seeing import AROUND, IMAGE, WHOLE
from trainer.default_model.vision.tower import PATCH

# JSON's strings with what follows them, and the texts of entities.
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?')
_ENTITY = re.compile(r">([^<>]+)</")
_THOUGHT_ENDS = "</think>"


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
    text = row["completion"][0]["content"]
    if not row["image_files"]:
        return Question(
            _prompt(row["prompt"], 0, tokenizer), _answer(_ids(text, tokenizer), tokenizer)
        )
    told = spelled(text, tokenizer, whole=row["view"] == "part")
    first, count = row["band"]
    page = np.array(Image.open(Path(row["image_files"][0])).convert("L"))
    pixels = page[first * PATCH : (first + count) * PATCH]
    places = torch.arange(first * SIDE, (first + count) * SIDE)
    prompt = _prompt(row["prompt"], len(places), tokenizer)
    return Question(prompt, _answer(told, tokenizer), torch.from_numpy(pixels)[None], places[None])


def spelled(text: str, tokenizer: PreTrainedTokenizerBase, *, whole: bool) -> list[int]:
    """The tokens of an answer whose values are spelled out, character by character.

    Args:
        text: JSON, entities, or plain text.
        tokenizer: of the decoder.
        whole: whether it is plain text, of which everything is spelled out.
    """
    ids: list[int] = []
    at = 0
    for begin, end in [(0, len(text))] if whole else _values(text):
        ids += _ids(text[at:begin], tokenizer)
        for character in text[begin:end]:
            ids += _ids(character, tokenizer)
        at = end
    return ids + _ids(text[at:], tokenizer)


def _values(text: str) -> list[tuple[int, int]]:
    """Where the values of an answer stand; a thought before it is none."""
    begin = text.find(_THOUGHT_ENDS) + len(_THOUGHT_ENDS) if _THOUGHT_ENDS in text else 0
    if text.startswith("<", begin):
        return [found.span(1) for found in _ENTITY.finditer(text, begin)]
    return [found.span(1) for found in _STRING.finditer(text, begin) if found[2] is None]


def _ids(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _answer(ids: list[int], tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    return torch.tensor([[*ids, tokenizer.eos_token_id]])


def _prompt(chat: Any, cells: int, tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """The chat's tokens; a page stands before the last message, as the processor puts it."""
    if cells:
        shown = f"{AROUND}{WHOLE}{IMAGE * cells}{AROUND}{chat[-1]['content']}"
        chat = [*chat[:-1], {**chat[-1], "content": shown}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
