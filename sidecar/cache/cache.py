"""The market caps in memory, by mint: bounded, with tracked tokens out of the reach of all others."""

from collections.abc import Iterator, Mapping
from math import inf, sqrt
from typing import Final

import msgspec
from cachetools import TTLCache

from sidecar.cache.expiring import Evicted, ExpiringCache
from sidecar.cache.pinned import Pinned
from sidecar.models import MarketCap, Mint
from sidecar.pricing.explain import QuoteExplanation
from sidecar.pricing.volatility import HOUR_SECONDS
from sidecar.runtime.clock import Clock

MOST_ASKED_FOR: Final = 1000
"""Mints without a price of which it is known that they are being looked up."""


class Entry(msgspec.Struct, eq=False, gc=False):
    """One market cap in memory."""

    cap: MarketCap
    received: float
    """Monotonic time of the answer behind the price: all ages are counted from it."""
    explanation: tuple[QuoteExplanation, ...]
    asked_again: float = 0.0
    """Monotonic time of the last refresh that a stale look-up caused."""
    body: bytes = b""
    """What `encode` returns, from `prepare` on: most tokens are refreshed more often than they are asked for."""
    fresh_squared: float = 0.0
    """The square of the uncertainty at age 0."""
    variance: float | None = None
    """By how much that grows each second; None where the uncertainty is unknown."""
    counts_until: float = 0.0
    """Monotonic time up to which look-ups may be counted here: see `service.tally`."""
    hits: int = 0
    ages: float = 0.0
    uncertainties: float = 0.0
    """The look-ups counted here, and the sums of what they were served with."""
    max_age: int = 0
    """Whole seconds that a client may keep it, while look-ups are counted here."""

    def __post_init__(self) -> None:
        self.asked_again = self.received
        cap = self.cap
        if cap.volatility is not None and cap.uncertainty is not None:
            self.fresh_squared, self.variance = cap.uncertainty**2, cap.volatility**2 / HOUR_SECONDS

    def encode(self) -> bytes:
        """Return the answer but for what changes with its age, and `cached`.

        That is up to `uncertainty`, or with it where that is unknown.
        """
        encoded = msgspec.json.encode(self.cap)
        return encoded[: encoded.rindex(b'"age_seconds"' if self.variance is None else b'"uncertainty"')]

    def prepare(self) -> bytes:
        """Return what `encode` does, and keep it in `body`."""
        self.body = self.body or self.encode()
        return self.body

    def uncertainty(self, age_seconds: float) -> float | None:
        """Return the standard error of the market cap at an age, as a ratio; None where it is unknown."""
        variance = self.variance
        return None if variance is None else sqrt(self.fresh_squared + variance * age_seconds)

    def certain_for(self, target: float) -> float:
        """Return the age from which the uncertainty is over a target, and half its square at least is growth.

        Growth is what a refresh takes away.
        """
        if not self.variance:
            return inf
        return max(target**2 - self.fresh_squared, self.fresh_squared) / self.variance


class _Unpriced(msgspec.Struct, frozen=True, gc=False):
    reason: str
    since: float
    explanation: tuple[QuoteExplanation, ...]


