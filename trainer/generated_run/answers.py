"""What adapters answer to rows that carry their task, and how the rewards judge it.

For runs on generated documents: no service and no grammar takes part, so that what is measured is
the model's own.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from trl.data_utils import prepare_multimodal_messages

from trainer.generated_run.material import CHAMPION
from trainer.policy import Policy
from trainer.profile import RewardsSection
from trainer.rewards import TokenizerDecode, make_rewards
from trainer.shared_prompt import until_end
from trainer.stage import read_lines

_BATCH = 16


def answer_rows(
    policy: Policy,
    adapters: Mapping[str, Path],
    rows: Sequence[Mapping[str, Any]],
    weights: RewardsSection,
    *,
    most_tokens: int,
    out: Path,
) -> dict[str, list[dict[str, Any]]]:
    """Every adapter's greedy answer to every row, with its rewards.

    Args:
        policy: the champion, frozen; it answers too, as `CHAMPION`.
        adapters: name -> folder.
        rows: `prompt` and `task`.
        weights: of the rewards, for their sum.
        most_tokens: longer answers are cut.
        out: gets NAME.jsonl, a line a row with `text`; what is there already is not asked again.

    Returns:
        Name -> one mapping a row, in their order: `reward`, the weighted mean of what scored, and
        each reward that scored, by name; a cut answer is scored as it is.
    """
    scored = {}
    model: Any = policy.model
    for name, folder in {CHAMPION: None, **adapters}.items():
        path = out / f"{name}.jsonl"
        if not path.is_file():
            if folder is not None:
                model = _with(model, name, folder)
            _write(path, _answers(policy, model, rows, weights, most_tokens))
        scored[name] = [entry["rewards"] for entry in read_lines(path)]
    return scored


def _with(model: Any, name: str, folder: Path) -> PeftModel:
    """The model with one adapter, which takes the place of any before."""
    if not isinstance(model, PeftModel):
        return PeftModel.from_pretrained(model, str(folder), adapter_name=name)
    model.load_adapter(str(folder), adapter_name=name)
    model.set_adapter(name)
    return model


def _answers(
    policy: Policy,
    model: Any,
    rows: Sequence[Mapping[str, Any]],
    weights: RewardsSection,
    most_tokens: int,
) -> list[dict[str, Any]]:
    functions, factors = make_rewards(
        weights, end_token_ids=policy.end_token_ids, decode=TokenizerDecode(policy.tokenizer)
    )
    drawn = _greedy(policy, model, rows, most_tokens)
    tasks = [row["task"] for row in rows]
    texts = [policy.tokenizer.decode(ids, skip_special_tokens=True) for ids in drawn]
    by_name = {
        function.__name__: function([None] * len(rows), texts, drawn, tasks)
        for function in functions
    }
    found = []
    for number, text in enumerate(texts):
        given = {name: values[number] for name, values in by_name.items()}
        parts = [
            (value, factor)
            for value, factor in zip(given.values(), factors, strict=True)
            if value is not None
        ]
        total = sum(factor for _, factor in parts)
        mean = sum(value * factor for value, factor in parts) / total if total else 0.0
        kept = {name: value for name, value in given.items() if value is not None}
        found.append({"text": text, "rewards": {"reward": mean, **kept}})
    return found


def _greedy(
    policy: Policy, model: Any, rows: Sequence[Mapping[str, Any]], most_tokens: int
) -> list[list[int]]:
    """The tokens of each answer, with the end token where it came.

    Prompts of like length go together, padded on the left; a page goes by itself.
    """
    processor = policy.processor
    ends = set(policy.end_token_ids)
    drawn: list[list[int]] = [[] for _ in rows]
    model.eval()
    policy.tokenizer.padding_side = "left"
    for batch in _batches(rows):
        chats = [_chat(rows[number]) for number in batch]
        shown = processor.apply_chat_template(
            chats,
            add_generation_prompt=True,
            tokenize=True,
            padding=True,
            return_dict=True,
            return_tensors="pt",
        ).to(model.device)
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


def _chat(row: Mapping[str, Any]) -> Any:
    """The prompt as the chat template takes it, with the row's pages where it has some."""
    if not row.get("images"):
        return row["prompt"]
    return prepare_multimodal_messages(row["prompt"], images=list(row["images"]))


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


def _write(path: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    partial.replace(path)
