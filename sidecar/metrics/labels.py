"""The values that labels can have, and the buckets of histograms: part of the contract."""

from typing import Final, Literal, get_args

from sidecar import errors
from sidecar.sources import listing

LookupResult = Literal["hit", "stale", "miss", "not_priced", "invalid", "rejected", "error"]
LoopName = Literal["popular", "tracked", "trending", "stats", "miss", "early"]
RefreshOutcome = Literal["updated", "not_priced", "failed"]
EvictionReason = Literal["expired", "capacity", "delisted", "not_priced"]
RefusalReason = Literal[
    "not_positive",
    "absurd",
    "dead_pool",
    "thin",
    "quote_side",
    "jump",
    "disagreement",
    "supply",
    "unit_unknown",
    "old_price",
    "preferred_source_silent",
]
Tier = Literal["popular", "requested", "trending"]

SOURCES: Final = tuple(source.name for source in listing.SOURCES)
OUTCOMES: Final = ("ok", *get_args(errors.Outcome))
UNCERTAINTY_BUCKETS: Final = (0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5)
AGE_BUCKETS: Final = (
    *(1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 360.0),
    *(600.0, 900.0, 1200.0, 1800.0, 3600.0),
)
UPSTREAM_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REFRESH_BUCKETS: Final = (*UPSTREAM_BUCKETS, 30.0, 60.0, 120.0, 300.0)
WAIT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
HTTP_BUCKETS: Final = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5),
)
