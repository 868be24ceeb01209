"""The loops of a service over an hour."""

from tests.running import running
from tests.service.test_loops import QUIET


async def test_every_loop_runs_on_time_for_an_hour_and_none_is_ever_overdue() -> None:
    async with running(QUIET) as rig:
        overdue = []
        for _ in range(120):
            await rig.run_for(30)
            overdue += [loop.overdue_seconds() for loop in rig.service.health.loops.values()]
        assert max(overdue) < 0
        assert rig.metric("refresh_duration_seconds_count", loop="popular") in range(61, 65)
        assert rig.metric("refresh_duration_seconds_count", loop="trending") == 7
        assert rig.metric("refresh_duration_seconds_count", loop="stats") == 13
