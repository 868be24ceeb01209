"""A dict with a limit."""

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedDict(dict[K, V]):
    """A dict of at most so many items: setting one more removes the one that was set longest ago.

    Only `d[key] = value` keeps the limit. It makes the key the newest, also one that was there.
    """

    __slots__ = ("max_items",)

    def __init__(self, max_items: int) -> None:
        super().__init__()
        self.max_items = max_items

    def __setitem__(self, key: K, value: V) -> None:
        self.pop(key, None)
        super().__setitem__(key, value)
        if len(self) > self.max_items:
            del self[next(iter(self))]
