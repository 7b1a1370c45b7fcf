"""Runs inside the model server's worker: guesses how an answer goes on, to have it sooner.

An answer copies much of its page, and its punctuation and field names from the answers before it.
Where the last words of an answer stood before, on its own page or in a recent answer, what followed
them there is proposed. The model checks all proposed tokens in one step and keeps those that it
would have written itself, so a wrong guess costs time and changes nothing (speculative decoding,
arXiv:2211.17192; from the prompt: prompt lookup; from answers: compare arXiv:2411.04975).

vLLM's own n-gram proposer reads the prompt alone and always proposes the same number. For another
process loads it, this imports nothing but numpy.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]

_MOST_MATCHED = 8
_DRAFTED_PER_MATCHED = 2  # a longer match is trusted with a longer draft
_ANSWERS_KEPT = 24
_MOST_KEPT = 512  # of one answer: more would only be searched
_BORDER = -1  # between answers; no token


class AnswerDrafter:
    """What vLLM calls a custom class proposer (`--speculative-config`, method `custom_class`).

    Tokens of the last answers stay in this process, over all callers: they are proposed and never
    written unless the model writes them for this page by itself.

    Args:
        vllm_config: of the server; has the longest draft, the context length and the model's
            configuration with the tokens that end an answer.
    """

    def __init__(self, vllm_config: Any) -> None:
        self._most = int(vllm_config.speculative_config.num_speculative_tokens)
        self._context = int(vllm_config.model_config.max_model_len)
        self._ends = _end_tokens(vllm_config.model_config)
        self._answers: deque[Tokens] = deque(maxlen=_ANSWERS_KEPT)
        self._memory = np.empty(0, np.int32)

    def propose(
        self,
        sampled_token_ids: Sequence[Sequence[int]],
        num_tokens_no_spec: NDArray[Any],
        token_ids_cpu: NDArray[Any],
        slot_mappings: object = None,  # noqa: ARG002 - vLLM passes it by name
    ) -> list[list[int]]:
        """Drafts for one step.

        Args:
            sampled_token_ids: what each request of the batch got in this step; nothing where its
                prompt is still being read.
            num_tokens_no_spec: how many tokens each request has, prompt and answer.
            token_ids_cpu: those tokens; shape (requests or more, context length).
            slot_mappings: unused.

        Returns:
            For each request the proposed tokens, none where nothing fits.
        """
        drafts: list[list[int]] = []
        for row, sampled in enumerate(sampled_token_ids):
            tokens = token_ids_cpu[row, : num_tokens_no_spec[row]]
            if not sampled or len(tokens) >= self._context:
                drafts.append([])
            elif sampled[-1] in self._ends:
                self._keep(tokens)
                drafts.append([])
            else:
                drafts.append(self._draft(tokens))
        return drafts

    def load_model(self, *_arguments: object, **_named: object) -> None:
        """There is none; vLLM asks every proposer."""

    def _draft(self, tokens: Tokens) -> list[int]:
        end = tokens[-_MOST_MATCHED:]
        source, (matched, after) = tokens, _longest_match(tokens[:-1], end)
        remembered, after_remembered = _longest_match(self._memory[:-1], end)
        if remembered > matched:  # the page itself goes first
            source, matched, after = self._memory, remembered, after_remembered
        room = self._context - len(tokens)
        count = min(self._most, _DRAFTED_PER_MATCHED * matched, room)
        draft: list[int] = source[after : after + count].tolist()
        return draft[: draft.index(_BORDER)] if _BORDER in draft else draft

    def _keep(self, tokens: Tokens) -> None:
        """Remember an answer that has ended; it began after the last turn that ended likewise."""
        turns = np.flatnonzero(np.isin(tokens[:-1], list(self._ends)))
        begin = max(turns[-1] + 1 if len(turns) else 0, len(tokens) - _MOST_KEPT)
        self._answers.append(np.append(tokens[begin:], _BORDER).astype(np.int32))
        self._memory = np.concatenate(self._answers)


def _longest_match(text: Tokens, end: Tokens) -> tuple[int, int]:
    """Where the last tokens of an answer stood in a text.

    Returns:
        How many of the last tokens are found there in their order, and the position after the
        first place where so many are; (0, 0) where not even the last is.
    """
    places = np.flatnonzero(text == end[-1])
    if not len(places):
        return 0, 0
    matched = 1
    while matched < len(end):
        before = places[places >= matched]
        before = before[text[before - matched] == end[-1 - matched]]
        if not len(before):
            break
        places, matched = before, matched + 1
    return matched, int(places[0]) + 1


def _end_tokens(model_config: Any) -> frozenset[int]:
    """The tokens that end an answer, as the model's configuration names them."""
    named = [
        getattr(config, "eos_token_id", None)
        for config in (model_config.hf_config, model_config.hf_text_config)
    ]
    flat = [one for ids in named for one in (ids if isinstance(ids, (list, tuple)) else [ids])]
    return frozenset(int(one) for one in flat if one is not None)
