"""A Redis that takes signs of life and does not let a member hear the fleet; a miss when a member stops."""

import asyncio
from typing import Any

import pytest

from sidecar.service.service import PreCacheService
from tests.service.tokens import plain_tokens
from tests.system.fleet.members import fleet, role, until


async def test_a_follower_that_may_not_hear_the_fleet_is_alone_and_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with fleet() as rig:
        await rig.formed(2)
        (follower,) = rig.followers
        await rig.redis.command("ACL", "SETUSER", "default", "-xread")
        await until(lambda: role(follower) == "alone")
        assert "xread" in status(follower)["last_error"]
        assert not status(follower)["connected"]
        assert [record.message for record in caplog.records].count("the fleet is not heard") in {1, 2}
        await rig.redis.command("ACL", "SETUSER", "default", "+xread")
        await until(lambda: role(follower) == "follower")
        assert status(follower)["last_error"] is None


def status(member: PreCacheService) -> dict[str, Any]:
    told = member.fleet_status()
    assert told is not None
    return told


async def test_a_miss_under_way_outlives_the_loops_of_a_follower_that_stops() -> None:
    async with fleet() as rig:
        await rig.formed(2)
        (follower,) = rig.followers
        rig.market.latency_seconds = 0.3
        looking = asyncio.create_task(follower.get(plain_tokens(rig.market, 1)[0]))
        assert follower._run is not None
        assert follower._run.fleet is not None
        await until(follower._run.fleet._misses._waiting.__len__)
        follower._run.fleet._membership.rank = 0  # the first of those that begin alone asks at once
        await follower.stop_loops()
        assert (await looking).price_usd > 0
