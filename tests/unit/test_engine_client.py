import base64
import json
import math

import pytest

from api.engine.client import ChatClient, EngineLost
from api.engine.tokens import align_tokens
from extraction.engine import LOGPROB_FLOOR, EngineRefused, Grammar, Message, Prompt, Sampling
from extraction.errors import EngineUnavailable, PromptTooLong
from tests.fakes_engine import FakeVllm, answer

PNG = b"\x89PNG\r\n\x1a\nrest"
SAMPLING = Sampling(max_tokens=8)


def ask(*images: bytes) -> Prompt:
    return Prompt((Message("system", "s"), Message("user", "u", images)), hash="h")


@pytest.mark.parametrize(
    ("grammar", "sent"),
    [
        ({"type": "object"}, {"json": {"type": "object"}}),
        ('start: "a"', {"grammar": 'start: "a"'}),
    ],
)
async def test_request_with_grammar(grammar: Grammar, sent: object) -> None:
    async with FakeVllm() as server:
        client = ChatClient(server.address + "/v1", api_key="secret")
        prompt = Prompt(ask().messages, "h", {"enable_thinking": False})
        await client.complete(prompt, Sampling(8, grammar=grammar), model="v-1")
        await client.close()
    assert server.requests == [
        {
            "model": "v-1",
            "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
            "max_tokens": 8,
            "temperature": 0.0,
            "seed": 0,
            "logprobs": True,
            "skip_special_tokens": False,
            "spaces_between_special_tokens": False,
            "chat_template_kwargs": {"enable_thinking": False},
            "structured_outputs": sent,
        }
    ]
    assert server.headers[0][b"authorization"] == b"Bearer secret"


async def test_request_with_image_puts_it_before_the_text() -> None:
    async with FakeVllm() as server:
        client = ChatClient(server.address)
        completion = await client.complete(ask(PNG), SAMPLING, model="v-1")
        with pytest.raises(ValueError, match="PNG, JPEG or WebP"):
            await client.complete(ask(b"GIF89a"), SAMPLING, model="v-1")
        await client.close()
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert server.requests[0]["messages"][1]["content"] == [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "u"},
    ]
    assert (completion.text, completion.model) == ("ok", "v-1")
    assert (completion.prompt_tokens, completion.completion_tokens) == (7, 2)
    assert (completion.queue_seconds, completion.first_token_seconds) == (0.002, 0.03)
    assert completion.total_seconds > 0


async def test_a_begun_answer_is_continued() -> None:
    async with FakeVllm() as server:
        client = ChatClient(server.address)
        prompt = Prompt((Message("user", "u"), Message("assistant", "<think>")), "h")
        await client.complete(prompt, SAMPLING, model="v-1")
        await client.close()
    assert server.requests[0]["continue_final_message"] is True
    assert server.requests[0]["add_generation_prompt"] is False


def error(message: str, parameter: str | None = None) -> dict[str, object]:
    return {"error": {"message": message, "type": "BadRequestError", "param": parameter}}


@pytest.mark.parametrize(
    ("status", "body", "expected", "says"),
    [
        # vLLM 0.32's own words
        (
            400,
            error(
                "This model's maximum context length is 2048 tokens. However, your prompt "
                "contains 2049 input tokens, which exceeds this limit"
            ),
            PromptTooLong,
            "2049 input tokens for a model of 2048 tokens",
        ),
        (400, error("At most 1 image(s) may be provided in one prompt."), PromptTooLong, "1 image"),
        (400, error('Grammar error: unknown name: "foo"'), EngineRefused, "grammar"),
        (400, error("[{'input': 'SECRET'}]", "messages"), EngineRefused, "parameter messages"),
        (422, "no object", EngineRefused, "not understood"),
        (401, error("Unauthorized"), EngineUnavailable, "key"),
        (404, error("The model `x` does not exist."), EngineUnavailable, "model"),
        (429, {}, EngineUnavailable, "full"),
        (503, error("The engine is currently busy and cannot accept"), EngineUnavailable, "full"),
        (500, error("EngineCore encountered an issue SECRET"), EngineLost, "500"),
        (502, "<html>", EngineLost, "502"),
        (200, {"choices": []}, EngineUnavailable, "protocol"),
        (200, answer("x", finish_reason="abort"), EngineLost, "half-way"),
    ],
)
async def test_refusals(status: int, body: object, expected: type[Exception], says: str) -> None:
    async with FakeVllm() as server:
        server.respond = lambda _: (status, body)
        client = ChatClient(server.address)
        with pytest.raises(expected, match=says) as caught:
            await client.complete(ask(), SAMPLING, model="v-1")
        await client.close()
    assert type(caught.value) is expected
    assert "SECRET" not in str(caught.value)


async def test_no_server_and_a_slow_one() -> None:
    async with FakeVllm() as server:
        server.hold.clear()
        client = ChatClient(server.address, request_timeout_seconds=0.1)
        with pytest.raises(EngineUnavailable, match="too long") as caught:
            await client.complete(ask(), SAMPLING, model="v-1")
        assert not isinstance(caught.value, EngineLost)
        server.hold.set()
        assert await client.healthy()
        assert await client.models() == ("v-1",)
    with pytest.raises(EngineLost):
        await client.complete(ask(), SAMPLING, model="v-1")
    assert not await client.healthy()
    assert await client.metrics_text() == ""
    await client.close()


def spell(*tokens: str, raw: bool = True) -> list[dict[str, object]]:
    return [
        {"token": t, "logprob": -1.0, "bytes": list(t.encode()) if raw else None} for t in tokens
    ]


@pytest.mark.parametrize(
    ("text", "content", "expected"),
    [
        ("", [], []),
        ("ab", spell("a", "b"), ["a", "b"]),
        ("ab", spell("a", "b", "<|end|>"), ["a", "b", ""]),  # the end token is no text
        ("é€", spell("", "é", "", "", "€"), ["", "é", "", "", "€"]),  # as vLLM spells
        (
            "é!",  # bytes of half a character, as OpenAI's own protocol has it
            [
                {"token": "\\xc3", "logprob": -1, "bytes": [0xC3]},
                {"token": "\\xa9", "logprob": -1, "bytes": [0xA9]},
                {"token": "!", "logprob": -1, "bytes": [0x21]},
            ],
            ["", "é", "!"],
        ),
        ("Hi all", spell(" Hi", " all"), ["Hi", " all"]),  # first space dropped by the tokenizer
        ("a\ufffdb", spell("a", "?", "?", "b", raw=False), ["a", "\ufffd", "", "b"]),
        ("a\ufffd", spell("a", "", ""), ["a", "", "\ufffd"]),
    ],
)
def test_tokens_join_to_the_text(
    text: str, content: list[dict[str, object]], expected: list[str]
) -> None:
    tokens = align_tokens(text, content)
    assert [token.text for token in tokens] == expected


@pytest.mark.parametrize(
    ("logprob", "kept"),
    [(-math.inf, LOGPROB_FLOOR), (math.nan, LOGPROB_FLOOR), (None, LOGPROB_FLOOR), (1e-9, 0.0)],
)
def test_a_logprob_is_always_a_number(logprob: float | None, kept: float) -> None:
    (token,) = align_tokens("a", [{"token": "a", "logprob": logprob}])
    assert json.loads(json.dumps(token.logprob, allow_nan=False)) == kept
