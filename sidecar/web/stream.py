"""One client that follows tokens: what it is still to be told, the newest of each token and nothing older."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Final

from sidecar.models import Mint
from sidecar.runtime.clock import Clock
from sidecar.web.event_stream import KEEP_ALIVE

AGE_PRECISION_SECONDS: Final = 0.25
"""How much older than it says a token may be when it is sent."""
_NUMBER: Final = re.compile("[0-9]{1,18}", re.ASCII)


class Change:
    """One event, written out once for all streams that send it."""

    __slots__ = ("_name", "_text", "_write", "_written", "number")

    def __init__(self, number: int, name: str, write: Callable[[], bytes]) -> None:
        """`write` returns its data as of now: a token's age grows."""
        self.number = number
        self._name = name.encode()
        self._write = write
        self._text = b""
        self._written = float("-inf")

    def text(self, prefix: bytes, now: float) -> bytes:
        """Return it as it goes over the wire to the stream with ids that begin so; `now` is monotonic."""
        if now - self._written > AGE_PRECISION_SECONDS:
            self._text = b"%d\nevent: %b\ndata: %b\n\n" % (self.number, self._name, self._write())
            self._written = now
        return b"id: " + prefix + self._text


class Stream:
    """What one client hears of: `mints`, which are those of the set `name` if it follows one."""

    def __init__(self, mints: frozenset[Mint], name: str | None, prefix: bytes, clock: Clock) -> None:
        self.mints = mints
        self.name = name
        self.prefix = prefix
        """What its ids begin with: they are good for this process and these mints only."""
        self.counted = clock.monotonic()
        """When its mints last counted as requested."""
        self._clock = clock
        self._values: dict[Mint, Change] = {}
        self._members: dict[Mint, Change] = {}
        self._wake = asyncio.Event()
        self._ended = False

    def number_of(self, event_id: str) -> int | None:
        """Return the number of one of its events; None for an id that is not of this process and these mints."""
        prefix = self.prefix.decode()
        number = event_id.removeprefix(prefix)
        return int(number) if event_id.startswith(prefix) and _NUMBER.fullmatch(number) else None

    def tell(self, mint: Mint, change: Change) -> None:
        """Tell it of a value, in place of an older one that it has not taken yet."""
        self._values[mint] = change

    def tell_member(self, mint: Mint, change: Change, *, joined: bool) -> None:
        """Tell it that a mint has joined or left its set."""
        self._members[mint] = change
        if not joined:
            self._values.pop(mint, None)

    def forget(self) -> None:
        """Tell it nothing of all that it has not taken yet: a snapshot says it."""
        self._values.clear()
        self._members.clear()

    @property
    def is_behind(self) -> bool:
        """Whether there is something that it has not taken yet."""
        return bool(self._values or self._members)

    def wake(self) -> None:
        """Let it take what there is, a comment if that is nothing."""
        self._wake.set()

    def end(self) -> None:
        """Let its texts end; harmless when they have."""
        self._ended = True
        self._wake.set()

    async def texts(self, first: bytes) -> AsyncIterator[bytes]:
        """Yield what the client is to be sent, beginning with this, until `end`."""
        if first:
            yield first
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._ended:
                return
            yield self._take()

    def _take(self) -> bytes:
        changes = sorted((*self._values.values(), *self._members.values()), key=lambda change: change.number)
        self.forget()
        now, prefix = self._clock.monotonic(), self.prefix
        return b"".join([change.text(prefix, now) for change in changes]) or KEEP_ALIVE
