"""What all rewards share: TRL's way of calling one, and one completion as a reward sees it."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trainer.rewards.answer import Answer, read_answer
from trainer.rewards.task import Task, decode_task


class Decode(Protocol):
    """Token ids -> text, special tokens kept. Has to be picklable."""

    def __call__(self, token_ids: Sequence[int], /) -> str:
        """The text of the tokens."""
        ...


class TokenizerDecode:
    """`Decode` by a tokenizer.

    TRL decodes completions without special tokens. The tags of entity tokens and `<think>` are
    special tokens of the default model, so that its text alone says neither.

    Args:
        tokenizer: of transformers.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __call__(self, token_ids: Sequence[int], /) -> str:
        """The text as vLLM returns it in serving."""
        text: str = self._tokenizer.decode(
            list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion beside its task.

    Attributes:
        key: the task as text, for what is worked out once a task.
        task: what it is judged by.
        text: the completion without its end token.
        token_ids: the sampled tokens, the end token too.
        ended: whether the end token is the last.
        answer: what serving would read, None where that is nothing.
    """

    key: str
    task: Task
    text: str
    token_ids: tuple[int, ...]
    ended: bool
    answer: Answer | None


class RewardFunction(ABC):
    """A reward as TRL calls it: a batch in, one number a completion out, None for not scored.

    Pure and picklable. `__name__` names the reward in TRL's log and in `RewardsSection`.

    Args:
        end_token_ids: tokens that end an answer; a completion without one was cut.
        decode: reads the tokens where TRL's text lacks some; None takes TRL's text.
    """

    __name__: str = "reward"

    def __init__(self, end_token_ids: Collection[int], decode: Decode | None = None) -> None:
        self.end_token_ids = frozenset(end_token_ids)
        self.decode = decode

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Sequence[int]],
        task: Sequence[str],
        **_kwargs: Any,
    ) -> list[float | None]:
        """The reward of each completion.

        Args:
            prompts: not looked at; what was asked is in `task`.
            completions: each a text, or a list of messages with "content".
            completion_ids: the sampled tokens of each, the end token kept.
            task: of each, as `encode_task` writes it.

        Raises:
            ValueError: the lists are not of one length.
        """
        rows = list(zip(prompts, completions, completion_ids, task, strict=True))
        return [self.score(self._rollout(text, ids, key)) for _, text, ids, key in rows]

    @abstractmethod
    def score(self, rollout: Rollout) -> float | None:
        """The reward of one completion."""

    def _rollout(self, completion: Any, token_ids: Sequence[int], key: str) -> Rollout:
        ids = tuple(token_ids)
        ended = bool(ids) and ids[-1] in self.end_token_ids
        if self.decode is None:
            text = text_of(completion)
        else:
            text = self.decode(ids[:-1] if ended else ids)
        answer = read_answer(key, text, ended=ended)
        return Rollout(key, decode_task(key), text, ids, ended, answer)


def text_of(completion: Any) -> str:
    """The text of a completion: itself, or that of its messages in order."""
    if isinstance(completion, str):
        return completion
    return "".join(_content(message.get("content")) for message in completion)


def _content(content: Any) -> str:
    """A message's text, or that of its parts; None and images have none."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content)
    return content if isinstance(content, str) else ""
