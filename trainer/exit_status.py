"""What `docloop train` ends with; the worker reads it."""

import signal

from extraction.errors import DocloopError
from trainer.attempt import NothingToResume, RunElsewhere, TooFewCorrections, lost_database
from trainer.cycle_lock import CycleRunning

FAULT = 1
DATABASE = 69
"""The database went away; sysexits.h calls it EX_UNAVAILABLE."""
NOT_STARTED = 75
"""Nothing is wrong, and nothing was to be done now; EX_TEMPFAIL."""
STOPPED = 128 + signal.SIGTERM

_NOTHING_TO_DO = (TooFewCorrections, CycleRunning, RunElsewhere, NothingToResume)


def status_of(error: Exception) -> tuple[int, str]:
    """The exit status for an error, and the sentence for a person.

    An error of ours is a sentence; of any other only its kind is told.
    """
    if isinstance(error, _NOTHING_TO_DO):
        return NOT_STARTED, f"Nothing was started. {error}"
    if isinstance(error, DocloopError):
        return FAULT, str(error)
    if lost_database(error):
        return DATABASE, "The database does not answer. A later start goes on where it was."
    kind = type(error).__name__
    return FAULT, f"The cycle ended by a fault ({kind}). A later start goes on where it was."
