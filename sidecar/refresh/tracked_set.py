"""The mints that are kept warm, in three tiers, together never more than a bound (docs/rules.md: R1)."""

from collections.abc import Iterable, Sequence
from heapq import nsmallest

from sidecar.metrics.labels import Tier
from sidecar.models import Mint
from sidecar.refresh.demand import Demand, slice_of
from sidecar.refresh.least_requested import LeastRequested
from sidecar.runtime.clock import Clock


class TrackedSet:
    """Popular mints stay, requested ones stay while they are wanted most, trending ones fill free places.

    Together at most `max_tokens`, at every insertion. Trending leave first, from the end of their list, then
    the least requested.
    """

    def __init__(
        self, *, max_tokens: int, min_requests: int, trending_tokens: int, window_seconds: float, clock: Clock
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
        self._mints: frozenset[Mint] | None = None
        self._least = LeastRequested(self._requested, max_tokens=max_tokens, window_seconds=window_seconds)

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

    def size(self, tier: Tier) -> int:
        """How many mints a tier holds."""
        return len(self.tier(tier))

    def tier(self, tier: Tier) -> tuple[Mint, ...]:
        """Return the mints of one tier."""
        kept = self.always[len(self._own) :]
        tiers = {"popular": self._own, "requested": (*kept, *self._requested), "trending": tuple(self._trending)}
        return tiers[tier]

    def is_always(self, mint: Mint) -> bool:
        """Return whether a mint never leaves: it is popular here or elsewhere in the fleet."""
        return mint in self._popular

    def set_popular(self, popular: Iterable[Mint]) -> None:
        """Take a new popular list, at most `max_tokens` long. One that left it stays only while it is wanted."""
        self._own = tuple(dict.fromkeys(popular))[: self._max_tokens]
        self._set_always()

    def keep(self, elsewhere: Iterable[Mint]) -> bool:
        """Keep what is popular elsewhere too, as far as there is room. Returns whether that changed anything."""
        before, self._elsewhere = self.always, tuple(elsewhere)
        self._set_always()
        return self.always != before

    def set_trending(self, trending: Sequence[Mint]) -> None:
        """Take a new trending list, best first: the first of it that find a free place are kept."""
        old = self._trending
        free = self._max_tokens - len(self._popular) - len(self._requested)
        places = max(0, min(self._trending_tokens, free))
        new = [m for m in dict.fromkeys(trending) if m not in self._popular and m not in self._requested]
        self._trending = {mint: old.get(mint) or self._new_demand() for mint in new[:places]}
        self._enforce_cap()

    def drop(self, mint: Mint) -> bool:
        """Let go of a mint that turned out to have no price. Return whether it was tracked; popular ones stay."""
        dropped = self._requested.pop(mint, None) or self._trending.pop(mint, None)
        if dropped is not None:
            self._mints = None
        return dropped is not None

    def _tracked_demand(self, mint: Mint) -> Demand | None:
        return self._popular.get(mint) or self._requested.get(mint) or self._trending.get(mint)

    def _new_demand(self) -> Demand:
        return Demand(
            window_seconds=self._window_seconds,
            min_requests=self._min_requests,
            now_slice=slice_of(self._clock.monotonic(), self._window_seconds),
        )

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

    def _join(self, mint: Mint, demand: Demand, now: float) -> bool:
        """Track a requested mint, if it is wanted more than the one that would leave for it."""
        if not self._make_room(demand, now):
            return False
        self._requested[mint] = demand
        self._least.add(mint, demand.total(now))
        self._mints = None
        return True

    def _make_room(self, candidate: Demand, now: float) -> bool:
        if self._tracked_count() < self._max_tokens:
            return True
        if self._trending:
            self._trending.popitem()
            return True
        least = self._least.look(now)
        if least is None:
            return False
        requests, mint = least
        if requests >= candidate.total(now):
            return False
        del self._requested[mint]
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
