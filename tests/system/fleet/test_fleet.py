"""One refresh for all: what one member fetches is in every member's memory."""

import asyncio
import time

import msgspec
import pytest

from sidecar.config.settings import TrackingSettings
from sidecar.demo.tokens import address_of
from sidecar.errors import NotPricedError
from sidecar.fleet import misses
from sidecar.fleet.keys import Keys
from sidecar.fleet.redis_calls import NEWS_SECONDS
from sidecar.service.service import PreCacheService
from tests.service.tokens import PRICED, plain_tokens
from tests.system.fleet.members import (
    QUIET,
    SLOW_MACHINE_SECONDS,
    cap,
    fleet,
    is_warm,
    metric,
    role,
    shared,
    until,
)

pytestmark = pytest.mark.usefixtures("patient")


async def test_a_fleet_asks_the_upstreams_as_often_as_one_member_alone() -> None:
    async with fleet() as rig:
        await rig.formed(1)
        alone = rig.market.total
    async with fleet() as rig:
        members = await rig.formed(5)
        assert rig.market.total == alone
        for mint in PRICED:
            assert len({(found := cap(member, mint)) and found.price_usd for member in members}) == 1
        await until(lambda: [metric(member, "fleet_members") for member in members] == [5.0] * 5)
        assert sum(metric(member, "fleet_leader") for member in members) == 1.0
        await until(lambda: [metric(member, "fleet_connected") for member in members] == [1.0] * 5)


async def test_a_sidecar_that_joins_is_warm_before_it_serves_and_asks_no_upstream() -> None:
    async with fleet() as rig:
        await rig.formed(2)
        before = rig.market.total
        (newcomer,) = await rig.join()
        assert is_warm(newcomer)
        assert role(newcomer) == "follower"
        assert all(cap(newcomer, mint) for mint in PRICED)
        assert rig.market.total == before
        explained = newcomer.engine.cache.peek(PRICED[3])
        assert explained is not None
        assert {quote.source for quote in explained.explanation} >= {"jupiter", "dexscreener"}
        states = newcomer.engine.token_states
        assert all((state := states.get(mint)) and state.chain and state.circulating for mint in PRICED[3:5])


async def test_a_change_reaches_every_member() -> None:
    async with fleet() as rig:
        members = await rig.formed(3)
        mint = PRICED[3]
        rig.market.set_price(mint, rig.market.price(mint) * 1.01)
        rig.leader.health.loops["popular"].wake()
        before = cap(rig.leader, mint)
        await until(lambda: cap(rig.leader, mint) != before)
        now = cap(rig.leader, mint)
        assert now is not None
        await until(lambda: all((found := cap(m, mint)) and found.price_usd == now.price_usd for m in members))
        assert all(metric(member, "fleet_propagation_seconds_count") > 0 for member in rig.followers)


async def test_a_miss_of_a_follower_is_asked_by_the_leader_and_is_then_in_every_memory() -> None:
    async with fleet() as rig:
        await rig.formed(3)
        mint = plain_tokens(rig.market, 1)[0]
        before = rig.market.by_source()
        first, second = rig.followers
        found = await first.get(mint)
        assert found.cached is False
        assert metric(first, "fleet_fallbacks_total") == 0.0
        asked = rig.market.by_source() - before
        assert asked == {"jupiter": 1, "solana_rpc": 1}
        await until(lambda: cap(second, mint))
        assert (await second.get(mint)).cached is True


async def test_two_hundred_misses_at_once_on_ten_followers_are_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(misses, "ANSWER_SECONDS", 9.0)  # eleven members share a core
    async with fleet() as rig:
        await rig.formed(11)
        mints = plain_tokens(rig.market, 20)
        before = rig.market.by_source()
        found = await asyncio.gather(*(member.get(mint) for member in rig.followers for mint in mints))
        assert len(found) == 200
        asked = rig.market.by_source() - before
        assert asked == {"jupiter": 1, "solana_rpc": 1}
        assert sum(metric(member, "fleet_fallbacks_total") for member in rig.followers) == 0.0


async def test_every_member_knows_that_a_token_has_no_price() -> None:
    async with fleet() as rig:
        members = await rig.formed(2)
        mint = address_of("nobody knows this one")
        (follower,) = rig.followers
        for member in (follower, rig.leader):
            try:
                await member.get(mint)
            except NotPricedError:
                continue
            raise AssertionError(role(member))
        assert len(members) == 2


async def test_requests_of_all_members_together_make_a_token_tracked() -> None:
    async with fleet() as rig:
        await rig.formed(5)
        mint = plain_tokens(rig.market, 1)[0]
        for member in rig.followers:
            await member.get(mint)
        await rig.leader.get(mint)
        assert mint not in rig.leader.engine.tracker.mints
        await until(lambda: mint in rig.leader.engine.tracker.tier("requested"))


