"""The circuit breaker of one upstream."""

import random
from collections.abc import Callable
from typing import Final, Literal

from sidecar.runtime.clock import Clock

FAILURES_TO_OPEN: Final = 3
FIRST_PAUSE_SECONDS: Final = 10.0
LONGEST_PAUSE_SECONDS: Final = 60.0

State = Literal["closed", "open", "half_open"]


class CircuitBreaker:
    """Opens after repeated failures, lets one probe through after a pause, closes when it succeeds.

    The pause doubles with each failed probe. `on_change(state)` hears of every opening and closing.
    """

    def __init__(self, clock: Clock, on_change: Callable[[State], None]) -> None:
        self._clock = clock
        self._on_change = on_change
        self._failures = 0
        self._pause = FIRST_PAUSE_SECONDS
        self._open_until = 0.0
        self.state: State = "closed"

    def retry_in(self) -> float:
        """Seconds until a call may begin; 0 means now. While a probe is under way no other call may."""
        if self.state == "closed":
            return 0.0
        if self.state == "half_open":
            return 1.0
        return max(0.0, self._open_until - self._clock.monotonic())

    def begin(self) -> None:
        """Note that a call begins; with the circuit open it is the probe."""
        if self.state == "open":
            self.state = "half_open"

    def succeeded(self) -> None:
        """Note a good answer."""
        self._failures = 0
        self._pause = FIRST_PAUSE_SECONDS
        if self.state != "closed":
            self.state = "closed"
            self._on_change("closed")

    def failed(self) -> None:
        """Note a failure."""
        self._failures += 1
        if self.state == "half_open":
            self._pause = min(LONGEST_PAUSE_SECONDS, self._pause * 2)
            self._open()
        elif self.state == "closed" and self._failures >= FAILURES_TO_OPEN:
            self._open()
            self._on_change("open")

    def given_up(self) -> None:
        """Note that a call was cancelled from our side, which says nothing of the upstream."""
        if self.state == "half_open":
            self.state = "open"

    def _open(self) -> None:
        self.state = "open"
        self._open_until = self._clock.monotonic() + self._pause * random.uniform(0.95, 1.0)
