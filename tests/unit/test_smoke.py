"""What weights must do before a request is given to them."""

import pytest

from api.engine.server import SmokeFailed
from api.engine.smoke import smoke_test
from extraction.engine import LOGPROB_FLOOR, Completion, EngineRefused, Prompt, Sampling, Token
from extraction.errors import EngineUnavailable


def completion(text: str, *logprobs: float, reason: str = "stop") -> Completion:
    tokens = tuple(Token(text, logprob) for logprob in logprobs)
    return Completion(text, tokens, reason, "v", 1, len(tokens), 0.1)


@pytest.mark.parametrize(
    ("held", "free", "words"),
    [
        (completion('{"total":"1","ok":true}', -0.1), completion("x", -1.0, reason="length"), None),
        (completion("{}", -0.1), completion("x", LOGPROB_FLOOR), "not finite"),
        (completion("{}", LOGPROB_FLOOR), completion("x", -1.0), "not finite"),
        (completion('{"total":', -0.1, reason="length"), completion("x", -1.0), "did not end"),
        (completion('{"total"', -0.1), completion("x", -1.0), "no JSON"),
        (completion(""), completion("x", -1.0), "empty"),
        (EngineUnavailable("gone"), completion("x", -1.0), "gone"),
        (completion("{}", -0.1), EngineRefused(400, "no"), "failed"),
    ],
)
async def test_smoke(
    held: Completion | Exception, free: Completion | Exception, words: str | None
) -> None:
    async def ask(_: Prompt, sampling: Sampling) -> Completion:
        found = held if sampling.grammar else free
        if isinstance(found, Exception):
            raise found
        return found

    if words is None:
        await smoke_test(ask)
    else:
        with pytest.raises(SmokeFailed, match=words):
            await smoke_test(ask)
