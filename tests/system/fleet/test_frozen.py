"""Members that are killed, frozen, of other versions or set otherwise: nothing old comes back."""

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import yaml

from sidecar.demo import Market, serve
from sidecar.demo.tokens import address_of
from tests.service.tokens import plain_tokens
from tests.system.fleet.proxy import proxy
from tests.system.fleet.sidecars import MINT, Sidecar, Stage, eventually, leader_of, stage

FROZEN_SECONDS: Final = 30.0
LATE_SECONDS: Final = 0.5
"""How late the thawed leader hears that another one leads: it refreshes meanwhile, and tries to tell."""
HOURS: Final = 7.0


async def test_what_was_frozen_for_half_a_minute_overwrites_nothing_while_others_of_every_kind_go_on(
    tmp_path: Path,
) -> None:
    """The leader that is frozen has a market of its own: the price tells which member a value is from."""
    elsewhere = Market(tokens=200, spread=0.0)
    async with stage(tmp_path) as fleet, serve(elsewhere) as urls, proxy(fleet.redis.socket) as slow:
        old, new = fleet.market.price(MINT) * 1.2, fleet.market.price(MINT)
        elsewhere.set_price(MINT, old)
        fleet.market.set_price(MINT, new)
        leader = await fleet.start(urls=urls, redis_url=slow.url, odd=("later",))
        sleeper, first, second = await asyncio.gather(fleet.start(), fleet.start(), fleet.start())
        assert await leader_of([leader, sleeper, first, second]) is leader
        assert [await first.price(), await sleeper.price()] == [old, old]
        await assert_asks_the_leader(second, fleet)

        leader.freeze()
        sleeper.freeze()
        thaw_at = time.monotonic() + FROZEN_SECONDS
        successor = await leader_of([first, second])
        await eventually(lambda: all_have([first, second], new))
        seen = {one: len(one.prices) for one in (first, second)}
        another = await fleet.start(urls=urls, odd=("format",))
        differing = await start_differing(fleet)
        assert [await another.role(), await another.price()] == ["leader", old]
        assert [await differing.role(), await successor.role()] == ["follower", "leader"]
        await assert_is_as_old_as(differing, successor)
        await flood(differing)

        await asyncio.sleep(thaw_at - time.monotonic())
        slow.seconds = LATE_SECONDS
        leader.thaw()
        sleeper.thaw()
        members = [leader, sleeper, first, second, differing]
        await eventually(lambda: has_another_leader(leader))
        slow.seconds = 0.0
        assert await leader_of(members) is successor
        await eventually(lambda: all_have(members, new))
        await assert_asks_the_leader(leader, fleet)
        assert {price for one, count in seen.items() for price in one.prices[count:]} == {new}
        assert set(another.prices) == {old}

        successor.kill()
        members.remove(successor)
        await leader_of(members)


async def has_another_leader(sidecar: Sidecar) -> bool:
    return await sidecar.role() != "leader"


async def all_have(sidecars: list[Sidecar], price: float) -> bool:
    return all([await sidecar.price() == price for sidecar in sidecars])


async def assert_asks_the_leader(sidecar: Sidecar, fleet: Stage) -> None:
    """Look up what is in no memory until the leader fetches it in time, of whatever version either is."""
    unknown = iter(plain_tokens(fleet.market, 40)[fleet.misses :])

    async def is_fetched_by_the_leader() -> bool:
        fleet.misses += 1
        before = await sidecar.metric("fleet_fallbacks_total")
        assert "price_usd" in await sidecar.process.token(next(unknown))
        return await sidecar.metric("fleet_fallbacks_total") == before

    await eventually(is_fetched_by_the_leader)


async def start_differing(fleet: Stage) -> Sidecar:
    """Start one with a popular list and settings of its own, its clocks hours off; what it wants is kept warm."""
    own = plain_tokens(fleet.market, 1)[0]
    popular = fleet.folder / "popular.yaml"
    popular.write_text(yaml.safe_dump({"tokens": [{"mint": mint, "symbol": "OWN"} for mint in (own, MINT)]}))
    settings: dict[str, Any] = {
        "tracking": {"max_tokens": 5, "trending_tokens": 0},
        "refresh": {"popular_seconds": 2},
    }
    differing = await fleet.start(odd=(f"clock={HOURS}",), popular_file=str(popular), **settings)
    assert (await differing.process.token(own))["symbol"] == "OWN"
    return differing


async def assert_is_as_old_as(differing: Sidecar, other: Sidecar) -> None:
    here, there = await asyncio.gather(differing.process.token(MINT), other.process.token(MINT))
    assert abs(here["age_seconds"] - there["age_seconds"]) < 1.5
    assert abs(here["timestamp"] - 3600 * HOURS - there["timestamp"]) < 1.5


async def flood(sidecar: Sidecar) -> None:
    """Ask for a thousand mints that there are not; what all others are asked for meanwhile must not suffer."""
    answer = await sidecar.process.tokens([address_of(f"nothing {number}") for number in range(1000)])
    codes = {error["code"] for error in answer["errors"].values()}
    assert codes <= {"not_priced", "overloaded", "deadline_exceeded"}
