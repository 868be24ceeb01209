"""Which mints have changed since a stream's last event."""

from collections import OrderedDict
from collections.abc import Iterator

from sidecar.models import Mint


class ChangeLog:
    """Numbers the changes, and keeps the number of each mint's last one: from when `keep` has been called."""

    def __init__(self) -> None:
        self.number = 0
        """That of the newest change."""
        self.forgotten = 0
        """Up to this number changes may be missing."""
        self._is_kept = False
        self._changed: OrderedDict[Mint, int] = OrderedDict()
        """The oldest first."""

    def next_number(self) -> int:
        """Return the number of a change that is not kept."""
        self.number += 1
        return self.number

    def keep(self) -> None:
        """Keep what is noted from now on."""
        self._is_kept = True

    def note(self, mint: Mint, max_mints: int) -> int:
        """Return the number of a mint's change; the oldest is forgotten where there are more than `max_mints`."""
        number = self.next_number()
        if not self._is_kept:
            self.forgotten = number
            return number
        self._changed[mint] = number
        self._changed.move_to_end(mint)
        if len(self._changed) > max_mints:
            _, self.forgotten = self._changed.popitem(last=False)
        return number

    def since(self, number: int) -> Iterator[tuple[Mint, int]]:
        """Yield the mints that have changed after a number, each with that of its last change."""
        return ((mint, last) for mint, last in self._changed.items() if last > number)
