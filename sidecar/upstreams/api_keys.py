"""An upstream's API key: by value, or from a file that may come, change and go while the sidecar runs."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from typing import Final

from sidecar.config.source_settings import KeyedSourceSettings, effective_rpm
from sidecar.runtime.clock import Clock
from sidecar.runtime.disk import begin, read_regular
from sidecar.sources.source import Source
from sidecar.upstreams.budget import Budget

REREAD_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 0.05
"""How long the event loop waits for the disk; a later answer counts at the next request."""
MAX_KEY_FILE_BYTES: Final = 4_096

log = logging.getLogger(__name__)


class ApiKey:
    """The header that carries the key, none without one; the budget follows the tier that the key opens."""

    def __init__(
        self,
        source: type[Source],
        settings: KeyedSourceSettings,
        *,
        budget: Budget,
        clock: Clock,
        learn: Callable[[str], None],
    ) -> None:
        self._source = source
        self._settings = settings
        self._budget = budget
        self._clock = clock
        self._learn = learn
        self._key = settings.api_key or None
        self._next_read = -float("inf")
        self._reading: Future[str | None] | None = None
        self._warned = False

    def headers(self) -> dict[str, str]:
        """Return the headers for one request; the key file is looked at again every ten seconds."""
        now = self._clock.monotonic()
        if self._settings.api_key_file and now >= self._next_read:
            self._next_read = now + REREAD_SECONDS
            self._reading = self._reading or begin(partial(read_key_file, self._settings.api_key_file))
            wait([self._reading], ANSWER_SECONDS)
        if self._reading is not None and self._reading.done():
            self._take(self._reading.result())
            self._reading = None
        return {self._source.key_header: self._key} if self._key and self._source.key_header else {}

    def _take(self, key: str | None) -> None:
        if key is None and not self._warned:
            self._warned = True
            log.warning("no key in the key file: asking without one", extra={"source": self._source.name})
        if key is not None:
            self._learn(key)
        self._key = key
        rpm = effective_rpm(self._source, self._settings, has_key=key is not None)
        self._budget.set_requests_per_minute(rpm)


def read_key_file(path: str | Path) -> str | None:
    """Return the API key in a file without the white space around it; None when there is none to be had.

    A file that is missing, unreadable, empty, over 4 KiB or not one word of printable ASCII holds no key.
    """
    try:
        content = read_regular(Path(path), MAX_KEY_FILE_BYTES + 1)
    except OSError:
        return None
    key = content.decode("ascii", "replace").strip()
    usable = len(content) <= MAX_KEY_FILE_BYTES and all("!" <= char <= "~" for char in key)
    return key if key and usable else None
