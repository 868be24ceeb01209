"""How much a token's price moves, learnt from its own refreshes (design: what the figures mean, 12). Pure.

What is learnt is σ²: the variance of the log price per second, an exponentially weighted mean of squared log
changes. A random walk's variance grows with time, so changes over odd times can be put together, and one number
tells how far a price may have moved since it was heard.
"""

from decimal import Decimal
from statistics import median
from typing import Final

import msgspec

from sidecar.runtime.clock import Instant

HALF_LIFE_SECONDS: Final = 1800.0
FEWEST_CHANGES: Final = 5
"""Nothing is told before so many changes have been seen."""
OUTLIER_FACTOR: Final = 16.0
"""A squared change counts at most so many times what was to be expected of it: four standard deviations."""
LONGEST_OUTLIER_RUN: Final = 2
"""A glitch is two outliers in a row, up and back; one more is what the price really does, and counts whole."""
LONGEST_CHANGE_SECONDS: Final = 600.0
"""A change over a longer time weighs no more than one over so long: no single one decides after a long pause."""
SMALLEST_VARIANCE: Final = 1e-8 / 3600.0
"""Per second: 0.01 % over an hour. A price that stood still so far may move."""


class PriceMotion(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What is remembered of a token's price movements, of the source that it was last priced by."""

    source: str
    log_price: float
    received: Instant
    first: tuple[tuple[float, float], ...] = ()
    """The first changes, until there are enough: seconds, and squared log change per second."""
    variance: float | None = None
    """Of the log price, per second; None before `FEWEST_CHANGES`."""
    weight: float = 0.0
    """How much of a long history's weight `variance` rests on, 0 to 1."""
    outliers: int = 0
    """How many of the newest changes, in a row, were outliers."""


def observe(motion: PriceMotion | None, source: str, price: Decimal, received: Instant) -> PriceMotion:
    """Return what is known after a price, which is positive, was taken from a source."""
    log_price = float(price.ln())
    if motion is None:
        return PriceMotion(source=source, log_price=log_price, received=received)
    moved = msgspec.structs.replace(motion, source=source, log_price=log_price, received=received)
    seconds = received.monotonic - motion.received.monotonic
    if source != motion.source:  # sources differ a little all the time: that is no movement
        return moved
    if seconds <= 0:
        return motion
    return _learn(moved, seconds, (log_price - motion.log_price) ** 2 / seconds)


def variance(motion: PriceMotion | None) -> float | None:
    """Return σ² per second, never 0; None while too few changes have been seen."""
    return None if motion is None or motion.variance is None else max(motion.variance, SMALLEST_VARIANCE)


def _learn(motion: PriceMotion, seconds: float, rate: float) -> PriceMotion:
    if motion.variance is not None:
        return _follow(motion, motion.variance, seconds, rate)
    first = (*motion.first, (seconds, rate))
    if len(first) < FEWEST_CHANGES:
        return msgspec.structs.replace(motion, first=first)
    most = OUTLIER_FACTOR * max(SMALLEST_VARIANCE, median(rate for _, rate in first))
    mean = weight = 0.0
    for each_seconds, each_rate in first:
        mean, weight = _blend(mean, weight, each_seconds, min(each_rate, most))
    return msgspec.structs.replace(motion, first=(), variance=mean, weight=weight)


def _follow(motion: PriceMotion, mean: float, seconds: float, rate: float) -> PriceMotion:
    most = OUTLIER_FACTOR * max(SMALLEST_VARIANCE, mean)
    outliers = motion.outliers + 1 if rate > most else 0
    believed = rate if outliers > LONGEST_OUTLIER_RUN else min(rate, most)
    mean, weight = _blend(mean, motion.weight, seconds, believed)
    return msgspec.structs.replace(motion, variance=mean, weight=weight, outliers=outliers)


def _blend(mean: float, weight: float, seconds: float, rate: float) -> tuple[float, float]:
    """Add a rate that held for so many seconds to an exponentially weighted mean; also return its new weight."""
    kept = 0.5 ** (min(seconds, LONGEST_CHANGE_SECONDS) / HALF_LIFE_SECONDS)
    old, new = weight * kept, 1.0 - kept
    return (mean * old + rate * new) / (old + new), old + new
