"""The follower's road for misses."""

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry

from sidecar.fleet.misses import MissRoad
from sidecar.metrics.fleet import FleetMetrics
from sidecar.models import Mint
from sidecar.refresh.batches import Future, new_future
from sidecar.runtime.clock import SystemClock
from tests.service.tokens import JUP


async def test_a_miss_that_waits_for_the_upstreams_is_not_asked_of_them_and_counted_again() -> None:
    asked: list[Mint] = []
    fetched = new_future()

    def ask_upstreams(mints: Iterable[Mint]) -> dict[Mint, Future]:
        asked.extend(mints)
        return {Mint(JUP): fetched}

    async def send(_: Sequence[Mint]) -> None:
        pass

    registry = CollectorRegistry()
    road = MissRoad(
        ask_upstreams, send=send, forwards=lambda: True, clock=SystemClock(), metrics=FleetMetrics(registry)
    )
    future = road.ask([Mint(JUP)])[Mint(JUP)]
    road.fall_back()
    road.fall_back([Mint(JUP)])
    assert asked == [JUP]
    assert registry.get_sample_value("mc_sidecar_fleet_fallbacks_total") == 1.0
    fetched.set_result(None)
    assert await future is None
    await road.stop()
