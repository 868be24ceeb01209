"""A budget on a clock of its own."""

from typing import Final

from sidecar.models import Priority
from sidecar.upstreams.budget import Budget
from tests.clock import FakeClock

MISS, POPULAR, TRACKED, EARLY = Priority
BACKGROUND: Final = (POPULAR, TRACKED)


class Calls(Budget):
    """A budget on a clock of its own."""

    def __init__(self, requests_per_minute: int = 30, *, early_share: float = 0.0) -> None:
        self.clock: Final = FakeClock()
        super().__init__(requests_per_minute, self.clock, early_share=early_share)

    def burst(self, *priorities: Priority) -> int:
        """Begin calls of these priorities in turn while one may begin now; return how many did."""
        count = 0
        while able := [priority for priority in priorities if not self.delay(priority)]:
            self.begin(able[count % len(able)])
            count += 1
        return count

    def begin_times(self, priority: Priority, times: int) -> None:
        for _ in range(times):
            self.begin(priority)
