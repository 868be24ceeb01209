"""Whether this sidecar refreshes by itself, and with how much of the upstreams' budgets."""

import math
from collections.abc import Awaitable, Callable
from typing import Final

from sidecar.fleet.membership import Membership, Role
from sidecar.metrics.labels import LoopName
from sidecar.service.wiring import Engine

SPREAD_SECONDS: Final = 10.0
"""Over which the members begin to refresh that are alone at the same moment."""

Step = Callable[[], Awaitable[bool | None]]


class Duty:
    """The leader refreshes with the whole budget, one alone with its share and in its turn, a follower never."""

    def __init__(
        self, engine: Engine, membership: Membership, role: Callable[[], Role], wake: Callable[[LoopName], None]
    ) -> None:
        self._engine = engine
        self._membership = membership
        self._role = role
        self._wake = wake
        self._begins = -math.inf
        self._popular_due: float | None = None
        self._before: tuple[bool, int] = (True, 1)

    def when_on_duty(self, step: Step) -> Step:
        """Return a step that does nothing, successfully, while another sidecar does it."""

        async def guarded() -> bool | None:
            return await step() if self._refreshes() else True

        return guarded

    def role_changed(self, role: Role) -> None:
        """Begin in turn where this sidecar is alone now; one that joins has some time for that first."""
        members, place = self._membership.members, self._membership.rank % self._membership.members
        wait = SPREAD_SECONDS * place / members if role == "alone" else SPREAD_SECONDS
        self._begins = self._engine.clock.monotonic() + wait
        self._share(1 if role == "leader" else members, place if role == "alone" else 0)

    def look(self) -> None:
        """Follow the number of members; start the loops when this sidecar has begun to refresh."""
        refreshes, members = self._refreshes(), self._membership.members
        was, _ = self._before
        if self._role() == "follower" and members != self._before[1]:
            self._share(members, 0)
        self._before = (refreshes, members)
        if not refreshes:
            self._popular_due = None
        elif not was:
            self._wake("tracked")
            self._popular_due = self._next_popular()
        if self._popular_due is not None and self._engine.clock.monotonic() >= self._popular_due:
            self._popular_due = None
            self._wake("popular")

    def _refreshes(self) -> bool:
        role = self._role()
        return role == "leader" or (role == "alone" and self._engine.clock.monotonic() >= self._begins)

    def _next_popular(self) -> float:
        """Return when the oldest popular value is due: a new leader goes on where the old one stopped."""
        cache, interval = self._engine.cache, self._engine.settings.refresh.popular_seconds
        mints = [mint for mint in self._engine.tracker.always if cache.unpriced_reason(mint) is None]
        received = [entry.received if (entry := cache.peek(mint)) else -math.inf for mint in mints]
        return min(received, default=-math.inf) + interval

    def _share(self, members: int, place: int) -> None:
        for upstream in self._engine.upstreams.values():
            upstream.budget.share(members, place)
