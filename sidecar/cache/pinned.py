"""A bounded mapping by mint, with tracked tokens out of the reach of all others."""

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Generic, TypeVar

from sidecar.models import Mint

V = TypeVar("V")


class Pinned(Generic[V]):
    """A bounded mapping with places beside it for pinned mints, which nothing pushes out.

    `others` holds the rest and bounds it; the number of pinned mints is the tracker's cap.
    """

    def __init__(self, others: MutableMapping[Mint, V]) -> None:
        self._pinned_mints: frozenset[Mint] = frozenset()
        self._pinned: dict[Mint, V] = {}
        self._others = others

    def __len__(self) -> int:
        return len(self._pinned) + len(self._others)

    def __iter__(self) -> Iterator[Mint]:
        yield from list(self._pinned)
        yield from list(self._others)

    def get(self, mint: Mint) -> V | None:
        """Return what is held for a mint."""
        found = self._pinned.get(mint)
        return found if found is not None else self._others.get(mint)

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
