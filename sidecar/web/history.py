"""The last ten minutes in numbers, for the small lines above the page."""

import math
from collections import deque
from typing import Final, NamedTuple

from sidecar.metrics.metrics import Metrics
from sidecar.runtime.clock import Clock

STEP_SECONDS: Final = 5.0
KEPT_SECONDS: Final = 600.0
SHORT_SECONDS: Final = 60.0
"""What a rate or a mean is taken over."""
LONG_SECONDS: Final = 300.0
"""What calls an hour are counted over: most loops run once a minute or less."""


class _Totals(NamedTuple):
    """Counters at one moment."""

    at: float
    warm: int
    lookups: int
    calls: float
    ages: float
    aged: int
    uncertainties: float
    uncertain: int


class History:
    """Keeps the counters of the last minutes; a series has a value for each step, None where there is none."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        steps = int((KEPT_SECONDS + LONG_SECONDS) / STEP_SECONDS) + 1
        self._totals: deque[_Totals] = deque([self._read()], maxlen=steps)

    def sample(self) -> bool:
        """Remember the counters of now, if a step has passed since; returns whether it has."""
        if self._clock.monotonic() - self._totals[-1].at < STEP_SECONDS * 0.99:
            return False
        self._totals.append(self._read())
        return True

    def latest(self) -> dict[str, float | None]:
        """Return the last value of each series."""
        return self._values(len(self._totals) - 1)

    def series(self) -> dict[str, list[float | None]]:
        """Return the values of the last ten minutes, the oldest first."""
        first = max(0, len(self._totals) - int(KEPT_SECONDS / STEP_SECONDS))
        rows = [self._values(position) for position in range(first, len(self._totals))]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _values(self, position: int) -> dict[str, float | None]:
        now = self._totals[position]
        short, long = self._before(position, SHORT_SECONDS), self._before(position, LONG_SECONDS)
        return {
            "hit_ratio": _ratio(now.warm - short.warm, now.lookups - short.lookups),
            "lookups_per_second": _ratio(now.lookups - short.lookups, now.at - short.at),
            "upstream_calls_per_hour": _per_hour(now.calls - long.calls, now.at - long.at),
            "served_age_seconds": _ratio(now.ages - short.ages, now.aged - short.aged),
            "served_uncertainty": _ratio(now.uncertainties - short.uncertainties, now.uncertain - short.uncertain),
        }

    def _before(self, position: int, seconds: float) -> _Totals:
        return self._totals[max(0, position - int(seconds / STEP_SECONDS))]

    def _read(self) -> _Totals:
        hot = self._metrics.hot
        warm = hot.lookups["hit"] + hot.lookups["stale"]
        families = self._metrics.upstream_requests.collect()
        calls = sum(one.value for family in families for one in family.samples if one.name.endswith("_total"))
        return _Totals(
            self._clock.monotonic(),
            warm,
            warm + hot.lookups["miss"] + hot.lookups["not_priced"],
            calls,
            hot.served_age.total,
            sum(hot.served_age.counts),
            hot.served_uncertainty.total,
            sum(hot.served_uncertainty.counts),
        )


def _ratio(part: float, whole: float) -> float | None:
    ratio = part / whole if whole > 0 else math.nan
    return None if math.isnan(ratio) else float(f"{ratio:.5g}")


def _per_hour(count: float, seconds: float) -> float | None:
    """Return a rate; None for less than a minute, of which the first calls would make far too much."""
    return _ratio(3600 * count, seconds) if seconds >= SHORT_SECONDS else None
