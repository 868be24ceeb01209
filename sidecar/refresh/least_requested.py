"""Which of many mints is requested least, without counting all of them at every look."""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush, heapreplace

from sidecar.models import Mint
from sidecar.refresh.demand import Demand, slice_of

Counted = tuple[int, Mint]
"""How often a mint was requested within the window, and the mint; plain: no garbage collection looks at it."""


class LeastRequested:
    """A heap of what the counts once were, over `demands`, at most twice `max_tokens` long.

    Within a slice of the window counts only grow, so that looking again at those on top is enough, however many
    are tracked.
    """

    def __init__(self, demands: Mapping[Mint, Demand], *, max_tokens: int, window_seconds: float) -> None:
        self._demands = demands
        self._max_tokens = max_tokens
        self._window_seconds = window_seconds
        self._heap: list[Counted] = []
        self._slice = -1

    def add(self, mint: Mint, requests: int) -> None:
        """Take a mint that joined `demands`."""
        heappush(self._heap, (requests, mint))

    def forget(self) -> None:
        """Count anew at the next look: `demands` has changed otherwise than by `add` and by what left."""
        self._slice = -1

    def look(self, now: float) -> Counted | None:
        """Return the fewest requests and their mint, None without any."""
        now_slice = slice_of(now, self._window_seconds)
        if self._slice != now_slice or len(self._heap) > 2 * self._max_tokens:
            self._slice = now_slice
            self._heap[:] = [(demand.total(now), mint) for mint, demand in self._demands.items()]
            heapify(self._heap)
        while self._heap:
            requests, mint = self._heap[0]
            demand = self._demands.get(mint)
            if demand is None:
                heappop(self._heap)
            elif (grown := demand.total(now)) > requests:
                heapreplace(self._heap, (grown, mint))
            else:
                return self._heap[0]
        return None
