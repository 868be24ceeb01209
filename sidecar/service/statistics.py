"""The statistics of a service, as the application and `/stats` see them."""

from collections.abc import Mapping, Sized
from typing import TypedDict

from sidecar.metrics.labels import LookupResult


class Statistics(TypedDict):
    """What `get_stats` returns."""

    tracked_tokens: int
    popular_tokens: int
    total_requests: int
    total_cache_hits: int
    hit_rate: float
    running: bool


def statistics(
    tracked: Sized,
    popular: Sized,
    *,
    lookups: Mapping[LookupResult, int],
    elsewhere: Mapping[bool, int],
    running: bool,
) -> Statistics:
    """Return the statistics. `elsewhere` are look-ups that the application answered, by whether from a cache.

    `hit_rate` is the hits' percentage of what was answered, with one decimal.
    """
    hits = lookups["hit"] + lookups["stale"] + elsewhere[True]
    answered = hits + lookups["miss"] + lookups["not_priced"] + elsewhere[False]
    return Statistics(
        tracked_tokens=len(tracked),
        popular_tokens=len(popular),
        total_requests=answered + lookups["rejected"] + lookups["error"],
        total_cache_hits=hits,
        hit_rate=round(100 * hits / answered, 1) if answered else 0.0,
        running=running,
    )
