"""The wall clock is set forward and back: ages, deadlines and budgets do not follow it."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from sidecar.demo import Fault
from tests.clock import UNIX_START
from tests.faults.warm import QUIET, break_all, recovers, repair_all, run_warm, served_from_memory, stand_still
from tests.running import running
from tests.service.tokens import PRICED

DAY = 86_400.0


@pytest.mark.parametrize("jump", [-DAY, DAY, -400 * DAY, 400 * DAY, -UNIX_START])
async def test_a_jump_of_the_wall_clock_changes_no_value_confidence_age_or_call(jump: float) -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(185)
        before = await served_from_memory(rig.service)
        calls = rig.calls_since(rig.clock.monotonic() - 120).total()
        rig.clock.set_unix(rig.clock.time() + jump)
        for old, cap in zip(before, await served_from_memory(rig.service), strict=True):
            assert (cap.age_seconds, cap.stale, cap.confidence) == (old.age_seconds, False, old.confidence)
        jumped = rig.clock.monotonic()
        await run_warm(rig, 120)
        assert rig.calls_since(jumped).total() <= calls + 2
        for old, cap in zip(before, await served_from_memory(rig.service), strict=True):
            assert (cap.stale, cap.confidence, cap.basis) == (False, old.confidence, old.basis)
            assert cap.timestamp == pytest.approx(rig.clock.time() - cap.age_seconds, abs=0.01)
        await recovers(rig)


@pytest.mark.parametrize("jump", [-DAY, DAY])
async def test_a_jump_during_an_outage_makes_nothing_younger_or_older(jump: float) -> None:
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        break_all(rig, Fault(kind="drop"))
        await run_warm(rig, 300)
        rig.clock.set_unix(rig.clock.time() + jump)
        for cap in await served_from_memory(rig.service):
            assert 300 <= cap.age_seconds <= 365
        await run_warm(rig, 60)
        assert all(cap.stale == (cap.age_seconds > 360) for cap in await served_from_memory(rig.service))
        await run_warm(rig, 3100, every=310)
        await rig.run_for(150)
        assert not any(map(rig.cap, PRICED))


@pytest.mark.parametrize("jump", [-DAY, DAY])
async def test_a_jump_after_a_429_with_a_date_keeps_no_call_waiting_for_a_day(jump: float) -> None:
    date = format_datetime(datetime.fromtimestamp(UNIX_START + 100, UTC), usegmt=True)
    async with running(QUIET, prepare=stand_still) as rig:
        await rig.run_for(65)
        break_all(rig, Fault(kind="status", status=429, headers={"Retry-After": date}))
        rig.clock.set_unix(rig.clock.time() + jump)
        await run_warm(rig, 60)
        repair_all(rig)
        await run_warm(rig, 320)
        await recovers(rig)
