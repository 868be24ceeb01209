"""A small tracker on a clock of its own, and mints for it."""

from collections.abc import Iterable

from sidecar.metrics.labels import Tier
from sidecar.models import Mint
from sidecar.refresh.tracker import Tracker
from tests.clock import FakeClock
from tests.pricing.build import make_mint

P1, P2, P3 = (make_mint(number) for number in (1, 2, 3))
R1, R2, R3 = (make_mint(number) for number in (11, 12, 13))
T1, T2, T3, T4 = (make_mint(number) for number in (21, 22, 23, 24))


class Tracking(Tracker):
    """A tracker for five tokens on a clock of its own, with an hour's window."""

    def __init__(
        self,
        popular: Iterable[Mint] = (P1, P2),
        *,
        max_tokens: int = 5,
        min_requests: int = 3,
        trending_tokens: int = 50,
    ) -> None:
        self.clock = FakeClock(monotonic=3600.0 * 100)
        super().__init__(
            popular,
            max_tokens=max_tokens,
            min_requests=min_requests,
            trending_tokens=trending_tokens,
            window_seconds=3600,
            clock=self.clock,
        )

    def ask(self, mint: Mint, times: int) -> list[bool]:
        return [self.request(mint) for _ in range(times)]

    def tiers(self) -> dict[Tier, set[Mint]]:
        return {tier: set(self.tier(tier)) for tier in ("popular", "requested", "trending")}
