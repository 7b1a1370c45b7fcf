"""The engine: whatever turns a prompt into a completion. Only its shape is here, no engine.

Two implementations live in `api/engine/`; a test injects a third. What they share is stated on
`Engine`, so that `extract.py` can be read, and tested, without any of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol, TypeAlias

from extraction.errors import DocloopError

Grammar: TypeAlias = Mapping[str, Any] | str
"""What an answer may look like: a JSON Schema (mapping) or a Lark grammar (text, the dialect of
llguidance, where `<name>` is a special token and `%json {...}` is a JSON Schema in place)."""

LOGPROB_FLOOR = -9999.0
"""The smallest log-probability that a `Token` carries; minus infinity is no JSON."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat.

    Args:
        role: "system", "user" or "assistant". An assistant message in last place is a beginning
            that the model continues.
        text: what is said.
        images: encoded PNG, JPEG or WebP, put before the text.
    """

    role: str
    text: str
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked of a model.

    Args:
        messages: the chat, in order.
        hash: names the prompt's template, so that predictions can be compared by it.
        chat_template_kwargs: options that the model's own chat template knows, as
            `{"enable_thinking": False}`.
        image_options: options that the model's own image processor knows, as
            `{"size": {"longest_edge": 1024}}`.
    """

    messages: tuple[Message, ...]
    hash: str
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    image_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn.

    Args:
        max_tokens: the most that the answer may have.
        temperature: 0 is greedy.
        seed: None draws anew each time.
        grammar: what the answer is held to; None holds it to nothing.
    """

    max_tokens: int
    temperature: float = 0.0
    seed: int | None = 0
    grammar: Grammar | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """One sampled token.

    Args:
        text: its part of the completion's text; "" for a token that ends the answer, and for one
            that holds only the first bytes of a character (its last token carries the character).
        logprob: natural logarithm of its probability among what the grammar allowed, in
            `LOGPROB_FLOOR`..0. A forced token has 0.
    """

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's answer.

    Args:
        text: the answer, special tokens included, the end token not.
        tokens: the sampled tokens in order; their texts joined are `text`.
        finish_reason: "stop" when it ended by itself, "length" when it was cut.
        model: the immutable name of the version that answered.
        prompt_tokens: how many tokens the prompt had, those of images included.
        completion_tokens: how many were sampled.
        total_seconds: from asking to answer, retries included.
        queue_seconds: how long the engine let it wait; None where the engine does not say.
        first_token_seconds: from arrival at the engine to the first token; None as above.
    """

    text: str
    tokens: tuple[Token, ...]
    finish_reason: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    total_seconds: float
    queue_seconds: float | None = None
    first_token_seconds: float | None = None


class EngineStatus(StrEnum):
    """Where an engine is in its life."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class EngineState:
    """What an engine is doing, for `/readyz` and the metrics.

    Args:
        status: failed means that it is not expected back by itself soon.
        reason: what it waits for, or why it failed; never a document's value.
        restarts: how often it came back after it had died.
        model: the served version's name; None while unknown.
    """

    status: EngineStatus
    reason: str = ""
    restarts: int = 0
    model: str | None = None

    @property
    def ready(self) -> bool:
        """Whether a request would be answered now."""
        return self.status is EngineStatus.READY


class EngineRefused(DocloopError):
    """The engine finds the request itself at fault, so that a retry cannot help.

    Args:
        status: its HTTP status.
        why: its reason, without any text of the prompt.
    """

    slug: ClassVar[str] = "engine-refused"

    def __init__(self, status: int, why: str) -> None:
        self.status, self.why = status, why
        super().__init__(f"The model server refuses the request ({status}): {why}.")


class Engine(Protocol):
    """A model that answers prompts; safe to use from many tasks at once."""

    async def generate(self, prompt: Prompt, sampling: Sampling) -> Completion:
        """The model's answer.

        Raises:
            EngineUnavailable: no engine can answer now, or the one asked died and did not come back
                in time; a later retry may succeed.
            PromptTooLong: the prompt does not fit the model.
            EngineRefused: the engine cannot work with the request, as with an invalid grammar.
        """
        ...

    async def ready(self) -> bool:
        """Whether a request would be answered now; asks the engine, and never raises."""
        ...

    def state(self) -> EngineState:
        """The last known state, at no cost."""
        ...

    async def start(self) -> None:
        """Begins to start; returns at once. `state` tells how far it is, or why it failed."""
        ...

    async def stop(self) -> None:
        """Ends everything that `start` began; nothing is left running. Stopping twice is fine."""
        ...

    async def metrics_text(self) -> str:
        """The engine's own metrics in the Prometheus text format; "" where there are none now."""
        ...
