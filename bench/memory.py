"""How much memory a sidecar takes, under this Python or another: the image has one of its own."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from bench.contestants import JUP, Contestant
from bench.measure import closed_loop, fill, track
from bench.settings import CACHED, MANY, SHIPPED, TRACKED

BATCH: Final = 100

Start = Callable[[str, Mapping[str, Any]], Contestant]


class Memory(NamedTuple):
    """Resident memory in MiB."""

    version: str
    """Of Python."""
    loaded: float
    """100 tracked tokens, after a load."""
    cached: float
    """10,000 tokens, 100 of them tracked."""
    tracked: float
    """10,000 tracked tokens, refreshed for a while."""
    peak: float
    """The most of all that."""


def memory(start: Start, version: str, mints: Sequence[str], *, load_seconds: float, seconds: float) -> Memory:
    """Measure three sidecars one after the other; `seconds`: how long 10,000 tracked tokens are refreshed."""
    loaded = start(f"loaded-{version}", SHIPPED)
    track(loaded.port, mints[:BATCH])
    for path in (f"/mc/{JUP}", "/mc?mints=" + ",".join(mints[:BATCH])):
        closed_loop(loaded, [path], load_seconds)
    cached = start(f"cached-{version}", CACHED)
    fill(cached.port, mints, MANY)
    tracked = start(f"tracked-{version}", TRACKED)
    fill(tracked.port, mints, MANY)
    time.sleep(seconds)
    sidecars = [one.process for one in (loaded, cached, tracked)]
    rss = [one.rss_mib() for one in sidecars]
    peak = max(one.peak_mib() for one in sidecars)
    for one in sidecars:
        one.stop()
    return Memory(version, *rss, peak)
