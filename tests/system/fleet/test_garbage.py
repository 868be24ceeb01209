"""What another program writes into the fleet's keys is removed, and the fleet goes on."""

import pytest
from msgspec.structs import replace

from sidecar.demo.tokens import SOURCES
from sidecar.fleet.bounded_parser import LONGEST_ANSWER_BYTES
from sidecar.fleet.keys import Keys
from sidecar.service.service import PreCacheService
from tests.service.tokens import PRICED, plain_tokens
from tests.system.fleet.members import QUIET, FleetRig, cap, fleet, metric, role, until

pytestmark = pytest.mark.usefixtures("patient")

KEYS = Keys("mc-sidecar")
NOT_A_NUMBER = {KEYS.sequence: ("garbage", "9" * 400), KEYS.fence: ("garbage", "9" * 400)}

REPLACE = "redis.call('DEL', KEYS[1]) redis.call('LPUSH', KEYS[1], 'garbage')"
MANY_CALLS = {name: replace(getattr(QUIET.sources, name), requests_per_minute=6_000) for name in SOURCES}
SETTINGS = replace(QUIET, sources=replace(QUIET.sources, **MANY_CALLS))


async def test_one_key_with_something_else_in_it_is_made_good_whichever_it_is() -> None:
    async with fleet(SETTINGS) as rig:
        await rig.formed(2)
        for key in KEYS.types:
            await rig.redis.command("EVAL", REPLACE, 1, key)
            await goes_on(rig)
        for key, texts in NOT_A_NUMBER.items():
            for text in texts:
                await rig.redis.command("SET", key, text)
                await goes_on(rig)
        (newcomer,) = await rig.join()
        assert role(newcomer) == "follower"
        assert all(cap(newcomer, mint) for mint in PRICED)


async def goes_on(rig: FleetRig) -> None:
    """Wait until a follower has heard of a refresh, and has every value all the while."""
    received = {member: received_by(member) for member in rig.members}

    def has_heard() -> bool:
        assert all(member.lookups.find(mint) for member in rig.members for mint in PRICED)
        if len(rig.leaders) != 1 or len(rig.followers) != 1:
            return False
        rig.leader.health.loops["popular"].wake()
        (follower,) = rig.followers
        return received_by(follower) >= received[follower] + len(PRICED)

    await until(has_heard)


def received_by(member: PreCacheService) -> float:
    return metric(member, "fleet_values_received_total")


async def test_a_redis_in_its_place_whose_clock_is_behind_is_heard_all_the_same() -> None:
    async with fleet(SETTINGS) as rig:
        await rig.formed(2)
        await rig.redis.command("XADD", KEYS.changes, "9999999999999-0", "n", "0", "r", "from the future")
        await goes_on(rig)
        await rig.redis.stop()
        await rig.redis.start()
        await goes_on(rig)


async def test_entries_of_many_megabytes_are_not_read_and_the_fleet_goes_on() -> None:
    async with fleet(SETTINGS) as rig:
        await rig.formed(2)
        for key in (KEYS.changes, KEYS.wanted):
            await rig.redis.command("XADD", key, "*", "n", "1", "r", "x" * (LONGEST_ANSWER_BYTES + 1))
            await goes_on(rig)
        (follower,) = rig.followers
        await until(lambda: metric(follower, "fleet_connected") == 1.0)
        assert (await follower.get(plain_tokens(rig.market, 1)[0])).price_usd > 0
