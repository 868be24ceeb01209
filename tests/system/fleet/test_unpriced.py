"""That a mint has no price is remembered by every member as long as by the one that asked."""

import time

import pytest

from sidecar.demo.tokens import address_of
from sidecar.fleet.keys import Keys
from sidecar.fleet.records import Unpriced, encode
from sidecar.models import Mint
from sidecar.runtime.clock import Instant
from tests.system.fleet.members import QUIET, fleet, until

pytestmark = pytest.mark.usefixtures("patient")

AGE = QUIET.cache.negative_seconds + 1


async def test_a_member_that_joins_does_not_remember_anew_what_had_no_price_long_ago() -> None:
    async with fleet() as rig:
        await rig.formed(1)
        known = time.monotonic()
        for mint, age in (("old", AGE), ("new", 5.0)):
            unpriced = Unpriced(mint=Mint(address_of(mint)), reason="dead", received=known - age)
            record = encode(unpriced, Instant(known, time.time()))
            await rig.redis.command("HSET", Keys("mc-sidecar").values, address_of(mint), record)
        (newcomer,) = await rig.join()
        cache = newcomer.engine.cache
        assert cache.unpriced_reason(Mint(address_of("old"))) is None
        assert cache.last_unpriced_reason(Mint(address_of("old"))) == "dead"
        assert cache.unpriced_reason(Mint(address_of("new"))) == "dead"
        assert abs(cache.unpriced_since(Mint(address_of("new"))) - (known - 5.0)) < 1.0


async def test_a_leader_that_tells_again_what_has_no_price_says_since_when() -> None:
    async with fleet() as rig:
        await rig.formed(2)
        mint, since = Mint(address_of("no price")), time.monotonic() - 5.0
        rig.leader.engine.publisher.publish_unpriced(mint, "dead", since=since)
        (follower,) = rig.followers
        await until(lambda: follower.engine.cache.unpriced_reason(mint))
        assert abs(follower.engine.cache.unpriced_since(mint) - since) < 1.0
