"""Signals that come before anybody handles them: they wait, instead of ending the process half started.

Imports next to nothing, because every import is time in which a signal still ends the process.
"""

import signal
from typing import Final

HELD: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def hold() -> None:
    """Let SIGTERM, SIGINT and SIGHUP wait until they are released, in this thread and those that it starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)


def release(*numbers: signal.Signals) -> None:
    """Deliver these signals from now on, those that wait at once; without numbers all that are held."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers or HELD)
