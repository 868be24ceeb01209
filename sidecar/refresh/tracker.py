"""Which mints are wanted, and which of them are kept warm (design: how it refreshes, 1)."""

from collections.abc import Iterable, Iterator, Sequence
from heapq import nsmallest
from typing import Final, get_args

from cachetools import Cache, LRUCache

from sidecar.metrics.labels import Tier
from sidecar.models import Mint
from sidecar.refresh.demand import Demand, Place, Wanted, slice_of
from sidecar.refresh.least_requested import LeastRequested
from sidecar.runtime.clock import Clock

CANDIDATES_PER_PLACE: Final = 20
FEWEST_CANDIDATES: Final = 1000


class Tracker:
    """Popular mints stay; requested ones join after `min_requests` within the window; trending fill free places.

    Together at most `max_tokens`, at every insertion. Trending leave first, from the end of their list, then
    the least requested. Mints that are not tracked yet are counted in a bounded LRU of recent requests.
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
        self._clock = clock
        self._max_tokens = max_tokens
        self._min_requests = min_requests
        self._trending_tokens = trending_tokens
        self._window_seconds = window_seconds
        self._own: tuple[Mint, ...] = ()
        self._elsewhere: tuple[Mint, ...] = ()
        self._popular: dict[Mint, Demand] = {}
        self._requested: dict[Mint, Demand] = {}
        self._trending: dict[Mint, Demand] = {}
        candidates = max(FEWEST_CANDIDATES, CANDIDATES_PER_PLACE * max_tokens)
        self._candidates: LRUCache[Mint, Demand] = LRUCache(candidates)
        self._mints: frozenset[Mint] | None = None
        self._least = LeastRequested(self._requested, max_tokens=max_tokens, window_seconds=window_seconds)
        self.set_popular(popular)

    @property
    def mints(self) -> frozenset[Mint]:
        """All tracked mints."""
        if self._mints is None:
            self._mints = frozenset((*self._popular, *self._requested, *self._trending))
        return self._mints

    @property
    def popular(self) -> tuple[Mint, ...]:
        """The popular mints, in the order of their list."""
        return self._own

    @property
    def always(self) -> tuple[Mint, ...]:
        """The mints that never leave: the popular ones, then those that `keep` was told of."""
        return tuple(self._popular)

    @property
    def max_wanted(self) -> int:
        """How many mints are counted at most."""
        return self._max_tokens + int(self._candidates.maxsize)

    def size(self, tier: Tier) -> int:
        """How many mints a tier holds."""
        return len(self.tier(tier))

    def tier(self, tier: Tier) -> tuple[Mint, ...]:
        """Return the mints of one tier."""
        kept = self.always[len(self._own) :]
        tiers = {"popular": self._own, "requested": (*kept, *self._requested), "trending": tuple(self._trending)}
        return tiers[tier]

    def is_popular(self, mint: Mint) -> bool:
        """Return whether a mint is on the popular list."""
        return mint in self._popular

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
        self._requested[mint] = self._trending.pop(mint)
        self._least.add(mint, trending.total(now))
        return True

    def drop(self, mint: Mint) -> bool:
        """Let go of a mint that turned out to have no price. Return whether it was tracked; popular ones stay."""
        self._candidates.pop(mint, None)
        dropped = self._requested.pop(mint, None) or self._trending.pop(mint, None)
        if dropped is not None:
            self._mints = None
        return dropped is not None

    def set_popular(self, popular: Iterable[Mint]) -> None:
        """Take a new popular list, at most `max_tokens` long. One that left it stays only while it is wanted."""
        self._own = tuple(dict.fromkeys(popular))[: self._max_tokens]
        self._set_always()

    def keep(self, elsewhere: Iterable[Mint]) -> bool:
        """Keep what is popular elsewhere too, as far as there is room. Returns whether that changed anything."""
        before, self._elsewhere = self.always, tuple(elsewhere)
        self._set_always()
        return self.always != before

    def _set_always(self) -> None:
        wanted = list(dict.fromkeys((*self._own, *self._elsewhere)))[: self._max_tokens]
        known = {**self._trending, **self._requested, **self._popular}
        now = self._clock.monotonic()
        self._requested |= {mint: demand for mint, demand in self._popular.items() if demand.is_wanted(now)}
        self._popular = {mint: known.get(mint) or self._new_demand() for mint in wanted}
        for tier in (self._requested, self._trending):
            for mint in wanted:
                tier.pop(mint, None)
        self._enforce_cap()

    def set_trending(self, trending: Sequence[Mint]) -> None:
        """Take a new trending list, best first: the first of it that find a free place are kept."""
        old = self._trending
        free = self._max_tokens - len(self._popular) - len(self._requested)
        places = max(0, min(self._trending_tokens, free))
        new = [m for m in dict.fromkeys(trending) if m not in self._popular and m not in self._requested]
        self._trending = {mint: old.get(mint) or self._new_demand() for mint in new[:places]}
        self._enforce_cap()

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

    def requests(self, mint: Mint) -> int:
        """Return how often a tracked mint was asked for within the window, 0 for others."""
        demand = self._demand(mint) if mint in self.mints else None
        return 0 if demand is None else demand.total(self._clock.monotonic())

    def was_requested(self, mint: Mint, within_seconds: float) -> bool:
        """Return whether a tracked mint was asked for within the last seconds."""
        demand = self._demand(mint) if mint in self.mints else None
        return bool(demand and demand.recent and self._clock.monotonic() - demand.recent[-1] <= within_seconds)

    def by_demand(self) -> list[Mint]:
        """All tracked mints, the most requested first."""
        return sorted(self.mints, key=lambda mint: (-self.requests(mint), mint))

    def _new_demand(self) -> Demand:
        return Demand(
            window_seconds=self._window_seconds,
            min_requests=self._min_requests,
            now_slice=slice_of(self._clock.monotonic(), self._window_seconds),
        )

    def _restored(self, wanted: Wanted, now: float) -> Demand:
        demand = self._new_demand()
        demand.restore(wanted.requests, now)
        return demand

    def _demand(self, mint: Mint) -> Demand | None:
        """Return a mint's demand wherever it stands; that is no use of a candidate's place."""
        tracked = self._popular.get(mint) or self._requested.get(mint) or self._trending.get(mint)
        if tracked is not None or mint not in self._candidates:
            return tracked
        candidate: Demand = Cache.__getitem__(self._candidates, mint)
        return candidate

    def _request_candidate(self, mint: Mint, now: float, times: int) -> bool:
        """Count requests for an untracked mint; the `min_requests`-th within the window makes it join."""
        candidate: Demand | None = self._candidates.get(mint)
        if candidate is None:
            candidate = self._candidates[mint] = self._new_demand()
        candidate.add(now, times)
        if not candidate.is_wanted(now) or not self._make_room(candidate, now):
            return False
        self._requested[mint] = candidate
        self._least.add(mint, candidate.total(now))
        self._mints = None
        del self._candidates[mint]
        return True

    def _make_room(self, candidate: Demand, now: float) -> bool:
        """Let a place go to a mint that is wanted more than the one that would leave for it."""
        if self._tracked_count() < self._max_tokens:
            return True
        if self._trending:
            self._trending.popitem()
            return True
        least = self._least.look(now)
        if least is None or least.requests >= candidate.total(now):
            return False
        del self._requested[least.mint]
        return True

    def _enforce_cap(self) -> None:
        """Let trending leave from the end of their list, then the least requested."""
        excess = self._tracked_count() - self._max_tokens
        for mint in list(self._trending)[::-1][: max(0, excess)]:
            del self._trending[mint]
        now = self._clock.monotonic()
        demands = self._requested
        excess = max(0, self._tracked_count() - self._max_tokens)
        for mint in nsmallest(excess, demands, key=lambda mint: demands[mint].total(now)):
            del demands[mint]
        self._mints = None
        self._least.forget()

    def _tracked_count(self) -> int:
        return len(self._popular) + len(self._requested) + len(self._trending)
