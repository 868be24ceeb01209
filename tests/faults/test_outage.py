"""An hour and more without any upstream: values grow old, stale, and go; then all comes back by itself."""

from typing import Final

import pytest

from sidecar.demo import Fault
from sidecar.errors import UpstreamUnavailableError
from sidecar.refresh.schedule import RETRY_SECONDS
from sidecar.upstreams.breaker import LONGEST_PAUSE_SECONDS
from tests.faults.warm import QUIET, break_all, recovers, repair_all, run_warm, served_from_memory, stand_still
from tests.running import WatchedMarket, running
from tests.service.tokens import PRICED

MOST_SECONDS_TO_RECOVER: Final = LONGEST_PAUSE_SECONDS + RETRY_SECONDS
"""The last pause of a circuit begins as late as with the repair, and a retry comes just before its end."""


async def test_without_upstreams_values_grow_old_then_stale_then_go_and_come_back_in_a_refresh() -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        break_all(rig, Fault(kind="drop"))
        before = await served_from_memory(rig.service)
        calls = rig.calls()
        for minute in range(1, 59):
            await rig.run_for(60)
            passed = 60.0 * minute
            for old, cap in zip(before, await served_from_memory(rig.service), strict=True):
                assert cap.age_seconds == pytest.approx(old.age_seconds + passed, abs=0.002)
                assert cap.stale == (cap.age_seconds > 360)
                assert (cap.timestamp, cap.market_cap_usd) == (old.timestamp, old.market_cap_usd)
        assert rig.calls() - calls < 4 * 70  # an open circuit is tried once a minute
        await rig.run_for(121)
        for mint in PRICED:
            failure = await rig.outcome(mint)  # waits where a circuit is just being tried again
            assert isinstance(failure, UpstreamUnavailableError)
            assert 1 <= (failure.retry_after or 0) <= 60
        assert all(loop.overdue_seconds() < 0 for loop in rig.service.health.loops.values())
        repair_all(rig)
        assert await rig.run_until(lambda: all(map(rig.cap, PRICED)), MOST_SECONDS_TO_RECOVER)
        await recovers(rig)


async def test_an_outage_from_the_start_is_no_reason_not_to_start_and_ends_by_itself() -> None:
    def down(market: WatchedMarket) -> None:
        market.faults = dict.fromkeys(market.faults, Fault(kind="drop"))

    async with running(QUIET, prepare=down) as rig:
        await rig.run_for(300)
        assert rig.service.health.is_warm()
        assert rig.calls() < 100
        repair_all(rig)
        assert await rig.run_until(lambda: all(map(rig.cap, PRICED)), MOST_SECONDS_TO_RECOVER)
        await run_warm(rig, 60)
