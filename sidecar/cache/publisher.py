"""The one place where a refreshed market cap becomes public."""

from collections.abc import Callable
from typing import Protocol

from sidecar.cache.cache import Entry, MarketCapCache
from sidecar.models import MarketCap, Mint
from sidecar.pricing.explain import QuoteExplanation


class Listener(Protocol):
    """Hears of every change; it must not block."""

    def __call__(self, mint: Mint, cap: MarketCap | None) -> None:
        """Take note of a new market cap, or with None that a mint has none any more."""


class Publisher:
    """Puts values into the cache and tells the listeners, which join at start, before the first refresh."""

    def __init__(self, cache: MarketCapCache) -> None:
        self._cache = cache
        self._listeners: list[Listener] = []
        self._set_listeners: list[Callable[[], None]] = []

    def listen(self, listener: Listener) -> None:
        """Tell this listener of every change from now on."""
        self._listeners.append(listener)

    def listen_to_sets(self, listener: Callable[[], None]) -> None:
        """Tell this listener from now on when tokens have joined or left the tracked set."""
        self._set_listeners.append(listener)

    def publish(self, entry: Entry) -> None:
        """Make a market cap public."""
        self._cache.put(entry)
        self._tell(entry.cap.mint, entry.cap)

    def publish_unpriced(
        self,
        mint: Mint,
        reason: str,
        explanation: tuple[QuoteExplanation, ...] = (),
        *,
        since: float | None = None,
    ) -> None:
        """Make public that no source prices a mint, as is known since a monotonic time, or now."""
        self._cache.put_unpriced(mint, reason, explanation, since=since)
        self._tell(mint, None)

    def sets_changed(self) -> None:
        """Make public that the tracked set is another one."""
        for listener in self._set_listeners:
            listener()

    def _tell(self, mint: Mint, cap: MarketCap | None) -> None:
        for listener in self._listeners:
            listener(mint, cap)
