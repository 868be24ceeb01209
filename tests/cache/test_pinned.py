"""The bounded mapping with pinned mints."""

from sidecar.cache.expiring import ExpiringCache
from sidecar.cache.pinned import Pinned
from tests.clock import FakeClock
from tests.pricing.build import make_mint


class RunningClock(FakeClock):
    """A clock that goes on with every look at it, as a real one does."""

    def monotonic(self) -> float:
        self.advance(0.25)
        return super().monotonic()


def test_nothing_breaks_when_time_runs_out_in_the_middle_of_a_look_up() -> None:
    clock = RunningClock()
    cache = Pinned[str](ExpiringCache(5, 1.0, clock, evicted=lambda _: None))
    for number in range(400):
        mint = make_mint(number % 7)
        cache.put(mint, "value")
        cache.get(make_mint((number + 1) % 7))
        cache.pop(make_mint((number + 2) % 7))
        cache.pin(frozenset({make_mint(number % 5)}))
        assert len(list(cache)) <= 6
