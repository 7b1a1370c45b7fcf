"""An OpenAI-compatible vision endpoint: asked with retries, within a budget, and never twice.

Answers are kept as files named by the SHA-256 of all that was asked, so that a run that was stopped
or repeated pays for nothing again.
"""

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from extraction.errors import DocloopError

ENDPOINT_VARIABLE: Final = "DOCLOOP_SYNTH_ENDPOINT"
MODEL_VARIABLE: Final = "DOCLOOP_SYNTH_MODEL"
KEY_VARIABLE: Final = "DOCLOOP_SYNTH_API_KEY"

_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_MOST_SHOWN = 200  # characters of a refusal


class NoEndpoint(DocloopError):
    """No endpoint or no model is configured.

    Args:
        missing: the variables that are not set.
    """

    slug = "no-synth-endpoint"

    def __init__(self, missing: Sequence[str]) -> None:
        self.missing = tuple(missing)
        super().__init__(
            "Converting pages needs a vision model behind an OpenAI-compatible address. Pass "
            f"--endpoint and --model, or set {' and '.join(missing)}, for example "
            f"{ENDPOINT_VARIABLE}=http://localhost:8000/v1. A key goes into {KEY_VARIABLE}."
        )


class EndpointFailed(DocloopError):
    """The endpoint refuses, or does not answer after all attempts.

    Args:
        why: a status with the answer's begin, or what went wrong on the way.
    """

    slug = "synth-endpoint-failed"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"The endpoint gave no answer: {why}")


class BudgetSpent(DocloopError):
    """The tokens of a run are used up; what was answered is kept.

    Args:
        budget: tokens that the run had.
    """

    slug = "synth-budget-spent"

    def __init__(self, budget: int) -> None:
        self.budget = budget
        super().__init__(
            f"The budget of {budget} tokens is spent. Run it again with a larger one: what was "
            "answered is kept and costs nothing again."
        )


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """Where to ask.

    Attributes:
        address: up to and with /v1.
        model: its name there.
        key: sent as a bearer token; None for none.
    """

    address: str
    model: str
    key: str | None = None

    @classmethod
    def of(cls, address: str | None = None, model: str | None = None) -> Self:
        """From arguments, or else from the environment.

        Raises:
            NoEndpoint: the address or the model is in neither.
        """
        address = address or os.environ.get(ENDPOINT_VARIABLE)
        model = model or os.environ.get(MODEL_VARIABLE)
        named = {ENDPOINT_VARIABLE: address, MODEL_VARIABLE: model}
        if not address or not model:
            raise NoEndpoint([name for name, value in named.items() if not value])
        return cls(address.rstrip("/"), model, os.environ.get(KEY_VARIABLE) or None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said.

    Attributes:
        text: of the answer.
        tokens: asked and answered, as the endpoint counts them.
        is_whole: whether it ended by itself.
        cached: whether it came from the files of an earlier run.
    """

    text: str
    tokens: int
    is_whole: bool
    cached: bool


class VisionEndpoint:
    """Asks one model; an async context manager.

    Args:
        settings: where.
        cache: folder of answers.
        budget: tokens that this run may use; answers from the cache cost none. Requests that are
            under way when it is spent still end, so it is exceeded by at most those.
        timeout_seconds: of one request.
        first_pause_seconds: before the second attempt; doubles with each.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        cache: Path,
        budget: int,
        *,
        timeout_seconds: float = 300.0,
        first_pause_seconds: float = _FIRST_PAUSE_SECONDS,
    ) -> None:
        self.settings = settings
        self.used_tokens = 0
        self.request_count = 0
        self._cache = cache
        self._budget = budget
        self._pause = first_pause_seconds
        headers = {"Authorization": f"Bearer {settings.key}"} if settings.key else {}
        self._client = httpx.AsyncClient(headers=headers, timeout=timeout_seconds)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        self._cache.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def ask(
        self, text: str, images: Sequence[bytes] = (), *, most_tokens: int = 8192, seed: int = 0
    ) -> Answer:
        """One question with pictures.

        Args:
            text: stands before the pictures.
            images: JPEG or PNG.
            most_tokens: of the answer.
            seed: of the sampling; part of what the cache knows an answer by.

        Raises:
            BudgetSpent: before anything is sent.
            EndpointFailed: it refuses, or does not answer.
        """
        body = self._body(text, images, most_tokens, seed)
        path = self._cache / f"{hashlib.sha256(json.dumps(body).encode()).hexdigest()}.json"
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            return Answer(kept["text"], kept["tokens"], kept["is_whole"], cached=True)
        if self.used_tokens >= self._budget:
            raise BudgetSpent(self._budget)
        answer = _read(await self._send(body))
        self.used_tokens += answer.tokens
        kept = {"text": answer.text, "tokens": answer.tokens, "is_whole": answer.is_whole}
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
        partial.replace(path)
        return answer

    def _body(
        self, text: str, images: Sequence[bytes], most_tokens: int, seed: int
    ) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": text}]
        content += [
            {"type": "image_url", "image_url": {"url": _data_url(image)}} for image in images
        ]
        return {
            "model": self.settings.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": most_tokens,
            "temperature": 0.1,
            "seed": seed,
        }

    async def _send(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        why = ""
        for attempt in range(_ATTEMPTS):
            self.request_count += 1
            asked_pause = None
            try:
                response = await self._client.post(
                    f"{self.settings.address}/chat/completions", json=body
                )
            except httpx.TransportError as error:
                why = f"{type(error).__name__} at {self.settings.address}"
            else:
                if response.is_success:
                    return _json(response)
                why = f"status {response.status_code}, {response.text[:_MOST_SHOWN]}"
                if response.status_code not in _RETRIED:
                    raise EndpointFailed(why)
                asked_pause = _seconds(response.headers.get("retry-after"))
            if attempt + 1 < _ATTEMPTS:
                pause = self._pause * 2**attempt if asked_pause is None else asked_pause
                await asyncio.sleep(min(pause, _LONGEST_PAUSE_SECONDS))
        raise EndpointFailed(f"{why}, {_ATTEMPTS} times")


def _json(response: httpx.Response) -> Mapping[str, Any]:
    try:
        content = response.json()
    except ValueError:
        raise EndpointFailed("the answer is no JSON") from None
    if not isinstance(content, dict):
        raise EndpointFailed("the answer is no JSON object")
    return content


def _read(content: Mapping[str, Any]) -> Answer:
    try:
        choice = content["choices"][0]
        text = choice["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise EndpointFailed("the answer has no choices") from None
    usage = content.get("usage") or {}
    tokens = int(usage.get("total_tokens") or 0)
    return Answer(str(text or ""), tokens, choice.get("finish_reason") != "length", cached=False)


def _seconds(value: str | None) -> float | None:
    """Of a Retry-After header in seconds; dates are left to the doubling pause."""
    return float(value) if value is not None and value.isdigit() else None


def _data_url(image: bytes) -> str:
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
