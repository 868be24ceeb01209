"""The eleven behaviours of the service this one replaces."""

import asyncio
from pathlib import Path

import pytest

import sidecar
from sidecar.config.settings import Settings, TrackingSettings
from sidecar.demo import Fault
from sidecar.errors import InvalidMintError, NotPricedError, NotRunningError
from sidecar.models import USDC, USDT
from sidecar.service.service import PreCacheService
from tests.running import WatchedMarket, running
from tests.service.tokens import BONK, JUP, PRICED, SOL, nobodys, plain_tokens

NO_TRENDING = Settings(tracking=TrackingSettings(trending_tokens=0))


def loop_tasks() -> set[str]:
    names = {task.get_name() for task in asyncio.all_tasks()}
    return {name for name in names if name.startswith(("loop:", "lag", "metrics", "refresh"))}


async def test_a_new_service_has_the_popular_list_and_does_nothing_yet() -> None:
    service = PreCacheService()
    assert service.get_stats() == {
        "tracked_tokens": 11,
        "popular_tokens": 11,
        "total_requests": 0,
        "total_cache_hits": 0,
        "hit_rate": 0.0,
        "running": False,
    }
    assert loop_tasks() == set()
    with pytest.raises(NotRunningError):
        await service.get(JUP)
    with pytest.raises(NotRunningError):
        service.track_request(JUP)


async def test_start_and_stop_may_be_called_twice_and_again() -> None:
    async with running() as rig:
        service = rig.service
        await rig.warm()
        started = set(service._begun().tasks)
        await service.start()
        assert set(service._begun().tasks) == started
        assert {"loop:popular", "loop:tracked", "loop:trending", "loop:stats"} < loop_tasks()
        await service.stop()
        await service.stop()
        assert (service.running, loop_tasks()) == (False, set())
        await service.start()
        await rig.warm()
        assert (await service.get(JUP)).cached
        assert service.get_stats()["running"]


async def test_what_was_in_memory_is_still_served_after_the_stop() -> None:
    async with running() as rig:
        await rig.warm()
        await rig.service.stop()
        assert (await rig.service.get(JUP)).cached


async def test_a_batch_is_fetched_once_and_then_answered_from_memory() -> None:
    async with running(NO_TRENDING) as rig:
        await rig.warm()
        batch = plain_tokens(rig.market, 40)
        first = await rig.finish(rig.service.get_many(batch))
        calls = rig.calls()
        second = await rig.finish(rig.service.get_many(batch))
        assert (list(first.tokens), first.errors) == (batch, {})
        assert {mint: cap.market_cap_usd for mint, cap in first.tokens.items()} == {
            mint: pytest.approx(rig.market.market_cap(mint), rel=1e-3) for mint in batch
        }
        assert not any(cap.cached for cap in first.tokens.values())
        assert all(cap.cached for cap in second.tokens.values())
        assert rig.calls() == calls


async def test_one_bad_mint_of_a_batch_does_not_spoil_the_others() -> None:
    async with running(NO_TRENDING) as rig:
        await rig.warm()
        good, unknown = plain_tokens(rig.market, 3), nobodys(1)[0]
        many = await rig.finish(rig.service.get_many([*good, "not a mint", unknown, JUP, JUP]))
        assert list(many.tokens) == [JUP, *good]
        assert {mint: type(error) for mint, error in many.errors.items()} == {
            "not a mint": InvalidMintError,
            unknown: NotPricedError,
        }


async def test_the_fifth_request_within_the_window_makes_a_token_join_and_stay_warm() -> None:
    async with running(NO_TRENDING) as rig:
        await rig.warm()
        mint = plain_tokens(rig.market, 1)[0]
        for _ in range(4):
            rig.service.track_request(mint)
        assert (rig.service.get_stats()["tracked_tokens"], rig.cap(mint)) == (11, None)
        rig.service.track_request(mint)
        await rig.settle()
        assert rig.service.get_stats()["tracked_tokens"] == 12
        assert rig.age(mint) == 0


async def test_trending_tokens_come_from_all_lists_by_rank_without_sol_and_stablecoins() -> None:
    def fix(market: WatchedMarket) -> None:
        mints = plain_tokens(market, 5)
        market.set_trending("dexscreener", (USDC, mints[0], mints[1]))
        market.set_trending("jupiter", (USDT, mints[2], mints[3], mints[0]))
        market.set_trending("geckoterminal", (SOL, mints[4]))

    async with running(prepare=fix) as rig:
        await rig.warm()
        mints = plain_tokens(rig.market, 5)
        merged = [mints[0], mints[2], mints[4], mints[1], mints[3]]
        assert list(rig.service.engine.tracker.tier("trending")) == merged
        assert [rig.age(mint) for mint in merged] == [0] * 5


