"""The question that a version has to answer before anybody else may ask it."""

import json

from api.engine.server import Ask, SmokeFailed
from extraction.engine import LOGPROB_FLOOR, Completion, Message, Prompt, Sampling
from extraction.errors import DocloopError

_PROMPT = Prompt((Message("user", "Total 12.50 EUR"),), hash="smoke")
_SCHEMA = {
    "type": "object",
    "properties": {"total": {"type": "string", "maxLength": 8}, "ok": {"type": "boolean"}},
    "required": ["total", "ok"],
    "additionalProperties": False,
}


async def smoke_test(ask: Ask) -> None:
    """Two short requests: one held to a grammar that must end by itself, and one free.

    Raises:
        SmokeFailed: an answer is broken, or there is none. Weights that are not numbers show as
            log-probabilities that are not finite.
    """
    try:
        held = await ask(_PROMPT, Sampling(max_tokens=128, grammar=_SCHEMA))
        free = await ask(_PROMPT, Sampling(max_tokens=4))
    except DocloopError as error:
        raise SmokeFailed(f"a test request failed ({error})") from error
    _check_numbers(held)
    _check_numbers(free)
    if held.finish_reason != "stop":
        raise SmokeFailed(f"a test answer did not end (finished by {held.finish_reason})")
    try:
        json.loads(held.text)
    except ValueError as error:
        raise SmokeFailed("a test answer is no JSON in spite of its grammar") from error


def _check_numbers(completion: Completion) -> None:
    if not completion.tokens:
        raise SmokeFailed("a test answer is empty")
    if any(token.logprob <= LOGPROB_FLOOR for token in completion.tokens):
        raise SmokeFailed("the log-probabilities of a test answer are not finite")
