"""A bounded cache by mint, with tracked tokens out of the reach of all others."""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from cachetools import Cache, TTLCache

from sidecar.metrics.labels import EvictionReason
from sidecar.models import Mint
from sidecar.runtime.clock import Clock

V = TypeVar("V")

Evicted = Callable[[EvictionReason], None]


class _CountingCache(TTLCache[Mint, V]):
    """A TTLCache that says when it lets go of something, and why."""

    def __init__(self, maxsize: int, ttl: float, clock: Clock, evicted: Evicted) -> None:
        super().__init__(maxsize, ttl, timer=clock.monotonic)
        self._evicted = evicted

    def expire(self, time: float | None = None) -> list[tuple[Mint, V]]:
        gone = super().expire(time)
        for _ in gone:
            self._evicted("expired")
        return gone

    def popitem(self) -> tuple[Mint, V]:
        self._evicted("capacity")
        return super().popitem()


class PinnedCache(Generic[V]):
    """A TTLCache with places beside it for pinned mints, which nothing pushes out.

    `max_others` bounds the rest; the number of pinned mints is the tracker's cap. The TTL frees memory: the
    owner judges for itself whether a value is still good.
    """

    def __init__(self, *, max_others: int, ttl_seconds: float, clock: Clock, evicted: Evicted) -> None:
        self._pinned_mints: frozenset[Mint] = frozenset()
        self._pinned: dict[Mint, V] = {}
        self._others = _CountingCache[V](max_others, ttl_seconds, clock, evicted)

    def __len__(self) -> int:
        return len(self._pinned) + len(self._others)

    def __iter__(self) -> Iterator[Mint]:
        yield from list(self._pinned)
        yield from list(Cache.__iter__(self._others))  # those past the TTL too, in a hundredth of the time

    def get(self, mint: Mint) -> V | None:
        """Return what is held for a mint."""
        found = self._pinned.get(mint)
        return found if found is not None else self._others.get(mint)

    def peek(self, mint: Mint) -> V | None:
        """Return what is held for a mint, which is no use of it: its turn to be evicted stays."""
        found = self._pinned.get(mint)
        if found is not None or mint not in self._others:
            return found
        other: V = Cache.__getitem__(self._others, mint)
        return other

    @property
    def pinned(self) -> Mapping[Mint, V]:
        """What is held for the pinned mints, as it is at any time."""
        return self._pinned

    def put(self, mint: Mint, value: V) -> None:
        """Hold a value, in place of an older one."""
        if mint in self._pinned_mints:
            self._pinned[mint] = value
        else:
            self._others[mint] = value

    def pop(self, mint: Mint) -> V | None:
        """Let go of a mint."""
        found = self._pinned.pop(mint, None)
        return found if found is not None else self._others.pop(mint, None)

    def pin(self, mints: frozenset[Mint]) -> None:
        """Make exactly these mints the pinned ones, keeping every value."""
        arriving, leaving = mints - self._pinned_mints, self._pinned_mints - mints
        self._pinned_mints = mints
        for mint in leaving:
            if (value := self._pinned.pop(mint, None)) is not None:
                self._others[mint] = value
        for mint in arriving:
            if (value := self._others.pop(mint, None)) is not None:
                self._pinned[mint] = value
