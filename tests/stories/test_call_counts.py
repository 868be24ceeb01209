"""What an hour of keeping tokens warm costs the upstreams, and how old the tokens get meanwhile."""

from collections import Counter

from sidecar.config.settings import PricingSettings, Settings
from sidecar.demo import Fault, Source
from tests.running import Rig, WatchedMarket, running
from tests.service.tokens import POPULAR_MINTS, PRICED, STSOL, plain_tokens

HOUR = 3600.0
PRICE_CALLS: dict[Source, str] = {
    "jupiter": "/tokens/v2/search",
    "dexscreener": "/tokens/v1/solana",
    "geckoterminal": "/networks/solana/tokens/multi",
}
TRENDING_CALLS: dict[Source, str] = {
    "jupiter": "/tokens/v2/toptrending",
    "dexscreener": "/token-boosts/top/v1",
    "geckoterminal": "/networks/solana/trending_pools",
}


def with_empty_trending_lists(market: WatchedMarket) -> None:
    for source in TRENDING_CALLS:
        market.set_trending(source, ())


async def track_a_hundred(rig: Rig) -> None:
    """Let 89 requested tokens join the popular eleven, and everything warm up."""
    for mint in plain_tokens(rig.market, 89):
        for _ in range(5):
            rig.service.track_request(mint)
    await rig.run_for(600)
    assert len(rig.service.engine.tracker.mints) == 100


async def an_hour(rig: Rig) -> Counter[tuple[str, str]]:
    """Let an hour pass and count the calls; no token may get older than its interval and 10 s meanwhile."""
    start = rig.clock.monotonic()
    worst: Counter[str] = Counter()
    while rig.clock.monotonic() < start + HOUR:
        await rig.run_for(5)
        for mint in rig.service.engine.tracker.mints - {STSOL}:
            worst[mint] = max(worst[mint], rig.age(mint))  # type: ignore[assignment]
    assert max(worst[mint] for mint in PRICED) <= 60 + 10
    assert max(worst.values()) <= 300 + 10
    return rig.calls_since(start)


async def test_the_default_settings_cost_under_200_calls_an_hour_with_comparison() -> None:
    async with running(prepare=with_empty_trending_lists) as rig:
        await track_a_hundred(rig)
        calls = await an_hour(rig)
        assert 60 <= calls["jupiter", PRICE_CALLS["jupiter"]] <= 64
        assert 60 <= calls["dexscreener", PRICE_CALLS["dexscreener"]] <= 64
        assert calls["geckoterminal", PRICE_CALLS["geckoterminal"]] <= 4
        assert [calls[source, name] for source, name in TRENDING_CALLS.items()] == [6, 6, 6]
        assert calls["solana_rpc", "getMultipleAccounts"] <= 13
        assert calls["solana_rpc", "getSupply"] == 1
        assert calls.total() <= 160


async def test_without_a_source_to_compare_they_cost_at_most_120() -> None:
    settings = Settings(pricing=PricingSettings(sources=("jupiter",)))
    async with running(settings, prepare=with_empty_trending_lists) as rig:
        await track_a_hundred(rig)
        calls = await an_hour(rig)
        assert calls.total() <= 100


async def test_trending_lists_that_keep_changing_do_not_break_the_bound() -> None:
    async with running() as rig:
        for mint in plain_tokens(rig.market, 39):
            for _ in range(5):
                rig.service.track_request(mint)
        await rig.run_for(600)
        start = rig.clock.monotonic()
        await rig.run_for(HOUR)
        assert len(rig.service.engine.tracker.mints) == 100
        assert rig.calls_since(start).total() < 200


async def test_a_hundred_tokens_are_compared_with_a_second_source_every_ten_minutes() -> None:
    async with running(prepare=with_empty_trending_lists) as rig:
        await track_a_hundred(rig)
        for _ in range(6):
            await rig.run_for(60)
            caps = [rig.cap(mint) for mint in rig.service.engine.tracker.mints - {STSOL}]
            assert {cap and cap.confidence for cap in caps} == {"high"}


async def test_what_has_no_price_is_asked_for_alone_less_and_less() -> None:
    async with running(prepare=with_empty_trending_lists) as rig:
        await rig.run_for(HOUR)
        alone = [mints for _, _, _, mints in rig.market.times if mints == (STSOL,)]
        asked = {source: rig.asked_for(STSOL, source) for source in PRICE_CALLS}
        assert asked["geckoterminal"] <= 7
        assert asked["jupiter"] == asked["dexscreener"] == rig.calls_since(0)["jupiter", PRICE_CALLS["jupiter"]]
        assert len(alone) <= 7
        assert rig.cap(STSOL) is None
        assert POPULAR_MINTS.index(STSOL) >= 0


async def test_a_start_asks_ten_times_the_trending_lists_and_their_tokens_included() -> None:
    async with running() as rig:
        await rig.run_for(20)
        calls = rig.calls_since(0)
        assert calls.total() == 10
        assert calls["jupiter", PRICE_CALLS["jupiter"]] == 1
        assert calls["solana_rpc", "getMultipleAccounts"] == 1
        assert len(rig.service.engine.tracker.tier("trending")) >= 40
        assert all(rig.cap(mint) for mint in rig.service.engine.tracker.tier("trending"))


def hang_a_list(market: WatchedMarket) -> None:
    market.faults["geckoterminal"] = Fault(kind="hang")


async def test_a_start_waits_half_a_second_at_most_for_the_trending_lists() -> None:
    async with running(prepare=hang_a_list) as rig:
        await rig.run_for(0.49)
        assert rig.cap(PRICED[0]) is None
        await rig.run_for(0.02)
        assert all(rig.cap(mint) for mint in PRICED)


async def test_a_look_up_at_the_start_does_not_wait_for_the_trending_lists() -> None:
    async with running(prepare=hang_a_list) as rig:
        found = await rig.finish(rig.service.get(PRICED[0]), within=0.1)
        assert found.confidence == "high"
