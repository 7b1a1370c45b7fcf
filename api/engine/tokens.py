"""From a server's list of sampled tokens to tokens whose texts joined are the answer.

A server spells each token by itself, and that spelling need not join up: a token may hold half a
character, the end token is spelled but not part of the answer, and some tokenizers drop the first
space of a text. Confidence needs the exact place of each token in the answer, so it is found here.
"""

import codecs
import math
from collections.abc import Mapping, Sequence
from typing import Any

from extraction.engine import LOGPROB_FLOOR, Token


def align_tokens(text: str, content: Sequence[Mapping[str, Any]]) -> tuple[Token, ...]:
    """The sampled tokens with their parts of `text`.

    Args:
        text: the answer.
        content: `choices[0].logprobs.content` of an OpenAI chat completion: `token`, `logprob` and,
            where the server knows them, the token's `bytes`.

    Returns:
        One token per item, in order; their texts joined are `text`. What no spelling explains goes
        to the first token that could not be placed, or to the last one. Empty when `content` is.
    """
    logprobs = [_finite(item.get("logprob")) for item in content]
    spellings = _spell_by_bytes(content)
    if spellings is None or not _joins(text, spellings):
        spellings = [str(item.get("token") or "") for item in content]
    parts = _place(text, spellings)
    return tuple(Token(part, logprob) for part, logprob in zip(parts, logprobs, strict=True))


def _finite(logprob: object) -> float:
    """A log-probability that JSON can carry, in `LOGPROB_FLOOR`..0."""
    if not isinstance(logprob, int | float) or math.isnan(logprob):
        return LOGPROB_FLOOR
    return min(0.0, max(LOGPROB_FLOOR, float(logprob)))


def _spell_by_bytes(content: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """Spellings from the bytes; a character split over tokens goes to the token that completes it.

    None when a token has no bytes, or when all of them are no UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    spellings = []
    try:
        for item in content:
            if item.get("bytes") is None:
                return None
            spellings.append(decoder.decode(bytes(item["bytes"])))
    except (UnicodeDecodeError, ValueError, TypeError):
        return None
    return spellings


def _joins(text: str, spellings: Sequence[str]) -> bool:
    """Whether the spellings make up the text, but for end tokens after it."""
    position = 0
    for spelling in spellings:
        if position == len(text):
            return True
        if not text.startswith(spelling, position):
            return False
        position += len(spelling)
    return position == len(text)


def _place(text: str, spellings: Sequence[str]) -> list[str]:
    """The part of `text` that each spelling stands for, left to right without gaps."""
    parts = [""] * len(spellings)
    position = 0
    unplaced: int | None = None  # first token since the last placed one that was not found
    for index, spelling in enumerate(spellings):
        wanted = spelling.lstrip() if position == 0 and not text.startswith(spelling) else spelling
        # Behind a token that was not found, the next one may begin a little later.
        found = text.find(wanted, position) if unplaced is not None else position
        if wanted and found >= 0 and text.startswith(wanted, found):
            if unplaced is not None:
                parts[unplaced] = text[position:found]
                unplaced = None
            parts[index] = wanted
            position = found + len(wanted)
        elif spelling and position < len(text) and unplaced is None:
            unplaced = index
    if parts and position < len(text):
        rest = unplaced if unplaced is not None else len(parts) - 1
        parts[rest] += text[position:]
    return parts
