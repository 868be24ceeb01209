"""Signals that come before they can be handled wait, instead of ending the process half started.

Imports next to nothing, because every import is time in which a signal still ends the process.
"""

import signal
from typing import Final

BLOCKED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
IGNORED: Final = (signal.SIGUSR1, signal.SIGUSR2)


def block() -> None:
    """Let SIGTERM, SIGINT and SIGHUP wait until they are unblocked, in this thread and those that it starts.

    SIGUSR1 and SIGUSR2, which mean nothing here, are ignored: by default they end the process without a word.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)


def unblock(*numbers: signal.Signals) -> None:
    """Deliver these signals from now on, those that wait at once; without numbers all that are blocked."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers or BLOCKED)