async def test_the_popular_lists_of_all_members_are_kept_warm_by_the_leader() -> None:
    async with fleet() as rig:
        await rig.formed(1)
        other = plain_tokens(rig.market, 1)[0]
        popular = (msgspec.structs.replace(QUIET.popular[0], mint=other, symbol="OTHER"),)
        (member,) = await rig.join(settings=msgspec.structs.replace(rig.settings, popular=popular))
        assert role(member) == "follower"
        await until(lambda: cap(member, other))
        assert (found := cap(member, other))
        assert found.symbol == "OTHER"
        await until(lambda: other in rig.leader.engine.tracker.always)
        assert rig.leader.engine.tracker.popular == tuple(token.mint for token in QUIET.popular)
        before = rig.market.total
        rig.leader.health.loops["popular"].wake()
        await until(lambda: rig.market.total > before)
        assert other in rig.market.asked[-1][3] or other in rig.market.asked[-2][3]


async def test_a_leader_that_keeps_fewer_tokens_still_fetches_what_a_follower_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sidecar.fleet.chores.FORGOTTEN_EVERY", 1)
    full = msgspec.structs.replace(QUIET, tracking=TrackingSettings(max_tokens=11, trending_tokens=0))
    async with fleet(full) as rig:
        await rig.formed(1)
        other = plain_tokens(rig.market, 1)[0]
        popular = (msgspec.structs.replace(QUIET.popular[0], mint=other, symbol="OTHER"),)
        (member,) = await rig.join(settings=msgspec.structs.replace(rig.settings, popular=popular))
        await until(lambda: cap(member, other))
        assert other not in rig.leader.engine.tracker.mints
        assert metric(member, "fleet_fallbacks_total") == 0.0


async def test_followers_have_the_leaders_trending_list() -> None:
    settings = msgspec.structs.replace(QUIET, tracking=TrackingSettings(trending_tokens=5))
    async with fleet(settings) as rig:
        await rig.formed(2)
        (follower,) = rig.followers
        await until(lambda: len(rig.leader.engine.tracker.tier("trending")) == 5)
        await until(lambda: follower.engine.tracker.tier("trending") == rig.leader.engine.tracker.tier("trending"))


async def test_a_flood_of_unknown_mints_on_one_follower_leaves_the_others_their_share() -> None:
    async with fleet() as rig:
        await rig.formed(3)
        flooded, other = rig.followers
        flood = flooded.get_many(address_of(f"unknown {number}") for number in range(1000))
        flooding = asyncio.create_task(flood)
        await asyncio.sleep(0)
        for mint in plain_tokens(rig.market, 2):
            found = await other.get(mint)
            assert found.price_usd > 0
        codes = {error.code for error in (await flooding).errors.values()}
        assert codes <= {"not_priced", "overloaded", "deadline_exceeded", "upstream_unavailable"}


async def test_a_follower_whose_leader_does_not_answer_asks_for_itself() -> None:
    async with fleet() as rig:
        await rig.formed(2)
        (follower,) = rig.followers
        await stop_listening(rig.leader)
        began = time.monotonic()
        found = await follower.get(plain_tokens(rig.market, 1)[0])
        assert found.price_usd > 0
        assert 0.5 <= time.monotonic() - began < 1.5 + SLOW_MACHINE_SECONDS
        assert metric(follower, "fleet_fallbacks_total") == 1.0


async def stop_listening(member: PreCacheService) -> None:
    """Let a leader be deaf: it still leads, but does not hear what is wanted."""
    assert member._run is not None
    assert member._run.fleet is not None
    listening = member._run.fleet._listening

    async def deaf(_: object) -> None:
        await asyncio.sleep(60)

    listening._hear = deaf  # type: ignore[assignment,method-assign] # alive and deaf
    await asyncio.sleep(NEWS_SECONDS + 0.1)


async def test_a_leader_that_stops_hands_over_at_once() -> None:
    async with fleet() as rig:
        await rig.formed(2, settings=shared(rig.settings, rig.redis.url, lease_seconds=60.0))
        leader, (follower,) = rig.leader, rig.followers
        before = rig.market.total
        await leader.stop()
        rig.members.remove(leader)
        await until(lambda: role(follower) == "leader")
        assert rig.market.total == before


async def test_a_member_that_was_away_for_long_takes_everything_over_anew() -> None:
    async with fleet() as rig:
        await rig.formed(2)
        (follower,) = rig.followers
        for key in (Keys("mc-sidecar").changes,):
            await rig.redis.command("DEL", key)
        received = metric(follower, "fleet_values_received_total")
        rig.leader.health.loops["popular"].wake()
        await until(lambda: metric(follower, "fleet_values_received_total") >= received + len(PRICED))


async def test_without_a_url_nothing_of_a_fleet_is_there() -> None:
    service = PreCacheService(QUIET)
    assert service.fleet_status() is None
    assert service.registry.get_sample_value("mc_sidecar_fleet_members") is None
