"""GRPO on text with each prompt computed once for its whole group.

The completions of a group share a prompt that is several times as long as they are. TRL computes
it once for each of them, in the rollout and in the loss. Here the prompt goes through the model
once and its keys and values are repeated for the group; gradients flow back through them, so the
loss and its gradient are the same (tests/unit/test_shared_prompt.py). With 4 completions of 60
tokens after a prompt of 420 that is 660 tokens instead of 1,920.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache
from trl import GRPOTrainer


class SharedPromptTrainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's GRPO; prompts with images, vLLM rollouts and several processes go TRL's own way."""

    def _generate_single_turn(
        self,
        prompt_ids: Sequence[Sequence[int]],
        images: Any,
        multimodal_fields: dict[str, Any],
        num_generations: int,
        has_tool_images: bool = False,
    ) -> tuple[list[list[int]], None]:
        if self.use_vllm or images is not None or multimodal_fields or self._is_spread():
            rolled: tuple[list[list[int]], None] = super()._generate_single_turn(
                prompt_ids, images, multimodal_fields, num_generations, has_tool_images
            )
            return rolled
        model = self.accelerator.unwrap_model(self.model_wrapped)
        answers: list[list[int]] = [[] for _ in prompt_ids]
        with torch.no_grad(), _evaluating(model):
            for rows in _groups([tuple(ids) for ids in prompt_ids]):
                for row, answer in zip(
                    rows, self._roll_out(model, prompt_ids[rows[0]], len(rows)), strict=True
                ):
                    answers[row] = answer
        return answers, None

    def _roll_out(self, model: Any, prompt: Sequence[int], count: int) -> list[list[int]]:
        """`count` completions of one prompt, each up to and with its end token."""
        ids = torch.tensor([list(prompt)], device=self.accelerator.device)
        cache = model(input_ids=ids[:, :-1], use_cache=True, logits_to_keep=1).past_key_values
        cache.batch_repeat_interleave(count)
        repeated = ids.repeat(count, 1)
        drawn = model.generate(
            input_ids=repeated,
            attention_mask=torch.ones_like(repeated),
            past_key_values=cache,
            generation_config=self.generation_config,
            disable_compile=True,
        )
        ends = set(self.eos_token_ids)
        return [_until_end(row, ends) for row in drawn[:, ids.shape[1] :].tolist()]

    def _get_per_token_logps_and_entropies(
        self,
        model: torch.nn.Module,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **pictures: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        if compute_aux_loss or self._is_spread() or any(v is not None for v in pictures.values()):
            computed: tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None] = (
                super()._get_per_token_logps_and_entropies(
                    model,
                    input_ids,
                    attention_mask,
                    logits_to_keep,
                    batch_size,
                    compute_entropy,
                    compute_aux_loss,
                    **pictures,
                )
            )
            return computed
        prompts = [
            tuple(ids[seen.bool()].tolist())
            for ids, seen in zip(
                input_ids[:, :-logits_to_keep], attention_mask[:, :-logits_to_keep], strict=True
            )
        ]
        logps = input_ids.new_zeros((len(prompts), logits_to_keep), dtype=torch.float32)
        entropies = torch.zeros_like(logps)
        for rows in _groups(prompts):
            at = torch.tensor(rows, device=input_ids.device)
            completion = input_ids[at, -logits_to_keep:]
            seen = attention_mask[at, -logits_to_keep:]
            prompt = torch.tensor([list(prompts[rows[0]])], device=input_ids.device)
            logits = completion_logits(model, prompt, completion, seen) / self.temperature
            every = torch.log_softmax(logits.float(), dim=-1)
            chosen = every.gather(-1, completion.unsqueeze(-1)).squeeze(-1)
            # Out of place: the rows carry gradients.
            logps = logps.index_put((at,), chosen * seen)
            if compute_entropy:
                with torch.no_grad():
                    spread = -(every.exp() * every).sum(-1) * seen
                entropies = entropies.index_put((at,), spread)
        return logps, entropies if compute_entropy else None, None

    def _is_spread(self) -> bool:
        """Whether several processes train together: their wrapped model takes one call a step."""
        return bool(self.accelerator.num_processes > 1)


def completion_logits(
    model: Any, prompt: torch.Tensor, completion: torch.Tensor, seen: torch.Tensor
) -> torch.Tensor:
    """The logits that predict each token of several completions of one prompt.

    Args:
        model: a causal language model.
        prompt: shape (1, P).
        completion: shape (N, C), padded on the right.
        seen: shape (N, C), 1 for tokens and 0 for padding.

    Returns:
        Shape (N, C, vocabulary).
    """
    count = completion.shape[0]
    cache = DynamicCache()
    first: torch.Tensor = model(
        input_ids=prompt, past_key_values=cache, use_cache=True, logits_to_keep=1
    ).logits.expand(count, -1, -1)
    if completion.shape[1] == 1:
        return first
    cache.batch_repeat_interleave(count)
    mask = torch.cat([seen.new_ones((count, prompt.shape[1])), seen[:, :-1]], dim=1)
    rest = model(
        input_ids=completion[:, :-1], attention_mask=mask, past_key_values=cache, use_cache=True
    ).logits
    whole: torch.Tensor = torch.cat([first, rest], dim=1)
    return whole


def _groups(prompts: Sequence[tuple[int, ...]]) -> Iterator[list[int]]:
    """The rows of each distinct prompt, in the order of its first row."""
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, prompt in enumerate(prompts):
        rows.setdefault(prompt, []).append(row)
    yield from rows.values()


def _until_end(ids: list[int], ends: set[int]) -> list[int]:
    for position, token in enumerate(ids):
        if token in ends:
            return ids[: position + 1]
    return ids


class _evaluating:  # noqa: N801 - reads as a statement: with _evaluating(model)
    """The model without dropout for a while."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model, self._was_training = model, model.training

    def __enter__(self) -> None:
        self._model.eval()

    def __exit__(self, *_: object) -> None:
        self._model.train(self._was_training)
