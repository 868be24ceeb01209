"""Looking a token up: in memory, else from the upstreams within the deadline. Every look-up is counted here."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from sidecar.cache.cache import Entry
from sidecar.errors import (
    DeadlineExceededError,
    InvalidMintError,
    McSidecarError,
    NotPricedError,
    OverloadedError,
    UpstreamUnavailableError,
)
from sidecar.metrics.labels import LookupResult
from sidecar.models import MarketCap, Mint, parse_mint
from sidecar.refresh.batches import Future
from sidecar.runtime.aio import wait_within, yielding
from sidecar.service.tally import Tally
from sidecar.service.wiring import Engine

Fetch = Callable[[Iterable[Mint]], Mapping[Mint, Future]]

ASK_AGAIN_SECONDS: Final = 10.0
"""How often look-ups of a stale token may cause a refresh of it."""
MINTS_A_TURN: Final = 50
"""How many mints of a batch are dealt with between two turns of the event loop."""


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


class Lookups:
    """All look-ups of one engine. `tracked_changed` hears when a request made a mint join the tracked set.

    `fetch` gets what is not in memory, `request` counts what is asked for: the misses' and the tracker's,
    or a road with more on it.
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
        entry = self._tracked.get(mint)
        if entry is None or (now >= entry.counts_until and not self.tally.open(entry, now)):
            return None
        age = now - entry.received
        entry.hits += 1
        entry.ages += age
        uncertainty = entry.uncertainty(age)
        if uncertainty is not None:
            entry.uncertainties += uncertainty
        return LookupHit(entry, age, uncertainty, False, True)  # noqa: FBT003 - by position it costs half

    def _find_any(self, mint: Mint, now: float) -> LookupHit | None:
        entry = self._cache.get(mint)
        if entry is None:
            return None
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

    async def find_uncounted(
        self, mints: Iterable[Mint]
    ) -> tuple[dict[Mint, LookupHit], dict[str, McSidecarError]]:
        """Return tokens and errors as `find_many` does, counting neither look-ups nor requests."""
        missing: list[Mint] = []
        errors: dict[str, McSidecarError] = {}
        async for mint in yielding(mints, MINTS_A_TURN):
            if self.peek(mint) is not None:
                continue
            if (reason := self._cache.unpriced_reason(mint)) is not None:
                errors[mint] = NotPricedError(reason)
            else:
                missing.append(mint)
        fetched = await self._ask(missing)
        found = {mint: one for mint in mints if (one := self.peek(mint)) is not None}
        errors |= {mint: one for mint, one in fetched.items() if mint not in found}
        return found, errors

    async def fetch(self, mint: str) -> LookupHit:
        """Get a token that is not in memory from the upstreams. Raises as `get` does."""
        found, errors = await self._fetch_many([mint])
        if mint in errors:
            raise errors[mint]
        return found[mint]

    async def find_many(self, mints: Iterable[str]) -> tuple[dict[str, LookupHit], dict[str, McSidecarError]]:
        """Look up several tokens, each once."""
        found: dict[str, LookupHit] = {}
        missing: list[str] = []
        async for mint in yielding(dict.fromkeys(mints), MINTS_A_TURN):
            if (one := self.find(mint)) is not None:
                found[mint] = one
            else:
                missing.append(mint)
        if not missing:
            return found, {}
        fetched, errors = await self._fetch_many(missing)
        return found | fetched, errors

    async def _fetch_many(self, mints: Iterable[str]) -> tuple[dict[str, LookupHit], dict[str, McSidecarError]]:
        errors: dict[str, McSidecarError] = {}
        unknown: list[Mint] = []
        async for text in yielding(mints, MINTS_A_TURN):
            try:
                mint = self._unpriced_checked(text)
            except (InvalidMintError, NotPricedError) as error:
                errors[text] = error
            else:
                unknown.append(mint)
        started = self._clock.monotonic()
        asked = await self._ask(unknown)
        waited = self._clock.monotonic() - started
        found: dict[str, LookupHit] = {}
        async for mint, failed in yielding(asked.items(), MINTS_A_TURN):
            self._hot.lookup_wait.observe(waited)
            if (one := self._found_after_waiting(mint)) is not None:
                found[mint] = one
            else:
                errors[mint] = failed
        async for failure in yielding(errors.values(), MINTS_A_TURN):
            self._count_failure(failure)
        return found, errors

    async def _ask(self, mints: Iterable[Mint]) -> dict[Mint, McSidecarError]:
        """Ask the upstreams, within the deadline; return what to say of each mint if it is not in memory then."""
        futures = self._fetch_upstream(mints)
        await wait_within(futures.values(), self._deadline_seconds, self._clock)
        no_room = UpstreamUnavailableError("no room in memory", retry_after=1)
        return {
            mint: (future.result() or no_room) if future.done() else _too_late()
            for mint, future in futures.items()
        }

    def _count_failure(self, failure: McSidecarError) -> None:
        """Count a look-up without an answer; it is no demand, or invented mints would push out real ones."""
        self._hot.count(_result_of(failure))

    def _unpriced_checked(self, text: str) -> Mint:
        mint = parse_mint(text)
        reason = self._cache.unpriced_reason(mint)
        if reason is not None:
            raise NotPricedError(reason)
        return mint

    def _found_after_waiting(self, mint: Mint) -> LookupHit | None:
        if (entry := self._cache.get(mint)) is None:
            return None
        return self._served(entry, self._clock.monotonic() - entry.received, "miss", cached=False)

    def count_request(self, mint: Mint, times: int = 1) -> None:
        """Note that the application wants a mint."""
        if self._request(mint, times):
            self._tracked_changed()

    def _refresh_behind(self, entry: Entry) -> None:
        """Refresh a stale token that no loop refreshes, now and then, without waiting for it."""
        now, mint = self._clock.monotonic(), entry.cap.mint
        if mint in self._engine.tracker.mints or now - entry.asked_again < ASK_AGAIN_SECONDS:
            return
        entry.asked_again = now
        self._fetch_upstream([mint])


def _too_late() -> McSidecarError:
    return DeadlineExceededError("no upstream answered within api.deadline_seconds", retry_after=1)


def _result_of(error: McSidecarError) -> LookupResult:
    """Return the `result` label of a look-up that ended in this error."""
    if isinstance(error, InvalidMintError):
        return "invalid"
    if isinstance(error, NotPricedError):
        return "not_priced"
    return "rejected" if isinstance(error, OverloadedError) else "error"
