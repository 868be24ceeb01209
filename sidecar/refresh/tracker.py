"""How much each mint is wanted, which decides what is tracked (docs/rules.md: R1)."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, get_args

from sidecar.metrics.labels import Tier
from sidecar.models import Mint
from sidecar.refresh.demand import Demand, Place, Wanted
from sidecar.refresh.tracked_set import TrackedSet
from sidecar.runtime.bounded import BoundedDict
from sidecar.runtime.clock import Clock

CANDIDATES_PER_PLACE: Final = 20
FEWEST_CANDIDATES: Final = 1000


class Tracker(TrackedSet):
    """Counts requests: a mint joins the tracked ones after `min_requests` within the window.

    Mints that are not tracked yet, the candidates, are counted too: those that were asked for last, up to a limit.
    """

    def __init__(
        self,
        popular: Iterable[Mint],
        *,
        max_tokens: int,
        min_requests: int,
        trending_tokens: int,
        window_seconds: float,
        clock: Clock,
    ) -> None:
        super().__init__(
            max_tokens=max_tokens,
            min_requests=min_requests,
            trending_tokens=trending_tokens,
            window_seconds=window_seconds,
            clock=clock,
        )
        candidates = max(FEWEST_CANDIDATES, CANDIDATES_PER_PLACE * max_tokens)
        self._candidates = BoundedDict[Mint, Demand](candidates)
        self.set_popular(popular)

    @property
    def max_wanted(self) -> int:
        """How many mints are counted at most."""
        return self._max_tokens + self._candidates.max_items

    def is_unmoved_by_requests(self, mint: Mint) -> bool:
        """Return whether one more request cannot change why a mint is tracked."""
        return mint in self._popular or mint in self._requested

    def request(self, mint: Mint, times: int = 1) -> bool:
        """Count requests for a mint. True when the tracked set changed because of them."""
        now = self._clock.monotonic()
        demand = self._popular.get(mint) or self._requested.get(mint)
        if demand is not None:
            demand.add(now, times)
            return False
        trending = self._trending.get(mint)
        if trending is None:
            return self._request_candidate(mint, now, times)
        trending.add(now, times)
        if not trending.is_wanted(now):
            return False
        return self._join(mint, self._trending.pop(mint), now)

    def drop(self, mint: Mint) -> bool:
        """Let go of a mint that turned out to have no price. Return whether it was tracked; popular ones stay."""
        self._candidates.pop(mint, None)
        return super().drop(mint)

    def requests(self, mint: Mint) -> int:
        """Return how often a tracked mint was asked for within the window, 0 for others."""
        demand = self._tracked_demand(mint)
        return 0 if demand is None else demand.total(self._clock.monotonic())

    def was_requested(self, mint: Mint, within_seconds: float) -> bool:
        """Return whether a tracked mint was asked for within the last seconds."""
        demand = self._tracked_demand(mint)
        return bool(demand and demand.recent and self._clock.monotonic() - demand.recent[-1] <= within_seconds)

    def by_demand(self) -> list[Mint]:
        """All tracked mints, the most requested first."""
        return sorted(self.mints, key=lambda mint: (-self.requests(mint), mint))

    def wanted(self) -> Iterator[Wanted]:
        """Yield every mint with its requests. The set may change meanwhile: what leaves it is left out."""
        listed: list[tuple[Place, list[Mint]]] = [(tier, list(self.tier(tier))) for tier in get_args(Tier)]
        for place, mints in [*listed, ("candidate", list(self._candidates))]:
            for mint in mints:
                if (demand := self._demand(mint)) is not None:
                    yield Wanted(mint, place, demand.by_age(self._clock.monotonic()))

    def restore(self, wanted: Sequence[Wanted]) -> None:
        """Take back what `wanted` gave, with its seconds counted from now, as far as there are free places.

        What was requested stays tracked; another that is wanted enough by now becomes it.
        """
        now = self._clock.monotonic()
        demands = {one.mint: self._restored(one, now) for one in wanted}
        for mint, place, _ in wanted:
            if mint in self._popular:
                self._popular[mint] = demands[mint]
            elif place == "requested" or demands[mint].is_wanted(now):
                self._requested[mint] = demands[mint]
            elif place == "candidate":
                self._candidates[mint] = demands[mint]
        self._enforce_cap()
        self.set_trending([mint for mint, place, _ in wanted if place == "trending"])
        self._trending = {mint: demands[mint] for mint in self._trending}

    def _restored(self, wanted: Wanted, now: float) -> Demand:
        demand = self._new_demand()
        demand.restore(wanted.requests, now)
        return demand

    def _demand(self, mint: Mint) -> Demand | None:
        """Return a mint's demand wherever it stands."""
        return self._tracked_demand(mint) or self._candidates.get(mint)

    def _request_candidate(self, mint: Mint, now: float, times: int) -> bool:
        """Count requests for an untracked mint; the `min_requests`-th within the window makes it join."""
        candidate = self._candidates[mint] = self._candidates.get(mint) or self._new_demand()
        candidate.add(now, times)
        if not candidate.is_wanted(now) or not self._join(mint, candidate, now):
            return False
        del self._candidates[mint]
        return True
