"""Looking a token up in memory, and counting the look-up where that suffices."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from sidecar.cache.cache import Entry
from sidecar.metrics.labels import LookupResult
from sidecar.models import MarketCap, Mint
from sidecar.refresh.batches import Future
from sidecar.service.tally import Tally
from sidecar.service.wiring import Engine

Fetch = Callable[[Iterable[Mint]], Mapping[Mint, Future]]

REFRESH_BEHIND_SECONDS: Final = 10.0
"""How often look-ups of a stale token may cause a refresh of it."""


class LookupHit(msgspec.Struct, frozen=True, gc=False):
    """An entry and how it is served."""

    entry: Entry
    age_seconds: float
    uncertainty: float | None
    """The standard error of the market cap at this age, as a ratio; None where it is unknown."""
    stale: bool
    cached: bool

    @property
    def cap(self) -> MarketCap:
        """The market cap as it is served now."""
        uncertainty = None if self.uncertainty is None else round(self.uncertainty, 8)
        age = round(self.age_seconds, 3)
        return msgspec.structs.replace(
            self.entry.cap, uncertainty=uncertainty, age_seconds=age, stale=self.stale, cached=self.cached
        )


class MemoryLookups:
    """Look-ups of one engine's memory. `tracked_changed` hears when a request made a mint join the tracked set.

    `fetch` gets what is not in memory, `request` counts what is asked for: this engine's misses and tracker,
    or the fleet's.
    """

    def __init__(
        self,
        engine: Engine,
        tracked_changed: Callable[[], None],
        *,
        fetch: Fetch | None = None,
        request: Callable[[Mint, int], bool] | None = None,
    ) -> None:
        self._engine = engine
        self._fetch_upstream = fetch or engine.misses.ask
        self._request = request or engine.tracker.request
        self._clock = engine.clock
        self._cache = engine.cache
        self._tracked = engine.cache.tracked
        self._hot = engine.metrics.hot
        self.tally = Tally(
            engine.settings, hot=self._hot, tracker=engine.tracker, count_requests=self.count_request
        )
        self._fresh_seconds = engine.settings.cache.fresh_seconds
        self._deadline_seconds = engine.settings.api.deadline_seconds
        self._tracked_changed = tracked_changed

    def now(self) -> float:
        """Return the monotonic time that ages are counted to."""
        return self._clock.monotonic()

    def find(self, mint: str) -> LookupHit | None:
        """Look into memory alone, and count the look-up if that suffices. A stale token is refreshed behind."""
        now = self._clock.monotonic()
        return self.find_tracked(Mint(mint), now) or self._find_any(Mint(mint), now)

    def tracked(self, mints: Iterable[str], now: float) -> list[Entry | None]:
        """Return for each mint what `find_tracked` would find; `tally.count` is left to the caller."""
        is_open = self.tally.open
        entries = map(self._tracked.get, map(Mint, mints))
        return [one if one and (now < one.counts_until or is_open(one, now)) else None for one in entries]

    def find_tracked(self, mint: Mint, now: float) -> LookupHit | None:
        """Look up a tracked token that is fresh; None when `find` has to look closer."""
        entry = self.find_entry(mint, now)
        if entry is None:
            return None
        age = now - entry.received
        return LookupHit(entry, age, entry.uncertainty(age), stale=False, cached=True)

    def find_entry(self, mint: Mint, now: float) -> Entry | None:
        """Look up a tracked token as `find_tracked` does; its `body` is prepared."""
        entry = self._tracked.get(mint)
        if entry is None or (now >= entry.counts_until and not self.tally.open(entry, now)):
            return None
        self.tally.count((entry,), now)
        return entry

    def _find_any(self, mint: Mint, now: float) -> LookupHit | None:
        entry = self._cache.get(mint)
        return None if entry is None else self._found(entry, now)

    def _found(self, entry: Entry, now: float) -> LookupHit:
        age = now - entry.received
        stale = age > self._fresh_seconds
        found = self._served(entry, age, "stale" if stale else "hit", cached=True)
        if stale:
            self._refresh_behind(entry)
        return found

    def _served(self, entry: Entry, age: float, result: LookupResult, *, cached: bool) -> LookupHit:
        """Count a look-up that found a value."""
        self._hot.count(result)
        self._hot.served_age.observe(age)
        if (uncertainty := entry.uncertainty(age)) is not None:
            self._hot.served_uncertainty.observe(uncertainty)
        self.count_request(entry.cap.mint)
        return LookupHit(entry, age, uncertainty, age > self._fresh_seconds, cached=cached)

    def peek(self, mint: Mint) -> LookupHit | None:
        """Look into memory without counting anything."""
        entry = self._cache.get(mint)
        return None if entry is None else self.as_of_now(entry)

    def as_of_now(self, entry: Entry) -> LookupHit:
        """Return how an entry out of memory is served at this moment."""
        age = self._clock.monotonic() - entry.received
        return LookupHit(entry, age, entry.uncertainty(age), age > self._fresh_seconds, cached=True)

    def count_request(self, mint: Mint, times: int = 1) -> None:
        """Note that the application wants a mint."""
        if self._request(mint, times):
            self._tracked_changed()

    def _refresh_behind(self, entry: Entry) -> None:
        """Refresh a stale token that no loop refreshes, now and then, without waiting for it."""
        now, mint = self._clock.monotonic(), entry.cap.mint
        if mint in self._engine.tracker.mints or now - entry.asked_again < REFRESH_BEHIND_SECONDS:
            return
        entry.asked_again = now
        self._fetch_upstream([mint])
