"""Starts a command that cannot outlive its parent.

    python -I tether.py PARENT_PID NICENESS COMMAND...

The caller starts it in a session of its own, so that its process group holds the command and what
the command starts. Two things then tie the group to the parent:

- the kernel kills this process when the parent dies (PR_SET_PDEATHSIG, which survives `exec`);
- a forked watcher waits for the parent and for the command (pidfd), and kills the whole group when
  either is gone, so that nothing which the command started lives on.

The command takes over this process id, so the caller's child is the command itself. Imports nothing
but the standard library.

Niceness: where the kernel groups processes by session (sched_autogroup, the default of most
distributions), `nice` only weighs processes of one session against each other; against all others
counts the niceness of the session's group (sched(7)). So both are set.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_GONE = 111
_AUTOGROUP = Path("/proc/self/autogroup")
# Without CAP_SYS_ADMIN the kernel takes one change in a tenth of a second, from all processes.
_TRIES = 5
_TRY_SECONDS = 0.12


def main(parent: int, niceness: int, command: list[str]) -> None:
    """Becomes `command`; never returns.

    Args:
        parent: process id of the caller.
        niceness: at least so nice, 0 to 19; never less than the caller.
        command: program and arguments.
    """
    # Opened before the check: a descriptor of the right process is in hand, or we end here.
    parent_fd = os.pidfd_open(parent)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(_GONE)
    step_back(niceness)
    own_fd = os.pidfd_open(os.getpid())
    if os.fork() == 0:
        _watch((parent_fd, own_fd))
    os.execvp(command[0], command)  # noqa: S606 - the command is the point


def step_back(niceness: int) -> None:
    """Let other processes go first; what the system does not allow is left as it is."""
    total = max(os.getpriority(os.PRIO_PROCESS, 0), niceness)
    os.setpriority(os.PRIO_PROCESS, 0, total)
    for _ in range(_TRIES):
        try:
            _AUTOGROUP.write_text(str(total))
        except BlockingIOError:
            time.sleep(_TRY_SECONDS)
        except OSError:
            return  # a kernel without it, or a container that may not
        else:
            return


def _watch(fds: tuple[int, ...]) -> None:
    """Waits until one of the processes is gone, then kills the group, this process with it."""
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        with contextlib.suppress(OSError):
            os.dup2(null, standard)  # else the caller's pipes would stay open
    waiting = select.poll()
    for fd in fds:
        waiting.register(fd, select.POLLIN)
    waiting.poll()
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
