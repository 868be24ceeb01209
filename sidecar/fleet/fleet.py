"""A member of a fleet: what is refreshed once for all, seen from one sidecar.

Four loops: signs of life, what others say, what is to be said, and what is to be done now and then.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from sidecar.fleet.chores import Chores
from sidecar.fleet.demand import Demand
from sidecar.fleet.duty import Duty, Step
from sidecar.fleet.keys import Keys
from sidecar.fleet.listening import Listening
from sidecar.fleet.membership import Membership, Role
from sidecar.fleet.misses import MissRoad
from sidecar.fleet.publishing import Publishing
from sidecar.fleet.receiving import Receiving
from sidecar.fleet.serving import Serving
from sidecar.fleet.shared_clock import SharedClock
from sidecar.fleet.store import Store
from sidecar.metrics.fleet import FleetMetrics
from sidecar.metrics.labels import LoopName
from sidecar.models import MarketCap, Mint
from sidecar.refresh.batches import Future
from sidecar.runtime.aio import race
from sidecar.service.wiring import Engine


class Fleet:
    """`wake` has a loop run now; `tracked_changed` hears when the tracked set may have changed."""

    def __init__(
        self,
        engine: Engine,
        *,
        metrics: FleetMetrics,
        redact: Callable[[str], str],
        wake: Callable[[LoopName], None],
        tracked_changed: Callable[[], None],
    ) -> None:
        settings = engine.settings.fleet
        self._engine = engine
        clock = self._clock = engine.clock
        self._metrics = metrics
        shared_clock = SharedClock(clock)
        store = self._store = Store(str(settings.redis_url), Keys(settings.namespace), redact)
        membership = self._membership = Membership(
            store, shared_clock, lease_seconds=settings.lease_seconds, clock=clock, changed=self._role_changed
        )
        demand = self._demand = Demand(store, engine.tracker, membership, shared_clock)
        publishing = self._publishing = Publishing(engine, store, membership, shared_clock)
        receiving = self._receiving = Receiving(engine, store, shared_clock, metrics)
        misses = self._misses = MissRoad(
            engine.misses.ask,
            send=demand.miss,
            forwards=lambda: self.role == "follower",
            clock=clock,
            metrics=metrics,
        )
        serving = Serving(
            engine,
            publishing,
            membership,
            shared_clock=shared_clock,
            metrics=metrics,
            tracked_changed=tracked_changed,
        )
        self._listening = Listening(
            engine,
            store,
            membership,
            shared_clock=shared_clock,
            metrics=metrics,
            demand=demand,
            publishing=publishing,
            receiving=receiving,
            serving=serving,
            misses=misses,
            tracked_changed=tracked_changed,
        )
        self._duty = Duty(engine, membership, lambda: self.role, wake)
        self._chores = Chores(
            engine, demand, publishing, misses, role=lambda: self.role, wake=wake, tracked_changed=tracked_changed
        )
        self._task: asyncio.Task[None] | None = None
        engine.publisher.listen(self._published)

    @property
    def role(self) -> Role:
        """What this sidecar is; it follows only once it has taken everything over."""
        role = self._membership.role
        return "alone" if role == "follower" and not self._listening.has_joined else role

    def ask(self, mints: Iterable[Mint]) -> dict[Mint, Future]:
        """Fetch mints that look-ups wait for, by the leader where there is one."""
        return self._misses.ask(mints)

    def request(self, mint: Mint, times: int = 1) -> bool:
        """Count requests for the whole fleet. Returns whether the tracked set changed because of them."""
        return self._demand.request(mint, times)

    def when_on_duty(self, step: Step) -> Step:
        """Return a step that does nothing, successfully, while another sidecar does it."""
        return self._duty.when_on_duty(step)

    async def join(self) -> None:
        """Begin to take part; returns when everything was taken over, or when that cannot be."""
        self._task = asyncio.create_task(self._run(), name="fleet")
        await self._wait_joined(self._engine.settings.refresh.startup_deadline_seconds)

    async def wait_broken(self) -> None:
        """Return only when taking part has ended by itself, which it never should, raising what ended it."""
        if self._task is not None:
            await asyncio.wait([self._task])
            self._task.result()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for work in (self._beat, self._listening.run, self._publishing.run, self._chores.run):
                tasks.create_task(work(), name="fleet")

    async def _wait_joined(self, most_seconds: float) -> None:
        await race(self._listening.join_ended.wait(), self._clock.sleep(most_seconds))

    async def leave(self) -> None:
        """Let others lead; misses go to the upstreams from now on. Harmless when that was done."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        await self._membership.leave()
        await self._misses.stop()

    def status(self) -> dict[str, Any]:
        """Return what `/status` says of the fleet."""
        membership = self._membership
        return {
            "role": self.role,
            "connected": self.role != "alone",
            "member": membership.member,
            "leader": membership.leader if self.role != "alone" else None,
            "members": membership.members,
            "last_error": membership.last_error or self._listening.last_error,
        }

    async def _beat(self) -> None:
        while True:
            pause = await self._membership.beat()
            if self._membership.role == "alone":
                self._listening.join_ended.set()
            self._duty.look()
            self._show()
            await self._clock.sleep(pause)

    def _role_changed(self, before: Role, role: Role) -> None:
        self._listening.role_changed(role)
        self._duty.role_changed(role)
        if before == "follower":
            self._misses.fall_back()
        self._show()

    def _show(self) -> None:
        self._metrics.connected.set(self.role != "alone")
        self._metrics.leader.set(self.role == "leader")
        self._metrics.members.set(self._membership.members)

    def _published(self, mint: Mint, cap: MarketCap | None) -> None:  # noqa: ARG002 - what is in memory is sent
        if self._membership.role == "leader" and not self._receiving.is_applying:
            self._publishing.value(mint)
