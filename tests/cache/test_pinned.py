"""The bounded cache with pinned mints."""

from sidecar.cache.pinned import PinnedCache
from tests.clock import FakeClock
from tests.pricing.build import make_mint


class RunningClock(FakeClock):
    """A clock that goes on with every look at it, as a real one does."""

    def monotonic(self) -> float:
        self.advance(0.25)
        return super().monotonic()


def test_nothing_breaks_when_time_runs_out_in_the_middle_of_a_look_up() -> None:
    clock = RunningClock()
    cache = PinnedCache[str](max_others=5, ttl_seconds=1, clock=clock, evicted=lambda _: None)
    for number in range(400):
        mint = make_mint(number % 7)
        cache.put(mint, "value")
        cache.get(make_mint((number + 1) % 7))
        cache.pop(make_mint((number + 2) % 7))
        cache.pin(frozenset({make_mint(number % 5)}))
        assert len(list(cache)) <= 6
