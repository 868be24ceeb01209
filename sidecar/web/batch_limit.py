"""A bound on the batches that are under way: what they hold together, memory and work, stays small."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sidecar.errors import OverloadedError

MOST_MINTS_UNDER_WAY: Final = 32_000
"""A thousand unknown mints take about a megabyte until they are answered."""


class BatchLimit:
    """Counts the mints of all batches under way."""

    def __init__(self) -> None:
        self.mints = 0

    @contextmanager
    def hold(self, mints: int) -> Iterator[None]:
        """Count so many mints while the context lasts. Raises OverloadedError when that would be too many."""
        if self.mints + mints > MOST_MINTS_UNDER_WAY:
            raise OverloadedError("too many batches are under way", retry_after=1)
        self.mints += mints
        try:
            yield
        finally:
            self.mints -= mints
