"""All clients that follow tokens. It hears of every change once and tells the streams of the mint."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Final
from zlib import crc32

import msgspec

from sidecar.errors import McSidecarError, NotPricedError, OverloadedError
from sidecar.models import MarketCap, Mint
from sidecar.refresh.tracker import Tracker
from sidecar.runtime.aio import yielding
from sidecar.service.lookups import MINTS_A_TURN
from sidecar.service.memory_lookups import LookupHit
from sidecar.service.service import PreCacheService
from sidecar.web.batch_body import batch_body
from sidecar.web.change_log import ChangeLog
from sidecar.web.event_stream import event
from sidecar.web.stream import Change, Stream
from sidecar.web.token_body import token_body

COMMENT_SECONDS: Final = 15.0
COUNT_SECONDS: Final = 60.0
GATHER_SECONDS: Final = 0.1
"""Between two writes to the same client: a hundred changes a second are ten writes, and not a hundred."""
RETRY_AFTER_SECONDS: Final = 5.0
SETS: Final = ("popular", "tracked", "trending")


class Streams:
    """Opens streams, at most `api.max_streams`; `run` keeps them going, `close` ends them."""

    def __init__(self, service: PreCacheService) -> None:
        self._engine = service.engine
        self._lookups = service.lookups
        self._clock = service.clock
        self._most = service.settings.api.max_streams
        self._open: dict[Stream, None] = {}
        self._process = secrets.token_hex(4)
        self._log = ChangeLog()
        self._sets = {name: _members(self._engine.tracker, name) for name in SETS}
        self._set_changed: dict[str | None, int] = dict.fromkeys(SETS, 0)
        self._told: dict[Mint, bool] = {}
        """Whether some client takes a mint to have a price, or all that follow it know that no source has one."""
        self._flush: asyncio.Handle | None = None
        self._flushed = 0.0
        self._closed = False
        service.engine.publisher.listen(self._published)
        service.engine.publisher.listen_to_sets(self._sets_changed)
        service.metrics.stream_clients.set_function(lambda: len(self._open))

    # Clients

    def open(self, mints: frozenset[Mint], name: str | None) -> Stream:
        """Return a stream that hears of these mints, or of a set. Raises OverloadedError for one too many."""
        if len(self._open) >= self._most or self._closed:
            detail = f"all {self._most} streams that api.max_streams allows are in use"
            raise OverloadedError(detail, retry_after=RETRY_AFTER_SECONDS)
        mints = self._sets[name] if name else mints
        prefix = f"{self._process}-{crc32((name or ','.join(sorted(mints))).encode()):08x}-"
        stream = Stream(mints, name, prefix.encode(), self._clock)
        self._open[stream] = None
        self._log.keep()
        self._count(stream)
        return stream

    def leave(self, stream: Stream) -> None:
        """End a stream; harmless when it has ended."""
        self._open.pop(stream, None)
        stream.end()

    def close(self) -> None:
        """End all streams, and open none any more."""
        self._closed = True
        for stream in list(self._open):
            self.leave(stream)

    def resume(self, stream: Stream, last_id: str) -> bool:
        """Tell a stream what has changed since an event; returns False where that cannot be said any more."""
        since = stream.number_of(last_id)
        oldest = max(self._log.forgotten, self._set_changed.get(stream.name, 0))
        if since is None or not oldest <= since <= self._log.number:
            return False
        for mint, number in self._log.since(since):
            if mint in stream.mints:
                stream.tell(mint, self._change(number, mint))
        # It may take others to have a price as they had when it was here: growing too old since is no change.
        self._told = dict.fromkeys(stream.mints, True) | self._told
        stream.wake()
        return True

    async def snapshot(
        self, stream: Stream, found: Mapping[Mint, LookupHit], errors: Mapping[str, McSidecarError]
    ) -> bytes:
        """Return the event a stream begins with. What it was told before is in it."""
        stream.forget()
        number = self._log.number
        self._told |= dict.fromkeys(found, True)
        for text, error in errors.items():
            if not isinstance(error, NotPricedError):  # that there is no price would be news
                self._told.pop(Mint(text), None)
        return event("snapshot", await batch_body(found, errors), stream.prefix + str(number).encode())

    # Changes

    def _sets_changed(self) -> None:
        """Tell the followers of each set which mints have joined and which have left it."""
        for name in SETS:
            before, now = self._sets[name], _members(self._engine.tracker, name)
            if now == before:
                continue
            self._sets[name] = now
            followers = [stream for stream in self._open if stream.name == name]
            for mint in before ^ now:
                self._move(mint, followers, joined=mint in now)
            for stream in followers:
                stream.mints = now
            self._set_changed[name] = self._log.number

    def _move(self, mint: Mint, followers: Sequence[Stream], *, joined: bool) -> None:
        change = _unchanging(self._log.next_number(), "joined" if joined else "left", mint=mint)
        for stream in followers:
            stream.tell_member(mint, change, joined=joined)
        if joined and self._engine.cache.peek(mint) is not None:
            self._tell(mint, followers)
        self._flush_soon()

    def _published(self, mint: Mint, cap: MarketCap | None = None) -> None:
        if cap is None and self._told.get(mint) is False:
            return  # it had none before: no change
        self._tell(mint, [stream for stream in self._open if mint in stream.mints])

    def _tell(self, mint: Mint, followers: Sequence[Stream]) -> None:
        number = self._log.note(mint, self._engine.settings.cache.max_entries)
        if followers:
            change = self._change(number, mint)
            for stream in followers:
                stream.tell(mint, change)
            self._flush_soon()

    def _change(self, number: int, mint: Mint) -> Change:
        if (found := self._lookups.peek(mint)) is None:
            error = self._lookups.why_gone(mint)
            self._told.pop(mint, None)
            if isinstance(error, NotPricedError):
                self._told[mint] = False
            return _unchanging(number, "not_priced", mint=mint, code=error.code, detail=error.detail)
        self._told[mint] = True
        return Change(number, "token", lambda: token_body(self._lookups.as_of_now(found.entry)))

    # Time

    async def run(self) -> None:
        """Show that the connections live, count the mints as wanted, notice values that have grown too old."""
        while True:
            await self._clock.sleep(COMMENT_SECONDS)
            await self._notice_gone()
            for stream in list(self._open):
                if self._clock.monotonic() - stream.counted >= COUNT_SECONDS:
                    self._count(stream)
                stream.wake()

    async def _notice_gone(self) -> None:
        """Tell of values that nothing has replaced until they were too old to be served."""
        followed: set[Mint] = set().union(*{stream.mints for stream in self._open})
        self._told = {mint: priced for mint, priced in self._told.items() if mint in followed}
        async for mint in yielding([mint for mint, priced in self._told.items() if priced], MINTS_A_TURN):
            if self._lookups.peek(mint) is None:
                self._published(mint)

    def _count(self, stream: Stream) -> None:
        """Count its mints as requested, but not those of a set that would keep itself together by that."""
        stream.counted = self._clock.monotonic()
        if stream.name in {None, "popular"}:
            for mint in stream.mints:
                self._lookups.count_request(mint)

    def _flush_soon(self) -> None:
        """Wake the streams that are behind, in real time: it is the machine that is spared."""
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_at(self._flushed + GATHER_SECONDS, self._flush_now)

    def _flush_now(self) -> None:
        self._flush, self._flushed = None, asyncio.get_running_loop().time()
        for stream in self._open:
            if stream.is_behind:
                stream.wake()


def _unchanging(number: int, name: str, **fields: str) -> Change:
    data = msgspec.json.encode(fields)
    return Change(number, name, lambda: data)


def _members(tracker: Tracker, name: str) -> frozenset[Mint]:
    if name == "tracked":
        return tracker.mints
    return frozenset(tracker.popular if name == "popular" else tracker.tier("trending"))
