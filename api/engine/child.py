"""Starts a command that cannot outlive its parent: `python -I child.py PARENT_PID COMMAND...`.

The caller starts it in a session of its own, so that its process group holds the command and all
that the command starts. Two things then tie the group to the parent:

- the kernel kills this process when the parent dies (PR_SET_PDEATHSIG, which survives `exec`);
- a forked watcher waits for the parent and for the command (pidfd), and kills the whole group when
  either is gone: the model server has a child of its own that would otherwise live on.

The command takes over this process id, so the caller's child is the server itself. Imports nothing
but the standard library.
"""

import ctypes
import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_GONE = 111


def main(parent: int, command: list[str]) -> None:
    """Becomes `command`; never returns.

    Args:
        parent: process id of the caller.
        command: program and arguments.
    """
    # Opened before the check: a descriptor of the right process is in hand, or we end here.
    parent_fd = os.pidfd_open(parent)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(_GONE)
    own_fd = os.pidfd_open(os.getpid())
    if os.fork() == 0:
        _watch((parent_fd, own_fd))
    os.execvp(command[0], command)  # noqa: S606 - the command is the point


def _watch(fds: tuple[int, ...]) -> None:
    """Waits until one of the processes is gone, then kills the group, this process with it."""
    for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)  # else the caller's log pipe would stay open
    waiting = select.poll()
    for fd in fds:
        waiting.register(fd, select.POLLIN)
    waiting.poll()
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
