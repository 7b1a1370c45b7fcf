"""GRPO with each prompt computed once for its whole group, the page's image included.

The completions of a group share a prompt that is several times as long as they are. TRL computes
it once for each of them, in the rollout and in the loss. Here the prompt goes through the model
once and its keys and values are repeated for the group; gradients flow back through them, so the
loss and its gradient are the same (tests/unit/test_shared_prompt.py). With 4 completions of 60
tokens after a prompt of 420 that is 660 tokens instead of 1,920. A page adds several hundred tokens
to the prompt and the vision tower's work to each computation of it, so a model that sees gains
more.
"""

import hashlib
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import DynamicCache
from trl import GRPOTrainer

from trainer.greedy import until_end

# Their processor gives every prompt a row of tiles of its own: [prompts, tiles, 3, height, width].
# Others lay the images of all prompts end to end.
_TILED = ("idefics3", "smolvlm")
_TILES = ("pixel_values", "pixel_attention_mask")


def shares_prompts(model: Any) -> bool:
    """Whether the group's prompt is computed once: of text always, of pages for some families."""
    config = model.config
    return not hasattr(config, "vision_config") or config.model_type in _TILED


class SharedPromptTrainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's GRPO; vLLM rollouts, several processes and other kinds of images go TRL's own way."""

    def _tokenize_prompts(
        self, prompts: list[Any]
    ) -> tuple[list[list[int]], list[Any] | None, dict[str, Any]]:
        """Each distinct page is cut into tiles once, and not once for each of its completions."""
        if not shares_prompts(self.model):
            whole: tuple[list[list[int]], list[Any] | None, dict[str, Any]] = (
                super()._tokenize_prompts(prompts)
            )
            return whole
        groups = list(_groups([_content_of(prompt) for prompt in prompts]))
        ids, images, fields = super()._tokenize_prompts([prompts[rows[0]] for rows in groups])
        group_of = {row: number for number, rows in enumerate(groups) for row in rows}
        order = [group_of[row] for row in range(len(prompts))]
        return (
            [ids[number] for number in order],
            # A prompt without a page among others with one: the processor wants an empty list.
            None if images is None else [images[number] or [] for number in order],
            {name: np.asarray(value)[order] for name, value in fields.items()},
        )

    def _generate_single_turn(
        self,
        prompt_ids: Sequence[Sequence[int]],
        images: Any,
        multimodal_fields: dict[str, Any],
        num_generations: int,
        has_tool_images: bool = False,
    ) -> tuple[list[list[int]], None]:
        if self.use_vllm or self._is_spread() or not shares_prompts(self.model):
            rolled: tuple[list[list[int]], None] = super()._generate_single_turn(
                prompt_ids, images, multimodal_fields, num_generations, has_tool_images
            )
            return rolled
        model = self.accelerator.unwrap_model(self.model_wrapped)
        device = self.accelerator.device
        pictures = {
            name: torch.as_tensor(np.asarray(value)).to(device)
            for name, value in multimodal_fields.items()
        }
        shown = _shown(pictures, len(prompt_ids))
        answers: list[list[int]] = [[] for _ in prompt_ids]
        with torch.no_grad(), _evaluating(model):
            for rows in _groups(list(zip(map(tuple, prompt_ids), shown, strict=True))):
                page = _of_row(pictures, rows[0])
                drawn = self._roll_out(model, prompt_ids[rows[0]], len(rows), page)
                for row, answer in zip(rows, drawn, strict=True):
                    answers[row] = answer
        return answers, None

    def _roll_out(
        self, model: Any, prompt: Sequence[int], count: int, page: Mapping[str, torch.Tensor]
    ) -> list[list[int]]:
        """`count` completions of one prompt, each up to and with its end token."""
        ids = torch.tensor([list(prompt)], device=self.accelerator.device)
        cache = model(
            input_ids=ids[:, :-1], **page, use_cache=True, logits_to_keep=1
        ).past_key_values
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
        return [until_end(row, ends) for row in drawn[:, ids.shape[1] :].tolist()]

    def _get_per_token_logps_and_entropies(
        self,
        model: torch.nn.Module,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **given: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        if compute_aux_loss or not self._shares_in_loss():
            computed: tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None] = (
                super()._get_per_token_logps_and_entropies(
                    model,
                    input_ids,
                    attention_mask,
                    logits_to_keep,
                    batch_size,
                    compute_entropy,
                    compute_aux_loss,
                    **given,
                )
            )
            return computed
        pictures = {name: given[name] for name in _TILES if given.get(name) is not None}
        prompts = [
            tuple(ids[seen.bool()].tolist())
            for ids, seen in zip(
                input_ids[:, :-logits_to_keep], attention_mask[:, :-logits_to_keep], strict=True
            )
        ]
        shown = _shown(pictures, len(prompts))
        logps = input_ids.new_zeros((len(prompts), logits_to_keep), dtype=torch.float32)
        entropies = torch.zeros_like(logps)
        for rows in _groups(list(zip(prompts, shown, strict=True))):
            at = torch.tensor(rows, device=input_ids.device)
            completion = input_ids[at, -logits_to_keep:]
            seen = attention_mask[at, -logits_to_keep:]
            prompt = torch.tensor([list(prompts[rows[0]])], device=input_ids.device)
            page = _of_row(pictures, rows[0])
            logits = completion_logits(model, prompt, completion, seen, page) / self.temperature
            every = torch.log_softmax(logits.float(), dim=-1)
            chosen = every.gather(-1, completion.unsqueeze(-1)).squeeze(-1)
            # Out of place: the rows carry gradients.
            logps = logps.index_put((at,), chosen * seen)
            if compute_entropy:
                with torch.no_grad():
                    spread = -(every.exp() * every).sum(-1) * seen
                entropies = entropies.index_put((at,), spread)
        return logps, entropies if compute_entropy else None, None

    def _shares_in_loss(self) -> bool:
        """Gradient checkpointing drops the keys and values that are shared, without an error."""
        shares = shares_prompts(self.model) and not self._is_spread()
        return shares and not self.args.gradient_checkpointing

    def _is_spread(self) -> bool:
        """Whether several processes train together: their wrapped model takes one call a step."""
        return bool(self.accelerator.num_processes > 1)


def completion_logits(
    model: Any,
    prompt: torch.Tensor,
    completion: torch.Tensor,
    seen: torch.Tensor,
    page: Mapping[str, torch.Tensor] | None = None,
) -> torch.Tensor:
    """The logits that predict each token of several completions of one prompt.

    Args:
        model: a causal language model.
        prompt: shape (1, P).
        completion: shape (N, C), padded on the right.
        seen: shape (N, C), 1 for tokens and 0 for padding.
        page: what the model takes of the prompt's image.

    Returns:
        Shape (N, C, vocabulary).
    """
    count = completion.shape[0]
    cache = DynamicCache()
    first: torch.Tensor = model(
        input_ids=prompt, **(page or {}), past_key_values=cache, use_cache=True, logits_to_keep=1
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


def _groups(prompts: Sequence[Hashable]) -> Iterator[list[int]]:
    """The rows of each distinct prompt, in the order of its first row."""
    rows: dict[Hashable, list[int]] = {}
    for row, prompt in enumerate(prompts):
        rows.setdefault(prompt, []).append(row)
    yield from rows.values()


def _content_of(prompt: Any) -> Hashable:
    """What makes a chat the same as another: its words, and the pixels of its images."""
    if isinstance(prompt, Image.Image):
        return prompt.size, hashlib.sha256(prompt.tobytes()).digest()
    if isinstance(prompt, Mapping):
        return tuple((name, _content_of(value)) for name, value in prompt.items())
    if isinstance(prompt, list):
        return tuple(map(_content_of, prompt))
    return str(prompt)


def _shown(pictures: Mapping[str, torch.Tensor], count: int) -> list[bytes]:
    """Names each row's image: two prompts of the same words may be about different pages."""
    if "pixel_values" not in pictures:
        return [b""] * count
    return [
        hashlib.sha256(row.detach().float().cpu().numpy().tobytes()).digest()
        for row in pictures["pixel_values"]
    ]


def _of_row(pictures: Mapping[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    """What the model takes of a row's image; nothing where the row has only empty tiles."""
    if "pixel_values" not in pictures or not bool(pictures["pixel_values"][row].any()):
        return {}
    return {name: value[row : row + 1] for name, value in pictures.items()}


class _evaluating:  # noqa: N801 - reads as a statement: with _evaluating(model)
    """The model without dropout for a while."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model, self._was_training = model, model.training

    def __enter__(self) -> None:
        self._model.eval()

    def __exit__(self, *_: object) -> None:
        self._model.train(self._was_training)