async def test_a_trending_list_that_fails_keeps_its_last_tokens() -> None:
    async with running() as rig:
        await rig.warm()
        before = rig.service.engine.tracker.tier("trending")
        for source in ("dexscreener", "jupiter", "geckoterminal"):
            rig.market.faults[source] = Fault(kind="status", status=500)
        await rig.run_for(601)
        assert rig.service.engine.tracker.tier("trending") == before


async def test_statistics_have_exactly_these_keys_and_add_up() -> None:
    async with running(NO_TRENDING) as rig:
        await rig.warm()
        for _ in range(3):
            await rig.service.get(JUP)
        await rig.outcome(nobodys(1)[0])
        await rig.outcome(nobodys(1)[0])
        await rig.outcome(plain_tokens(rig.market, 1)[0])
        await rig.outcome("not a mint")
        rig.service.track_request(BONK, cache_hit=True)
        rig.service.track_request(BONK)
        assert rig.service.get_stats() == {
            "tracked_tokens": 11,
            "popular_tokens": 11,
            "total_requests": 8,
            "total_cache_hits": 4,
            "hit_rate": 50.0,
            "running": True,
        }
        await rig.service.get(JUP)
        assert rig.service.get_stats()["hit_rate"] == 55.6


async def test_a_request_for_what_is_no_mint_is_not_counted() -> None:
    async with running(NO_TRENDING) as rig:
        with pytest.raises(InvalidMintError):
            rig.service.track_request("not a mint")
        assert rig.service.get_stats()["total_requests"] == 0


async def test_the_popular_list_is_refreshed_every_minute() -> None:
    async with running(NO_TRENDING) as rig:
        await rig.warm()
        for number in range(1, 6):
            rig.market.set_price(BONK, 1e-5 * (1 + number / 100))
            await rig.run_for(60)
            cap = await rig.service.get(BONK)
            assert cap.cached
            assert cap.price_usd == pytest.approx(1e-5 * (1 + number / 100), rel=1e-12)
            assert max(rig.age(mint) for mint in PRICED) <= 60
        assert rig.calls_since(0)["jupiter", "/tokens/v2/search"] == 6


async def test_the_process_has_one_service_until_it_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "popular.yaml").write_text(f"tokens: [{{mint: {JUP}, symbol: JUP}}]\n")
    closed = "\n".join(
        f"  {name}: {{base_url: 'http://127.0.0.1:1'}}"
        for name in ("jupiter", "dexscreener", "geckoterminal", "solana_rpc")
    )
    config = tmp_path / "sidecar.yaml"
    config.write_text(f"sources:\n{closed}\n")
    assert sidecar.get_precache_service() is None
    service = await sidecar.start_precache_service(config)
    try:
        assert await sidecar.start_precache_service() is service
        assert sidecar.get_precache_service() is service
        assert isinstance(service, sidecar.PreCacheService)
        assert (service.running, service.get_stats()["popular_tokens"]) == (True, 1)
    finally:
        await sidecar.stop_precache_service()
        await sidecar.stop_precache_service()
    assert not service.running
    assert sidecar.get_precache_service() is None


async def test_the_process_wide_service_takes_settings_as_they_are() -> None:
    async with running(start=False) as rig:
        settings = rig.service.settings
        one, two = await asyncio.gather(
            sidecar.start_precache_service(settings), sidecar.start_precache_service(settings)
        )
        await sidecar.stop_precache_service()
        assert one is two
        assert one.settings is settings


async def test_trending_tokens_are_at_most_as_many_as_the_settings_allow() -> None:
    async with running() as rig:
        await rig.warm()
        assert rig.service.engine.tracker.size("trending") == 50


async def test_there_are_never_more_than_five_upstream_calls_at_once() -> None:
    def slow(market: WatchedMarket) -> None:
        market.latency_seconds = 0.3

    async with running(prepare=slow, tokens=1200) as rig:
        await rig.run_for(20)
        await rig.finish(rig.service.get_many(list(rig.market.tokens)[11:1011]))
        await rig.run_for(60)
        assert rig.market.watched_clock.most_sleeping == 5
        assert rig.calls() > 40
