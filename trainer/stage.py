"""One stage of a run in a process of its own: `python -m trainer.stage TASK.json`.

A process that is killed takes nothing with it, memory goes back when it ends, and on GPUs the same
command runs under `accelerate launch`. What a stage writes is there as a whole or not at all: it
works in `<out>` and says with `<out>/done.json` that it has ended; started again it goes on.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.profile import Profile

DONE = "done.json"
EXAMPLES = "examples.jsonl"
MATERIAL = "material.json"
PROGRESS = "progress.json"


def main(task_file: Path) -> None:
    """Runs the stage that the task names.

    Args:
        task_file: JSON with `stage`, `out`, `profile` and the stage's own keys.
    """
    task = json.loads(task_file.read_text())
    out = Path(task["out"])
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    result = _STAGES[task["stage"]](task, Profile.model_validate(task["profile"]), out)
    if int(os.environ.get("RANK", "0")) == 0:
        seconds = round(time.monotonic() - began, 2)
        write_json(out / DONE, {**result, "duration_seconds": seconds})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """The file as a whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content))
    partial.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The file's object; None where it is not there or was never finished."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file (UTF-8), in its order.

    Only a line feed ends a row: a text may hold Unicode's other line separators.
    """
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a JSON Lines file (UTF-8) as a whole or not at all; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    partial.replace(path)


def _sft(task: Mapping[str, Any], profile: Profile, out: Path) -> dict[str, Any]:
    from trainer.policy import load_policy, lora_targets, read_card
    from trainer.sft import train_sft

    champion = Path(task["champion"])
    _settle(profile)
    history = train_sft(
        load_policy(champion, profile.adapter, out / "base"),
        _rows(task),
        profile.adapter,
        profile.sft,
        targets=lora_targets(read_card(champion)),
        seed=profile.seed,
        on_cpu=profile.device == "cpu",
        out=out,
        callbacks=_callbacks(out),
    )
    return {"adapter": str(out / "adapter"), "history": history}


def _grpo(task: Mapping[str, Any], profile: Profile, out: Path) -> dict[str, Any]:
    from trainer.grpo import train_grpo
    from trainer.policy import load_policy

    _settle(profile)
    index = int(task["index"])
    history = train_grpo(
        load_policy(Path(task["champion"]), profile.adapter, out / "base"),
        _rows(task),
        Path(task["sft_adapter"]),
        profile.grpo,
        profile.rewards,
        level=profile.grpo.levels[index],
        seed=profile.seed + index + 1,
        on_cpu=profile.device == "cpu",
        out=out,
        callbacks=_callbacks(out),
    )
    return {"adapter": str(out / "adapter"), "history": history}


def _soup(task: Mapping[str, Any], profile: Profile, out: Path) -> dict[str, Any]:
    from trainer.soup import uniform_soup

    _settle(profile)
    report = uniform_soup([Path(path) for path in task["adapters"]], out / "adapter")
    return {
        "adapter": str(out / "adapter"),
        "largest_error": report.largest_error,
        "rank": report.rank,
    }


def _answers(task: Mapping[str, Any], profile: Profile, out: Path) -> dict[str, Any]:
    from trainer.generated_run.answers import answer_rows
    from trainer.policy import load_policy

    _settle(profile)
    scored = answer_rows(
        load_policy(Path(task["champion"]), profile.adapter, out / "base"),
        {name: Path(path) for name, path in task["adapters"].items()},
        _rows(task),
        profile.rewards,
        most_tokens=profile.grpo.most_completion_tokens,
        out=Path(task["answers"]),
    )
    return {"scored": scored}


def _version(task: Mapping[str, Any], profile: Profile, out: Path) -> dict[str, Any]:
    from trainer.versions import write_version

    _settle(profile)
    written = write_version(
        Path(task["champion"]),
        Path(task["adapter"]),
        Path(task["versions"]),
        form=profile.form,
        most_rank=profile.adapter.most_rank,
        run=task["run"],
        capitals=task.get("capitals"),
        types=task.get("types"),
        scratch=out,
    )
    return {
        "version": written.version,
        "base": written.base,
        "folder": str(written.folder),
        "rank_error": written.rank_error,
    }


def newest_checkpoint(out: Path) -> str | None:
    """The newest whole checkpoint of a stage; one that a kill left half-written is removed.

    The trainer writes `trainer_state.json` last.
    """
    found = sorted(out.glob("checkpoint-*"), key=lambda path: int(path.name.rsplit("-", 1)[1]))
    while found:
        newest = found.pop()
        if read_json(newest / "trainer_state.json") is not None:
            return str(newest)
        shutil.rmtree(newest)
    return None


def _settle(profile: Profile) -> None:
    """Threads and manners of this process."""
    import torch

    torch.set_num_threads(profile.threads)


def _rows(task: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """The examples; pages are opened when they are needed by TRL's collator."""
    return [_with_images(row) for row in read_lines(Path(task["examples"]))]


def _with_images(row: dict[str, Any]) -> dict[str, Any]:
    paths = row.pop("image_files", None)
    if paths:
        from PIL import Image

        row["images"] = [Image.open(path).convert("RGB") for path in paths]
    return row


def _callbacks(out: Path) -> Sequence[Any]:
    from transformers import TrainerCallback

    class Noted(TrainerCallback):  # type: ignore[misc]
        """Writes how far training has come, for whoever watches the run's folder."""

        def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
            latest = state.log_history[-1] if state.log_history else {}
            content = {
                "step": state.global_step,
                "steps": state.max_steps,
                "loss": latest.get("loss"),
                "reward": latest.get("reward"),
            }
            write_json(out / PROGRESS, content)

    return [Noted()]


_STAGES: Mapping[str, Callable[[Mapping[str, Any], Profile, Path], dict[str, Any]]] = {
    "sft": _sft,
    "grpo": _grpo,
    "soup": _soup,
    "answers": _answers,
    "version": _version,
}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
