"""One HTTP client for the chat completions of a vLLM server, wherever it runs."""

import asyncio
import base64
import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from api.engine.tokens import align_tokens
from api.telemetry import completion_span
from extraction.engine import Completion, EngineRefused, Message, Prompt, Sampling
from extraction.errors import EngineUnavailable, PromptTooLong

_OK = 200
_MISCONFIGURED = {
    401: "the model server does not accept our key",
    403: "the model server does not accept our key",
    404: "the model server does not serve the asked model",
}
_BUSY = 429
_SERVER_ERROR = 500
# vLLM's reason when admission control turns a request away: the engine is alive.
_FULL = re.compile(r"currently busy|backlog limit")
_TOO_LONG = re.compile(r"maximum context length is (\d+)", re.IGNORECASE)
_TOO_LONG_FOUND = re.compile(r"contains (?:at least )?(\d+) (input tokens|characters)")
_TOO_MANY_IMAGES = re.compile(r"At most (\d+) image\(?s?\)? may be provided")
_GRAMMAR_FAULT = re.compile(r"Grammar error|Invalid grammar specification")


class EngineLost(EngineUnavailable):
    """The server died, or the connection to it broke.

    Asking again is safe, for a completion changes nothing.
    """


class ChatClient:
    """Speaks to one vLLM server; keeps connections open; safe to use from many tasks.

    Args:
        address: as "http://127.0.0.1:8001"; a trailing "/v1" is understood.
        api_key: the server's key, or None.
        request_timeout_seconds: how long one answer may take.
        trust_env: whether proxy variables count; never for a server on this machine.
        transport: another httpx transport, for tests.
    """

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        request_timeout_seconds: float = 300.0,
        trust_env: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.address = address.rstrip("/").removesuffix("/v1")
        self._name = urlsplit(self.address).netloc
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.AsyncClient(
            base_url=self.address,
            headers=headers,
            timeout=httpx.Timeout(request_timeout_seconds, connect=5.0, pool=None),
            # uvicorn closes an idle connection after 5 s; a connection that is closed while we
            # pick it looks like a dead server, so ours leave first.
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=64, keepalive_expiry=4.0
            ),
            trust_env=trust_env,
            # Reading the certificates takes longer than a request; plain HTTP needs none.
            verify=self.address.startswith("https:"),
            transport=transport,
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def complete(self, prompt: Prompt, sampling: Sampling, *, model: str) -> Completion:
        """One completion.

        Args:
            prompt: what to ask.
            sampling: how to draw.
            model: the served name that must answer.

        Raises:
            EngineLost: the server died or is not there.
            EngineUnavailable: it is there and cannot answer now (full, too slow, another model).
            PromptTooLong: prompt, images or answer do not fit.
            EngineRefused: the request itself is at fault.
        """
        began = time.monotonic()
        # Images make megabytes of base64; a thread keeps them off the event loop.
        build = build_request(prompt, sampling, model=model)
        if any(message.images for message in prompt.messages):
            body = await asyncio.to_thread(encode_request, build)
        else:
            body = encode_request(build)
        headers = {"content-type": "application/json"}
        with completion_span(
            prompt, sampling, model=model, server=self._name, headers=headers
        ) as answered:
            try:
                response = await self._http.post(
                    "/v1/chat/completions", content=body, headers=headers
                )
            except httpx.TimeoutException as error:
                if isinstance(error, httpx.ConnectTimeout):
                    raise EngineLost("the model server cannot be reached") from error
                raise EngineUnavailable("the model server took too long to answer", 30) from error
            except httpx.TransportError as error:
                raise EngineLost(f"the connection broke ({type(error).__name__})") from error
            if response.status_code != _OK:
                raise _refusal(response)
            completion = _completion(response, time.monotonic() - began)
            answered.append(completion)
        return completion

    async def control(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        timeout_seconds: float = 60.0,
    ) -> Any:
        """One of the server's own commands, as "/resume".

        Args:
            path: with its query.
            body: sent as JSON; None sends nothing.
            timeout_seconds: how long it may take.

        Returns:
            The answer read as JSON, or None where it is none.

        Raises:
            EngineLost: the server died, is not there, or took too long.
            EngineRefused: it does not do that; its words quote no prompt, for a command has none.
        """
        try:
            response = await self._http.post(path, json=body, timeout=timeout_seconds)
        except httpx.TransportError as error:
            raise EngineLost(f"{path} broke off ({type(error).__name__})") from error
        if response.status_code != _OK:
            raise EngineRefused(response.status_code, f"{path}: {_words(response)}")
        try:
            return response.json()
        except ValueError:
            return None

    async def healthy(self, timeout_seconds: float = 5.0) -> bool:
        """Whether the server says that its engine lives; never raises."""
        try:
            response = await self._http.get("/health", timeout=timeout_seconds)
        except httpx.HTTPError:
            return False
        return response.status_code == _OK

    async def models(self, timeout_seconds: float = 5.0) -> tuple[str, ...]:
        """The served names.

        Raises:
            EngineLost: the server does not answer, or not in its protocol.
        """
        try:
            response = await self._http.get("/v1/models", timeout=timeout_seconds)
            return tuple(str(model["id"]) for model in response.raise_for_status().json()["data"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise EngineLost(f"{self._name} does not list its models") from error

    async def metrics_text(self, timeout_seconds: float = 5.0) -> str:
        """The server's own metrics, Prometheus text; "" when it does not answer."""
        try:
            response = await self._http.get("/metrics", timeout=timeout_seconds)
        except httpx.HTTPError:
            return ""
        return response.text if response.status_code == _OK else ""


def build_request(prompt: Prompt, sampling: Sampling, *, model: str) -> dict[str, Any]:
    """The body of a chat completion request, as vLLM 0.32 reads it.

    Special tokens are kept, for a record may be made of them. A prompt that ends with an assistant
    message is continued, not answered.
    """
    request: dict[str, Any] = {
        "model": model,
        "messages": [_message(message) for message in prompt.messages],
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "logprobs": True,
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
    }
    if sampling.seed is not None:
        request["seed"] = sampling.seed
    if prompt.messages and prompt.messages[-1].role == "assistant":
        request |= {"continue_final_message": True, "add_generation_prompt": False}
    if prompt.chat_template_kwargs:
        request["chat_template_kwargs"] = dict(prompt.chat_template_kwargs)
    if prompt.image_options:
        request["mm_processor_kwargs"] = dict(prompt.image_options)
    if isinstance(sampling.grammar, str):
        request["structured_outputs"] = {"grammar": sampling.grammar}
    elif sampling.grammar is not None:
        request["structured_outputs"] = {"json": dict(sampling.grammar)}
    return request


def _message(message: Message) -> dict[str, Any]:
    """One chat message; a plain string where there is no image, for the simplest templates.

    The images stay bytes: `encode_request` spells them, off the event loop.
    """
    if not message.images:
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": image}} for image in message.images
    ]
    parts.append({"type": "text", "text": message.text})
    return {"role": message.role, "content": parts}


def encode_request(request: Mapping[str, Any]) -> bytes:
    """The request as JSON, its images as data URLs."""
    return json.dumps(request, ensure_ascii=False, default=_data_url).encode()


def _data_url(image: object) -> str:
    if not isinstance(image, bytes):
        raise TypeError(f"{type(image).__name__} is no part of a request")
    return f"data:image/{_image_format(image)};base64,{base64.b64encode(image).decode('ascii')}"


def _image_format(image: bytes) -> str:
    if image.startswith(b"\x89PNG"):
        return "png"
    if image.startswith(b"\xff\xd8"):
        return "jpeg"
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "webp"
    raise ValueError("an image of a prompt is PNG, JPEG or WebP")


def _completion(response: httpx.Response, total_seconds: float) -> Completion:
    """A 200 answer, read.

    Raises:
        EngineLost: the engine gave up half-way.
        EngineUnavailable: the answer is in no known shape.
    """
    try:
        answer = response.json()
        choice, usage = answer["choices"][0], answer["usage"]
        text = choice["message"]["content"] or ""
        reason = str(choice["finish_reason"])
        metrics = answer.get("metrics") or {}
        completion = Completion(
            text=text,
            tokens=align_tokens(text, (choice.get("logprobs") or {}).get("content") or ()),
            finish_reason=reason,
            model=str(answer["model"]),
            prompt_tokens=int(usage["prompt_tokens"]),
            completion_tokens=int(usage["completion_tokens"] or 0),
            total_seconds=total_seconds,
            queue_seconds=_seconds(metrics.get("queue_time_ms")),
            first_token_seconds=_seconds(metrics.get("time_to_first_token_ms")),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise EngineUnavailable("the model server answers in another protocol", 60) from error
    if reason in {"abort", "error"}:
        raise EngineLost("the model server gave up half-way")
    return completion


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _refusal(response: httpx.Response) -> EngineUnavailable | PromptTooLong | EngineRefused:
    """The error that a status other than 200 stands for.

    The server's own message may quote the request, so of it only numbers, the name of the
    parameter at fault, and grammar errors (which quote no prompt) are kept.
    """
    status = response.status_code
    try:
        error = response.json()["error"]
        message, parameter = str(error.get("message") or ""), str(error.get("param") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        message, parameter = "", ""
    if status == _BUSY or (status >= _SERVER_ERROR and _FULL.search(message)):
        return EngineUnavailable("the model server is full")
    if status >= _SERVER_ERROR:
        return EngineLost(f"the model server failed ({status})")
    if status in _MISCONFIGURED:
        return EngineUnavailable(_MISCONFIGURED[status], 60)
    return _fault(status, message, parameter)


def _words(response: httpx.Response) -> str:
    """What the server says about a command that it refused."""
    try:
        error = response.json()["error"]
        return str(error["message"] if isinstance(error, dict) else error)[:300]
    except (ValueError, KeyError, TypeError):
        return "no reason given"


def _fault(status: int, message: str, parameter: str) -> PromptTooLong | EngineRefused:
    """What is wrong with the request itself."""
    if limit := _TOO_LONG.search(message):
        found = _TOO_LONG_FOUND.search(message)
        length = f"{found[1]} {found[2]}" if found else "prompt and answer"
        return PromptTooLong(f"{length} for a model of {limit[1]} tokens")
    if limit := _TOO_MANY_IMAGES.search(message):
        return PromptTooLong(f"more than {limit[1]} images for one prompt")
    if _GRAMMAR_FAULT.match(message):
        return EngineRefused(status, f"the grammar is not accepted ({message[:300]})")
    at = f"parameter {parameter}" if parameter else "it is not understood"
    return EngineRefused(status, at)
