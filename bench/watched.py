"""mc-sidecar with a watch over its event loop: `python -m bench.watched serve --config FILE`.

A timer that is due every millisecond writes, once a second, how late it came at worst since the last line: the
longest time in which the loop could not answer anybody. Its thread's CPU time without a turn says how much of that
was its own doing and not the host's. The watch costs CPU, so nothing else is measured on it.
"""

import asyncio
import json
import sys
import time
from typing import Final

import uvloop

from sidecar.cli import main

TICK_SECONDS: Final = 0.001
LINE_SECONDS: Final = 1.0


class Watch:
    """Measures how late a loop runs a timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._last = self._line = time.perf_counter()
        self._last_cpu = time.thread_time()
        self._worst = self._worst_cpu = 0.0
        loop.call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        now = time.perf_counter()
        late = now - self._last - TICK_SECONDS
        self._worst = max(self._worst, late)
        # Rest before the timer was due took no CPU time: to take the tick off that, too, would hide a millisecond.
        self._worst_cpu = max(self._worst_cpu, min(late, time.thread_time() - self._last_cpu))
        if now - self._line >= LINE_SECONDS:
            sys.stdout.write(json.dumps({"pause": 1000 * self._worst, "busy": 1000 * self._worst_cpu}) + "\n")
            sys.stdout.flush()
            self._line, self._worst, self._worst_cpu = now, 0.0, 0.0
        self._last, self._last_cpu = time.perf_counter(), time.thread_time()
        self._loop.call_later(TICK_SECONDS, self._tick)


def watched_loop() -> uvloop.Loop:
    """Return a new event loop with a watch over it."""
    loop = _new_event_loop()
    Watch(loop)
    return loop


_new_event_loop = uvloop.new_event_loop

if __name__ == "__main__":
    uvloop.new_event_loop = watched_loop
    sys.exit(main())
