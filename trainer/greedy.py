"""Greedy answers to prompts, with their pages where they have some, and without a grammar."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from trl.data_utils import prepare_multimodal_messages

from trainer.policy import Policy

_BATCH = 16


def answer_greedily(
    policy: Policy, model: Any, rows: Sequence[Mapping[str, Any]], most_tokens: int
) -> list[list[int]]:
    """The tokens of each answer, with the end token where it came.

    Prompts of like length go together, padded on the left; a page goes by itself.

    Args:
        policy: whose processor and end tokens count.
        model: that answers: the policy's own, or it with an adapter; put into evaluation mode.
        rows: `prompt`, and `images` where a row has pages.
        most_tokens: longer answers are cut.
    """
    ends = set(policy.end_token_ids)
    drawn: list[list[int]] = [[] for _ in rows]
    model.eval()
    for batch in _batches(rows):
        shown = _shown(policy, [rows[number] for number in batch]).to(model.device)
        with torch.no_grad():
            whole = model.generate(
                **shown,
                max_new_tokens=most_tokens,
                do_sample=False,
                pad_token_id=policy.tokenizer.pad_token_id,
                eos_token_id=sorted(ends),
            )
        answers = whole[:, shown["input_ids"].shape[1] :].tolist()
        for number, answer in zip(batch, answers, strict=True):
            drawn[number] = until_end(answer, ends)
    return drawn


def until_end(ids: list[int], ends: set[int]) -> list[int]:
    """An answer's tokens up to and with the first that ends it; all where none does."""
    for position, token in enumerate(ids):
        if token in ends:
            return ids[: position + 1]
    return ids


def _shown(policy: Policy, rows: Sequence[Mapping[str, Any]]) -> Any:
    """What the model gets; rows with pages and rows without are not mixed."""
    chats: list[Any] = [row["prompt"] for row in rows]
    seen = {}
    if policy.sees_images:
        images = [list(row.get("images") or ()) for row in rows]
        chats = [
            prepare_multimodal_messages(chat, images=pages)
            for chat, pages in zip(chats, images, strict=True)
        ]
        seen = {"images": images} if any(images) else {}
    texts = policy.processor.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
    return policy.processor(
        **seen,
        text=texts,
        add_special_tokens=False,  # the chat template has written them
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )


def _batches(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[int]]:
    seeing = [number for number, row in enumerate(rows) if row.get("images")]
    yield from ([number] for number in seeing)
    lengths = {
        number: sum(len(str(message["content"])) for message in row["prompt"])
        for number, row in enumerate(rows)
        if not row.get("images")
    }
    ordered = sorted(lengths, key=lengths.__getitem__)
    for first in range(0, len(ordered), _BATCH):
        yield ordered[first : first + _BATCH]
