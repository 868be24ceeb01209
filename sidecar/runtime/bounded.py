"""A dict with a limit."""

from itertools import islice
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_LOOKED_UP: Final = 64
"""The oldest keys are looked up so many at a time: a dict passes over all that were removed before them."""


class BoundedDict(dict[K, V]):
    """A dict of at most so many items: setting one more removes the one that was set longest ago.

    Only `d[key] = value` keeps the limit. It makes the key the newest, also one that was there.
    """

    __slots__ = ("_oldest", "max_items")

    def __init__(self, max_items: int) -> None:
        super().__init__()
        self.max_items = max_items
        self._oldest: dict[K, None] = {}
        """The next to be removed, the oldest last; some may have gone."""

    def __setitem__(self, key: K, value: V) -> None:
        self.pop(key, None)
        self._oldest.pop(key, None)
        super().__setitem__(key, value)
        while len(self) > self.max_items:
            if not self._oldest:
                self._oldest = dict.fromkeys(reversed([*islice(self, _LOOKED_UP)]))
            self.pop(self._oldest.popitem()[0], None)
