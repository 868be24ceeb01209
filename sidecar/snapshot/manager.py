"""What survives a restart: written every interval and at the stop, taken back at the start.

A value comes back with its true age. Between two processes only the wall clock tells how much time has passed;
where it says that the snapshot lies in the future it was set back meanwhile, and all that is known is that some
time has passed. Then `cache.fresh_seconds` is assumed: every value is served as stale and refreshed.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from sidecar.config.popular import PopularToken
from sidecar.config.settings import Settings
from sidecar.metrics.hot import Timestamp
from sidecar.runtime.disk import ANSWER_SECONDS, Disk
from sidecar.snapshot.file import SnapshotError, read, set_aside, write
from sidecar.snapshot.memory import BYTES_PER_DEMAND, BYTES_PER_TOKEN, Memory, content, take_back
from sidecar.snapshot.records import decode

WRITE_SECONDS: Final = 30.0
"""How long a write may take before it counts as failed."""
SHORTEST_LAST_WRITE_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


class SnapshotManager:
    """The snapshots of one memory: all that touches the disk is done one thing after the other.

    `adopt` puts the popular list of the snapshot in force, where the one that was to be is no good.
    """

    def __init__(
        self,
        memory: Memory,
        settings: Settings,
        success: Timestamp,
        adopt: Callable[[Sequence[PopularToken]], None] | None = None,
    ) -> None:
        self._memory = memory
        self._settings = settings
        self._path = Path(str(settings.snapshot.path))
        self._clock = memory.clock
        self._success = success
        self._adopt = adopt
        self._disk = Disk()
        self._saving: asyncio.Task[None] | None = None
        self._failing = False
        tokens = settings.cache.max_entries + settings.tracking.max_tokens
        self.max_bytes = tokens * BYTES_PER_TOKEN + memory.tracker.max_wanted * BYTES_PER_DEMAND
        """Of the file's content; bounds memory."""

    async def start(self) -> None:
        """Take back what the file holds, then save every interval. Called once, before the first refresh."""
        await self.restore()
        self._saving = asyncio.create_task(self.run(), name="snapshot")

    async def stop(self) -> None:
        """Save for the last time, if the disk answers within `shutdown.drain_seconds`.

        Without a start that came to its end nothing is saved: the file knows more.
        """
        if self._saving is not None:
            self._saving.cancel()
            await asyncio.gather(self._saving, return_exceptions=True)
            await self.save(max(SHORTEST_LAST_WRITE_SECONDS, self._settings.shutdown.drain_seconds))

    async def run(self) -> None:
        """Save every `snapshot.interval_seconds` until cancelled."""
        interval = self._settings.snapshot.interval_seconds
        next_save = self._clock.monotonic() + interval
        while True:
            await self._clock.sleep(next_save - self._clock.monotonic())
            next_save = self._clock.monotonic() + interval
            await self.save()

    async def save(self, within_seconds: float = WRITE_SECONDS) -> bool:
        """Write a snapshot. A failure is logged when it is the first in a row; the file before it stays."""
        try:
            lines = await content(self._memory, self.max_bytes)
            await self._disk.do(partial(write, self._path, lines), within_seconds)
        except Exception as error:  # noqa: BLE001 - logged, and tried again at the next interval
            if not self._failing:
                self._warn("snapshot not written", error)
            self._failing = True
            return False
        if self._failing:
            log.info("snapshot written again", extra={"path": str(self._path)})
        self._failing = False
        self._success.value = self._clock.time()
        return True

    async def restore(self) -> None:
        """Take back what the file holds. Whatever is wrong with it, the start goes on."""
        try:
            read_bytes = await self._disk.do(partial(read, self._path, self.max_bytes), ANSWER_SECONDS)
            snapshot = await asyncio.to_thread(decode, read_bytes)
            if self._adopt is not None and snapshot.popular:
                self._adopt(snapshot.popular)
            await take_back(self._memory, snapshot, self._settings.cache.fresh_seconds)
        except TimeoutError as error:
            self._warn("snapshot not read", error)
        except FileNotFoundError:
            log.info("no snapshot to start from", extra={"path": str(self._path)})
        except Exception as error:  # noqa: BLE001 - logged: a start without a snapshot is still a start
            event = "snapshot not read" if isinstance(error, OSError) else "snapshot refused"
            self._warn(event, error, **await self._set_aside())
        else:
            restored = {"tokens": len(self._memory.cache), "dropped": snapshot.dropped}
            log.info("snapshot restored", extra={"path": str(self._path), **restored})

    async def _set_aside(self) -> dict[str, str]:
        """Keep what cannot be used, so that the reason can be found: the next save would overwrite it, or fail.

        Returns where it is kept, or why it is not.
        """
        try:
            return {"kept_as": str(await self._disk.do(partial(set_aside, self._path), ANSWER_SECONDS))}
        except OSError as error:
            return {"not_kept": _reason(error)}

    def _warn(self, event: str, error: Exception, **extra: Any) -> None:
        """Log what went wrong; with a traceback where it is a bug and not the disk or the file."""
        extra["path"] = str(self._path)
        if isinstance(error, OSError | SnapshotError):
            log.warning(event, extra={**extra, "error": _reason(error)})
        else:
            log.error(event, extra=extra, exc_info=error)


def _reason(error: Exception) -> str:
    strerror = error.strerror if isinstance(error, OSError) else str(error)
    return strerror or type(error).__name__
