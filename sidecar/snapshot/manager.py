"""What survives a restart: written every interval and at the stop, taken back at the start.

A value comes back with its true age. Between two processes only the wall clock tells how much time has passed;
where it says that the snapshot lies in the future it was set back meanwhile, and all that is known is that some
time has passed. Then `cache.fresh_seconds` is assumed: every value is served as stale and refreshed.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from sidecar.cache.cache import Entry
from sidecar.metrics.hot import Timestamp
from sidecar.pricing.supply import is_remembered
from sidecar.pricing.token_state import TokenState
from sidecar.runtime.clock import Instant, now
from sidecar.service.wiring import Engine
from sidecar.snapshot.file import SnapshotError, read, set_aside, write
from sidecar.snapshot.records import ClockRebase, SavedDemand, SavedToken, Snapshot, TakenAt, decode, encode

BYTES_PER_TOKEN: Final = 2048
BYTES_PER_DEMAND: Final = 512
"""More than a line takes, as long as no supply has hundreds of digits; what does not fit is left out."""
LINES_AT_A_TIME: Final = 100
"""How much is done between two turns of the event loop: about half a millisecond's work."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class SnapshotManager:
    """The snapshots of one engine. All that touches the disk is done in one thread, one thing after the other."""

    def __init__(self, engine: Engine, success: Timestamp) -> None:
        settings = engine.settings
        self._path = Path(str(settings.snapshot.path))
        self._engine = engine
        self._clock = engine.clock
        self._success = success
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="snapshot")
        self._saving: asyncio.Task[None] | None = None
        self._failing = False
        tokens = settings.cache.max_entries + settings.tracking.max_tokens
        self.max_bytes = tokens * BYTES_PER_TOKEN + engine.tracker.max_wanted * BYTES_PER_DEMAND
        """Of the file's content; bounds memory."""

    async def start(self) -> None:
        """Take back what the file holds, then save every interval. Called once, before the first refresh."""
        await self.restore()
        self._saving = asyncio.create_task(self.run(), name="snapshot")

    async def stop(self) -> None:
        """Save for the last time. Without a start that came to its end nothing is saved: the file knows more."""
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.gather(self._saving, return_exceptions=True)
            await self.save()
        self._thread.shutdown(wait=False)

    async def run(self) -> None:
        """Save every `snapshot.interval_seconds` until cancelled."""
        interval = self._engine.settings.snapshot.interval_seconds
        next_save = self._clock.monotonic() + interval
        while True:
            await self._clock.sleep(next_save - self._clock.monotonic())
            next_save = self._clock.monotonic() + interval
            await self.save()

    # Saving

    async def save(self) -> bool:
        """Write a snapshot. A failure is logged when it is the first in a row; the file before it stays."""
        try:
            await self._in_thread(partial(write, self._path, await self._content()))
        except OSError as error:
            if not self._failing:
                log.warning("snapshot not written", extra={"path": str(self._path), "error": _reason(error)})
        except Exception:
            if not self._failing:
                log.exception("snapshot not written")
        else:
            if self._failing:
                log.info("snapshot written again", extra={"path": str(self._path)})
            self._failing = False
            self._success.value = self._clock.time()
            return True
        self._failing = True
        return False

    async def _content(self) -> list[bytes]:
        """Encode everything, a little at a time: requests are answered meanwhile."""
        content: list[bytes] = []
        size, lines = 0, self._lines()
        while part := b"".join(islice(lines, LINES_AT_A_TIME)):
            size += len(part)
            if size > self.max_bytes:
                break
            content.append(part)
            await asyncio.sleep(0)
        return content

    def _lines(self) -> Iterator[bytes]:
        """Yield the lines, what matters most first. Each is true of the moment when it is made."""
        yield encode(TakenAt(now(self._clock)))
        for mint, place, requests in self._engine.tracker.wanted():
            yield encode(SavedDemand(mint=mint, place=place, requests=requests))
        cache, token_states = self._engine.cache, self._engine.token_states
        for mint in cache.mints():
            if (entry := cache.peek(mint)) is not None:
                state = token_states.peek(mint)
                yield encode(SavedToken(mint=mint, received=entry.received, cap=entry.cap, state=state))
        for mint in token_states:
            if cache.peek(mint) is None:
                yield encode(SavedToken(mint=mint, state=token_states.peek(mint)))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # Restoring

    async def restore(self) -> None:
        """Take back what the file holds. Whatever is wrong with it, the start goes on."""
        extra = {"path": str(self._path)}
        try:
            snapshot = await self._in_thread(self._read)
            restored = await self._take_back(snapshot)
        except FileNotFoundError:
            log.info("no snapshot to start from", extra=extra)
        except OSError as error:
            log.warning("snapshot not read", extra={**extra, "error": _reason(error), **await self._set_aside()})
        except SnapshotError as error:
            log.warning("snapshot refused", extra={**extra, "error": str(error), **await self._set_aside()})
        except Exception:
            log.exception("snapshot refused", extra={**extra, **await self._set_aside()})
        else:
            log.info("snapshot restored", extra={**extra, "tokens": restored, "dropped": snapshot.dropped})

    def _read(self) -> Snapshot:
        return decode(read(self._path, self.max_bytes))

    async def _set_aside(self) -> dict[str, str]:
        """Keep what cannot be used for whoever wants to know why: the next save would overwrite it, or fail.

        Returns where it is kept, or why it is not.
        """
        try:
            return {"kept_as": str(await self._in_thread(partial(set_aside, self._path)))}
        except OSError as error:
            return {"not_kept": _reason(error)}

    async def _take_back(self, snapshot: Snapshot) -> int:
        """Return how many values are in memory again."""
        engine = self._engine
        shift = ClockRebase(snapshot.taken_at, now(self._clock), engine.settings.cache.fresh_seconds)
        engine.tracker.restore([shift.wanted(demand) for demand in snapshot.demands])
        engine.pin_tracked()  # before the values come, so that none pushes out a tracked one
        for count, token in enumerate(snapshot.tokens, start=1):
            self._take_back_token(token, shift)
            if count % LINES_AT_A_TIME == 0:
                await asyncio.sleep(0)
        engine.tracked_changed()
        return len(engine.cache)

    def _take_back_token(self, token: SavedToken, shift: ClockRebase) -> None:
        engine = self._engine
        if token.state is not None and _says_something(state := shift.state(token.state), now(self._clock)):
            engine.token_states.put(token.mint, state)
        received = shift.monotonic(token.received)
        if token.cap is None or self._clock.monotonic() - received > engine.cache.max_stale_seconds:
            return
        symbol = engine.symbols.get(token.mint, token.cap.symbol)
        engine.publisher.publish(Entry(msgspec.structs.replace(token.cap, symbol=symbol), received, ()))


def _says_something(state: TokenState, at: Instant) -> bool:
    """Tell whether anything in it is less than a day old; the rest follows from the next answers."""
    received = [one.received for one in (state.chain, state.source_total, state.circulating) if one is not None]
    return any(is_remembered(one, at) for one in (state.chain_answered, *received))


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
