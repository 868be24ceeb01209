"""A TTLCache that counts what it lets go of."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from cachetools import Cache, TTLCache

from sidecar.metrics.labels import EvictionReason
from sidecar.models import Mint
from sidecar.runtime.clock import Clock

V = TypeVar("V")

Evicted = Callable[[EvictionReason], None]


class ExpiringCache(TTLCache[Mint, V]):
    """A TTLCache by mint that says when it lets go of something, and why.

    The TTL frees memory: the owner judges for itself whether a value is still good.
    """

    def __init__(self, max_entries: int, ttl_seconds: float, clock: Clock, evicted: Evicted) -> None:
        super().__init__(max_entries, ttl_seconds, timer=clock.monotonic)
        self._evicted = evicted

    def __iter__(self) -> Iterator[Mint]:
        """Those past the TTL, too: in a hundredth of the time. What is removed meanwhile is still among them."""
        return iter(list(Cache.__iter__(self)))  # to ask how many there are, as list() does, removes some

    def peek(self, mint: Mint) -> V | None:
        """Return what is held for a mint, which is no use of it: its turn to be evicted stays."""
        if mint not in self:
            return None
        found: V = Cache.__getitem__(self, mint)
        return found

    def expire(self, time: float | None = None) -> list[tuple[Mint, V]]:
        """Remove and return what is past the TTL."""
        gone = super().expire(time)
        for _ in gone:
            self._evicted("expired")
        return gone

    def popitem(self) -> tuple[Mint, V]:
        """Remove and return what was used least recently."""
        self._evicted("capacity")
        return super().popitem()
