"""Prices that move as a function of time alone, so that the truth can be told at any moment."""

import math
import random
import zlib
from typing import Final

_PERIODS: Final = (211.0, 1907.0, 14401.0)
"""Seconds; primes, so that tokens do not turn together."""
_SHARES: Final = (0.15, 0.35, 0.5)


class Wave:
    """A smooth movement between -1 and 1, fixed by its key."""

    def __init__(self, key: str) -> None:
        rng = random.Random(key)
        self._parts = [
            (share, math.tau / (period * rng.uniform(0.8, 1.25)), rng.uniform(0.0, math.tau))
            for share, period in zip(_SHARES, _PERIODS, strict=True)
        ]

    def at(self, unix: float) -> float:
        """Return where the movement is at a Unix time."""
        return sum(share * math.sin(speed * unix + phase) for share, speed, phase in self._parts)


def bias(key: str, spread: float) -> float:
    """Return the factor, within 1 ± spread, by which a source always differs from the truth."""
    return 1.0 + spread * (2.0 * zlib.crc32(key.encode()) / 0xFFFFFFFF - 1.0)
