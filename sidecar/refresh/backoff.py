"""What each source is known to lack or to price (docs/rules.md: R3, F10)."""

from collections.abc import Iterable
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from sidecar.models import Mint
from sidecar.runtime.bounded import BoundedDict
from sidecar.runtime.clock import Clock

LONGEST_BACKOFF_SECONDS: Final = 3600.0
PRICED_SECONDS: Final = 3600.0
"""How long a source is expected to price what it has priced."""

Shortfall = Literal["omitted", "refused", "thin"]


class _Entry(msgspec.Struct, frozen=True, gc=False):
    until: float
    times: int
    shortfall: Shortfall


class OmissionBackoff:
    """Doubling pauses per source and mint, from `negative_seconds` to an hour, and what each source priced last.

    While a pause lasts, a source need not be asked for the mint alone. Both memories are bounded, and there from
    the start: the garbage collector never walks through what was there when it was frozen.
    """

    def __init__(self, sources: Iterable[str], *, first_seconds: float, max_entries: int, clock: Clock) -> None:
        names = list(sources)
        self._first_seconds = first_seconds
        self._clock = clock
        self._entries = {name: BoundedDict[Mint, _Entry](max_entries) for name in names}
        self._priced = {name: BoundedDict[Mint, float](max_entries) for name in names}

    def note(self, source: str, mint: Mint, shortfall: Shortfall | None, at: float | None = None) -> None:
        """Note an answer: None ends the back-off, a shortfall starts it or, once it has run out, doubles it.

        `at`: the monotonic time, now if not given; one number for all mints of an answer takes less room.
        """
        now = self._clock.monotonic() if at is None else at
        if shortfall != "omitted":
            self._priced[source][mint] = now
        else:
            self._priced[source].pop(mint, None)
        entries = self._entries[source]
        if shortfall is None:
            entries.pop(mint, None)
            return
        known = entries.get(mint)
        if known is None or now >= known.until:
            times = 0 if known is None else known.times + 1
            pause = min(LONGEST_BACKOFF_SECONDS, self._first_seconds * 2 ** min(times, 32))
            known = _Entry(now + pause, times, shortfall)
        entries[mint] = known if known.shortfall == shortfall else replace(known, shortfall=shortfall)

    def shortfall(self, source: str, mint: Mint) -> Shortfall | None:
        """Return what the source last fell short by while it is not to be asked for the mint alone."""
        entries = self._entries[source]
        known = entries.get(mint)
        if known is None or self._clock.monotonic() >= known.until:
            return None
        entries[mint] = known  # what is asked about is pushed out last
        return known.shortfall

    def priced(self, source: str, mints: Iterable[Mint]) -> list[Mint]:
        """Return the mints that the source gave a price for when it was last asked for them, within the hour."""
        priced = self._priced[source]
        since = self._clock.monotonic() - PRICED_SECONDS
        return [mint for mint in mints if priced.get(mint, since) > since]
