"""Stages of a run, each in a process of its own and a folder of its own.

A stage that has its `done.json` is never run again, so a run that was killed goes on where it was.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from extraction.errors import DocloopError
from trainer.child import CycleProcess
from trainer.profile import Profile
from trainer.progress import Stage, StageProgress
from trainer.stage import DONE, PROGRESS, read_json, write_json

_POLL_SECONDS = 0.5
_LAST_WORDS = 4000  # bytes of a failed stage's log that its error quotes
_TRAINING = frozenset({"sft", "grpo"})


class StageFailed(DocloopError):
    """A stage's process ended without its result.

    Args:
        stage: its name.
        status: the exit status; negative for a signal.
        log: the file that says why.
        last_words: the end of that file.
    """

    slug = "training-stage-failed"

    def __init__(self, stage: str, status: int, log: Path, last_words: str) -> None:
        self.stage, self.status, self.log = stage, status, str(log)
        ending = f"was ended by signal {-status}" if status < 0 else f"ended with {status}"
        super().__init__(f"The stage {stage} {ending}; {log} says why: {last_words}")


@dataclass(kw_only=True)
class Stages:
    """A run's folder and what its stages are told.

    Attributes:
        folder: the run's own.
        profile: what it was told.
        champion_folder: of the model that it starts from.
        progress: shows people how far it is.
        launcher: put before `trainer.stage` for the stages that train, as accelerate's launcher.
        seconds: how long each stage took.
    """

    folder: Path
    profile: Profile
    champion_folder: Path
    progress: StageProgress
    launcher: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)

    async def stage(self, name: str, kind: str, task: Mapping[str, Any]) -> dict[str, Any]:
        """A stage's result; from its folder where it has ended before.

        Args:
            name: of the stage and its folder.
            kind: which code it runs: sft, grpo, soup, answers or version.
            task: the stage's own keys.

        Raises:
            StageFailed: its process ended without a result.
        """
        out = self.folder / name
        found = read_json(out / DONE)
        if found is None:
            out.mkdir(parents=True, exist_ok=True)
            whole = {
                **task,
                "stage": kind,
                "out": str(out),
                "champion": str(self.champion_folder),
                "profile": self.profile.model_dump(mode="json"),
            }
            write_json(out / "task.json", whole)
            async with self.shown(name) as stage:
                await self._execute(stage, kind, out)
            found = read_json(out / DONE) or {}
            found |= {"duration_seconds": round(self.seconds[name], 2)}
        self.seconds[name] = float(found.get("duration_seconds", 0.0))
        return found

    @asynccontextmanager
    async def shown(self, name: str) -> AsyncIterator[Stage]:
        """A stage that people see, and whose time is kept."""
        began = time.monotonic()
        with self.progress.stage(name) as stage:
            yield stage
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    async def _execute(self, stage: Stage, kind: str, out: Path) -> None:
        launcher = self.launcher if kind in _TRAINING else ()
        log = out / "log.txt"
        process = CycleProcess(log, self.profile.niceness)
        settings = [f"{name}={value}" for name, value in _environment(self.profile).items()]
        python = launcher or (sys.executable,)
        command = ["env", *settings, *python, "-m", "trainer.stage", str(out / "task.json")]
        running = asyncio.ensure_future(process.run(command))
        try:
            while not (await asyncio.wait([running], timeout=_POLL_SECONDS))[0]:
                _look(stage, out)
        finally:
            await asyncio.shield(process.stop())
            await asyncio.gather(running, return_exceptions=True)
        if running.result() != 0 or read_json(out / DONE) is None:
            words = log.read_bytes()[-_LAST_WORDS:].decode(errors="replace").strip()
            raise StageFailed(stage.name, running.result(), log, words.rsplit("\n", 1)[-1])


def _look(stage: Stage, out: Path) -> None:
    """How far the stage's process says that it is."""
    seen = read_json(out / PROGRESS)
    if seen and seen.get("steps"):
        stage.update(float(seen["step"]), float(seen["steps"]))


def _environment(profile: Profile) -> dict[str, str]:
    """What a stage is told beside its task, on top of this process's environment."""
    environment = {
        "OMP_NUM_THREADS": str(profile.threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": os.pathsep.join(
            [
                str(Path(__file__).resolve().parents[1]),
                *filter(None, [os.environ.get("PYTHONPATH")]),
            ]
        ),
    }
    if profile.device == "cpu":
        # A step makes and drops the same large blocks; giving them back costs a third of its time.
        environment |= {
            "MALLOC_MMAP_MAX_": "0",
            "MALLOC_TRIM_THRESHOLD_": "20000000000",
            "MALLOC_TOP_PAD_": "500000000",
        }
    return environment