class MarketCapCache:
    """The market caps, and which mints are known to have none.

    What is older than `max_stale_seconds` is gone. Ages count from the time of the answer behind the price, so
    publishing a value again never extends its life.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        max_entries: int,
        max_pinned: int,
        max_stale_seconds: float,
        negative_seconds: float,
        evicted: Evicted,
    ) -> None:
        self.max_stale_seconds = max_stale_seconds
        self._clock = clock
        self._evicted = evicted
        self._others = ExpiringCache[Entry](max_entries - max_pinned, max_stale_seconds, clock, evicted)
        self._entries = Pinned[Entry](self._others)
        self._negative_seconds = negative_seconds
        self._unpriced: TTLCache[Mint, _Unpriced] = TTLCache(
            max_entries, max(max_stale_seconds, negative_seconds), timer=clock.monotonic
        )
        self._asked_for: dict[Mint, None] = {}
        """Mints without a price that were looked up since they were last asked about; bounded."""

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, mint: Mint) -> Entry | None:
        """Return the entry of a mint, fresh or stale; None when there is none or it is too old to serve."""
        entry = self._entries.get(mint)
        if entry is None or self._clock.monotonic() - entry.received <= self.max_stale_seconds:
            return entry
        self._entries.pop(mint)
        self._evicted("expired")
        return None

    @property
    def tracked(self) -> Mapping[Mint, Entry]:
        """The entries of the pinned mints, however old, as they are at any time."""
        return self._entries.pinned

    def tracked_entries(self) -> Iterator[Entry]:
        """Yield those of them that may still be served; the cache may change meanwhile."""
        oldest = self._clock.monotonic() - self.max_stale_seconds
        return (entry for entry in [*self._entries.pinned.values()] if entry.received >= oldest)

    def put(self, entry: Entry) -> None:
        """Hold a market cap; the mint is no longer one without a price."""
        self._unpriced.pop(entry.cap.mint, None)
        self._asked_for.pop(entry.cap.mint, None)
        self._entries.put(entry.cap.mint, entry)

    def delist(self, mint: Mint) -> None:
        """Drop the value of a token that left the popular list and is not tracked for another reason."""
        if self._entries.pop(mint) is not None:
            self._evicted("delisted")

    def put_unpriced(
        self,
        mint: Mint,
        reason: str,
        explanation: tuple[QuoteExplanation, ...] = (),
        *,
        since: float | None = None,
    ) -> None:
        """Note (since a monotonic time, or now) that no source prices a mint; a value it had is dropped.

        That is the answer for `negative_seconds`, and is remembered for longer.
        """
        if self._entries.pop(mint) is not None:
            self._evicted("not_priced")
        self._unpriced[mint] = _Unpriced(reason, self._clock.monotonic() if since is None else since, explanation)
        self._asked_for.pop(mint, None)

    def unpriced_reason(self, mint: Mint) -> str | None:
        """Return why a mint has no price, for `negative_seconds`."""
        known: _Unpriced | None = self._unpriced.get(mint)
        return None if known is None or self._unpriced_age(known) >= self._negative_seconds else known.reason

    def look_up_unpriced(self, mint: Mint) -> str | None:
        """Return what `unpriced_reason` does, and note that the mint is asked for."""
        if mint in self._unpriced and len(self._asked_for) < MOST_ASKED_FOR:
            self._asked_for[mint] = None
        return self.unpriced_reason(mint)

    def last_unpriced_reason(self, mint: Mint) -> str | None:
        """Return why a mint had no price when all sources last answered, for when they cannot be asked now."""
        known: _Unpriced | None = self._unpriced.get(mint)
        return None if known is None else known.reason

    def unpriced_since(self, mint: Mint) -> float:
        """Return the monotonic time when it became known that a mint has no price, now where that is not known."""
        known: _Unpriced | None = self._unpriced.get(mint)
        return self._clock.monotonic() if known is None else known.since

    def unpriced_to_ask_again(self, within_seconds: float) -> list[Mint]:
        """Return the mints without a price that are asked for, of which that is soon no answer any more."""
        aged = self._negative_seconds - within_seconds
        return [
            mint
            for mint in self._asked_for
            if (known := self._unpriced.get(mint)) is not None and self._unpriced_age(known) >= aged
        ]

    def _unpriced_age(self, known: "_Unpriced") -> float:
        return self._clock.monotonic() - known.since

    def unpriced_explanation(self, mint: Mint) -> tuple[QuoteExplanation, ...]:
        """Return what the sources last said of a mint without a price."""
        known: _Unpriced | None = self._unpriced.get(mint)
        return () if known is None else known.explanation

    def mints(self) -> list[Mint]:
        """Return the mints with a value in memory, tracked ones first; some may be too old to serve."""
        return list(self._entries)

    def peek(self, mint: Mint) -> Entry | None:
        """Return the entry of a mint, however old, without a trace."""
        return self._entries.pinned.get(mint) or self._others.peek(mint)

    def entries(self) -> Iterator[Entry]:
        """All entries that may still be served."""
        for mint in self._entries:
            if (entry := self.get(mint)) is not None:
                yield entry

    def pin(self, mints: frozenset[Mint]) -> None:
        """Keep exactly these mints out of the reach of eviction."""
        self._entries.pin(mints)
