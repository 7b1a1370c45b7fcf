"""What adapters answer to rows that carry their task, and how the rewards judge it.

For runs on generated documents: no service and no grammar takes part, so that what is measured is
the model's own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel

from trainer.generated_run.material import CHAMPION
from trainer.greedy import answer_greedily
from trainer.policy import Policy
from trainer.profile import RewardsSection
from trainer.rewards import TokenizerDecode, make_rewards
from trainer.stage import read_lines, write_lines


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
            write_lines(path, _answers(policy, model, rows, weights, most_tokens))
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
    drawn = answer_greedily(policy, model, rows, most_tokens)
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
