"""The cycle as a process of its own: nice, in its own session, gone when the worker is gone."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from db import tether

STOP_SECONDS = 20.0
"""What a cycle gets to end in order; its checkpoints are on the disk already."""

LOG_BYTES = 20_000_000

COMMAND = (sys.executable, "-m", "trainer.commands", "train")


class CycleProcess:
    """Runs a command, one at a time.

    Args:
        log_file: gets what it prints; the last one is kept beside it.
        niceness: how far it steps back behind other processes, 0 to 19.
    """

    def __init__(self, log_file: Path, niceness: int) -> None:
        self._log_file, self._niceness = log_file, niceness
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Whether a command runs."""
        return self._process is not None and self._process.returncode is None

    async def run(self, command: Sequence[str]) -> int:
        """The exit status of the command; negative is the number of the signal that ended it.

        Where one runs already, that one is waited for. Cancelling the wait leaves it running;
        `stop` ends it.
        """
        if self._process is not None and self._process.returncode is None:
            return await self._process.wait()
        with self._open_log() as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", tether.__file__, str(os.getpid()), str(self._niceness)),
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return await self._process.wait()

    async def stop(self) -> None:
        """Ask the command to end, and after `STOP_SECONDS` end it and all that it started."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    def _open_log(self) -> IO[bytes]:
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        if self._log_file.exists() and self._log_file.stat().st_size > LOG_BYTES:
            self._log_file.replace(self._log_file.with_suffix(".log.1"))
        return self._log_file.open("ab")
