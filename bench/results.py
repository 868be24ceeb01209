"""How much is measured, and what was found."""

from collections.abc import Mapping
from typing import NamedTuple

from bench.figures import Series
from bench.memory import Memory


class Plan(NamedTuple):
    """How much is measured."""

    rounds: int
    seconds: float
    """Of one load on one contestant."""
    refresh_seconds: float
    """Of one load while 10,000 tokens are refreshed."""
    calm_seconds: float
    """Before and after that, for the refreshing to find its rhythm."""
    starts: int
    idle_seconds: float
    """At least so long is the idle sidecar watched; the other measurements go on beside it."""


class Results(NamedTuple):
    """Each measurement by contestant, one figure a round."""

    plan: Plan
    cpu: Mapping[str, Series]
    """Microseconds of CPU for one token."""
    rate: Mapping[str, Series]
    p99: Mapping[str, Series]
    """Milliseconds at 1,000 requests a second."""
    late: Series
    """Milliseconds that the generator itself was late, 99th percentile."""
    batch_cpu: Mapping[str, Series]
    """Microseconds of CPU for one market cap, a hundred at a time; nginx: one by one."""
    batch_rate: Mapping[str, Series]
    """Market caps a second."""
    rss: Mapping[str, float]
    idle_percent: float
    refresh_percent: float
    """Of a core, to refresh 10,000 tokens every REFRESH_SECONDS, without load."""
    import_seconds: Series
    start_seconds: Series
    warm_seconds: Series
    pause_ms: Series
    busy_ms: Series
    """CPU time of the event loop's thread between two turns at worst, in milliseconds."""
    memory: Memory | None
    """Under the image's Python, where there is one."""
    missing: Mapping[str, str]
