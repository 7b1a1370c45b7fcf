"""The process group of a server: how it ended, and how all of it is ended."""

import asyncio
import contextlib
import os
import signal
import socket
import time

_TERM_GRACE_SECONDS = 3.0
_GONE_SECONDS = 1.0


def ending(returncode: int | None) -> str:
    """How a server went, from its exit status."""
    if returncode is not None and returncode < 0:
        return f"was killed ({signal.Signals(-returncode).name})"
    return f"exited with {returncode}"


def free_port() -> int:
    """A port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def end_group(process: asyncio.subprocess.Process) -> None:
    """Ends the server and everything that it started; returns when the server is reaped."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _TERM_GRACE_SECONDS)
    # The group outlives its leader; the id is ours as long as one member lives.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    deadline = time.monotonic() + _GONE_SECONDS
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < deadline:  # in vain where nobody reaps the dead
            os.killpg(process.pid, 0)
            await asyncio.sleep(0.02)
