"""How much a token's price moves, learnt from its own refreshes (docs/rules.md: F12). Pure.

What is learnt is σ²: the variance of the log price per second, an exponentially weighted mean of squared log
changes. A random walk's variance grows with time, so changes over odd times can be put together, and one number
tells how far a price may have moved since it was received.
"""

import math
from decimal import Decimal
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from sidecar.runtime.clock import Instant

HOUR_SECONDS: Final = 3600.0
HALF_LIFE_SECONDS: Final = 1800.0
FEWEST_CHANGES: Final = 5
"""Nothing is told before so many changes have been seen."""
OUTLIER_FACTOR: Final = 16.0
"""A squared change counts at most so many times what was to be expected of it: four standard deviations."""
USUAL_VARIANCE: Final = 1e-7
"""Per second: 1.9 % over an hour. What is to be expected of a token at least, when it comes to outliers."""
SUSPICION_AN_OUTLIER: Final = 4
MOST_SUSPICION: Final = 12
SUSPICION_OF_A_GLITCH: Final = 8
"""A glitch is two outliers in a row, up and back. A third within a dozen changes is what the price really does."""
SHORTEST_CHANGE_SECONDS: Final = 0.01
"""What moved within less is two answers of one moment."""
LONGEST_CHANGE_SECONDS: Final = 600.0
"""A change over a longer time weighs no more than one over so long: no single one decides after a long pause."""
SMALLEST_VARIANCE: Final = 1e-8 / 3600.0
"""Per second: 0.01 % over an hour. A price that stood still so far may move."""
SMALLEST_DISTANCE: Final = 1e-6
"""The seventh digit of a price is not known, however well quotes agree."""

Rate = Annotated[float, Meta(ge=0, le=1e15)]


class PriceMotion(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What is remembered of a token's price movements, of the source that it was last priced by."""

    source: str
    log_price: Annotated[float, Meta(ge=-1e3, le=1e3)]
    received: Instant
    first: Annotated[tuple[tuple[Annotated[float, Meta(gt=0)], Rate], ...], Meta(max_length=5)] = ()
    """The first changes, until there are enough: seconds, and squared log change per second."""
    variance: Rate | None = None
    """Of the log price, per second; None before `FEWEST_CHANGES`."""
    weight: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """How much of a long history's weight `variance` rests on, 0 to 1."""
    suspicion: Annotated[int, Meta(ge=0, le=12)] = 0
    """Rises with each outlier and falls with each other change."""


def observe(motion: PriceMotion | None, source: str, price: Decimal, received: Instant) -> PriceMotion:
    """Return what is known after a price, which is positive, was taken from a source."""
    log_price = math.log(price)
    if motion is None:
        return PriceMotion(source=source, log_price=log_price, received=received)
    moved = msgspec.structs.replace(motion, source=source, log_price=log_price, received=received)
    seconds = received.monotonic - motion.received.monotonic
    if source != motion.source:  # sources differ a little all the time: that is no movement
        return moved
    if seconds < SHORTEST_CHANGE_SECONDS:
        return motion
    return _learn(moved, seconds, (log_price - motion.log_price) ** 2 / seconds)


def hourly(motion: PriceMotion | None) -> float | None:
    """Return the standard deviation over an hour, never 0; None while too few changes have been seen."""
    if motion is None or motion.variance is None:
        return None
    return math.sqrt(max(motion.variance, SMALLEST_VARIANCE) * HOUR_SECONDS)


def fresh_uncertainty(motion: PriceMotion | None, distance: float) -> float | None:
    """Return the uncertainty at age 0, never 0; None as long as there is no volatility to let it grow.

    `distance`: half the log distance of the farthest good quote at the last comparison, 0 without one.
    """
    return None if motion is None or motion.variance is None else max(distance, SMALLEST_DISTANCE)


def _learn(motion: PriceMotion, seconds: float, rate: float) -> PriceMotion:
    if motion.variance is not None:
        return _follow(motion, motion.variance, seconds, rate)
    first = (*motion.first, (seconds, rate))
    if len(first) < FEWEST_CHANGES:
        return msgspec.structs.replace(motion, first=first)
    most = OUTLIER_FACTOR * max(USUAL_VARIANCE, sorted(rate for _, rate in first)[FEWEST_CHANGES // 2])
    mean = weight = 0.0
    for each_seconds, each_rate in first:
        mean, weight = _blend(mean, weight, each_seconds, min(each_rate, most))
    return msgspec.structs.replace(motion, first=(), variance=mean, weight=weight)


def _follow(motion: PriceMotion, mean: float, seconds: float, rate: float) -> PriceMotion:
    most = OUTLIER_FACTOR * max(USUAL_VARIANCE, mean)
    suspicion = motion.suspicion + (SUSPICION_AN_OUTLIER if rate > most else -1)
    believed = rate if suspicion > SUSPICION_OF_A_GLITCH else min(rate, most)
    mean, weight = _blend(mean, motion.weight, seconds, believed)
    suspicion = min(max(suspicion, 0), MOST_SUSPICION)
    return msgspec.structs.replace(motion, variance=mean, weight=weight, suspicion=suspicion)


def _blend(mean: float, weight: float, seconds: float, rate: float) -> tuple[float, float]:
    """Add a rate that held for so many seconds to an exponentially weighted mean; also return its new weight."""
    kept = 0.5 ** (min(seconds, LONGEST_CHANGE_SECONDS) / HALF_LIFE_SECONDS)
    old, new = weight * kept, 1.0 - kept
    return (mean * old + rate * new) / (old + new), old + new
