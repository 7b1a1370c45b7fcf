"""A data folder in which a cycle can run: a tiny champion, corrected receipts, a quick profile."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny_versions import write_merged

from db.opening import open_database
from db.queries.keys import ensure_tenant
from db.queries.models import NewModel, get_champion, promote, register_model
from db.queries.runs import list_runs
from db.tables import ModelState, TrainingRun
from tests.factories_learning import make_learnable, receipt_lines, store
from trainer.profile import Profile, load_profile
from trainer.settings import TrainerSettings

CHAMPION = "tiny-000000000001"
ROOT = Path(__file__).resolve().parents[1]
QUICK: dict[str, dict[str, Any]] = {
    "data": {"least_examples": 4, "replay_ratio": 0.0, "selection_ratio": 0.5},
    "adapter": {"rank": 4, "alpha": 8, "dtype": "float32"},
    "sft": {"epochs": 2.0, "batch": 4, "save_steps": 1},
    "grpo": {
        "generation_count": 2,
        "prompts_per_step": 2,
        "steps": 3,
        "learning_rate": 1e-3,
        "most_completion_tokens": 12,
        "save_steps": 1,
    },
}


def quick_profile(path: Path, **further: dict[str, Any]) -> Path:
    """The small profile with few steps, as a TOML file."""
    content = load_profile("small").model_dump(mode="json")
    content |= {"name": "quick", "threads": 1, "niceness": 0}
    for section, values in [*QUICK.items(), *further.items()]:
        content[section] |= values
    Profile.model_validate(content)
    lines: list[str] = []
    for name, value in content.items():
        if not isinstance(value, dict):
            lines.append(f"{name} = {_toml(value)}")
    for name, value in content.items():
        if isinstance(value, dict):
            lines += [f"[{name}]", *(f"{key} = {_toml(item)}" for key, item in value.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def settings_of(data: Path) -> TrainerSettings:
    """The trainer's settings on this folder."""
    return TrainerSettings(data_dir=data, model_dir=data / "versions" / CHAMPION)


async def fill(data: Path, *, trained: int = 12, held_out: int = 6) -> None:
    """The champion and the corrected receipts; twice the same makes the same."""
    folder = data / "versions" / CHAMPION
    folder.mkdir(parents=True)
    await asyncio.to_thread(write_merged, folder, CHAMPION, seed=1)
    async with open_database(settings_of(data)) as database, database.sessions.begin() as session:
        tenant = await ensure_tenant(session, "default")
        for number in range(trained + held_out):
            total = f"{number + 1}.{number:02}"
            given = make_learnable(
                receipt_lines(total),
                {"merchant_name": "CORNER STORE", "total": "1.00"},
                {"merchant_name": "CORNER STORE SDN BHD", "total": total},
                asked_fields=("merchant_name", "total"),
                holdout=number >= trained,
                content=str(number),
            )
            await store(session, tenant.id, given)
        new = NewModel(CHAMPION, CHAMPION, "tiny", str(folder), state=ModelState.ACCEPTED)
        await register_model(session, new)
        champion = await get_champion(session)
        await promote(session, CHAMPION, champion.generation)


async def newest_run(data: Path) -> TrainingRun | None:
    """The newest run of the folder's database."""
    async with open_database(settings_of(data)) as database, database.sessions() as session:
        runs = await list_runs(session, limit=1)
    return runs[0] if runs else None


def start_training(data: Path, profile: Path) -> subprocess.Popen[bytes]:
    """`docloop train`, as a user starts it, in a process group of its own."""
    foreign = ("DOCLOOP_", "DATABASE_URL")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    environment |= {
        "DOCLOOP_DATA_DIR": str(data),
        "DOCLOOP_MODEL_DIR": str(data / "versions" / CHAMPION),
        "DOCLOOP_ENGINE_THREADS": "1",
    }
    with (data / "train.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "api.cli", "train", "--yes", "--profile", str(profile)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def kill_when(process: subprocess.Popen[bytes], holds: Callable[[], bool], seconds: float) -> bool:
    """Kills the process as soon as something holds; false where it ended before."""
    import time

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        if holds():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
            return True
        time.sleep(0.02)
    raise TimeoutError("nothing to kill came")
