"""Random valid mints in masses: bounded calls, bounded memory, and no other look-up notices."""

import asyncio
from collections import Counter

import pytest

from sidecar.config.settings import CacheSettings, Settings, TrackingSettings
from sidecar.demo import Fault
from sidecar.errors import McSidecarError
from tests.running import Rig, WatchedMarket, running
from tests.service.tokens import POPULAR_MINTS, PRICED, nobodys, plain_tokens

SMALL = Settings(tracking=TrackingSettings(trending_tokens=0), cache=CacheSettings(max_entries=500))
FULL = Settings(tracking=TrackingSettings(max_tokens=len(POPULAR_MINTS) + 9, trending_tokens=0))


async def flood(rig: Rig, per_second: int, seconds: int) -> tuple[Counter[str], float]:
    """Ask for unknown mints; return what came of it, and how old the popular tokens got meanwhile."""
    results: Counter[str] = Counter()

    async def ask(mint: str) -> None:
        try:
            await rig.service.get(mint)
        except McSidecarError as error:
            results[type(error).__name__] += 1

    worst, asking = 0.0, set()
    for second in range(seconds):
        asking |= {asyncio.create_task(ask(mint)) for mint in nobodys(per_second, second * per_second)}
        await rig.run_for(1)
        worst = max(worst, *(rig.age(mint) for mint in PRICED))
        assert (await rig.service.get(PRICED[second % len(PRICED)])).cached
    await rig.run_for(3)
    assert all(task.done() for task in asking)
    return results, worst


@pytest.mark.parametrize("per_second", [1, 20])
async def test_a_flood_of_unknown_mints_makes_no_popular_token_older_nor_any_call_too_many(
    per_second: int,
) -> None:
    async with running(SMALL) as rig:
        await rig.run_for(120)
        start = rig.clock.monotonic()
        results, worst = await flood(rig, per_second, 150)
        assert worst <= 60 + 10
        assert results.total() == 150 * per_second
        assert set(results) <= {
            "NotPricedError",
            "OverloadedError",
            "UpstreamUnavailableError",
            "DeadlineExceededError",
        }
        minutes = (rig.clock.monotonic() - start) / 60 + 1
        calls = Counter(source for at, source, _, _ in rig.market.times if at >= start)
        assert calls["jupiter"] <= 30 * minutes
        assert calls["geckoterminal"] <= 30 * minutes
        assert calls["dexscreener"] <= 300 * minutes
        assert calls["solana_rpc"] <= 240 * minutes


async def test_a_flood_leaves_every_structure_within_its_bound() -> None:
    async with running(SMALL) as rig:
        await rig.run_for(65)
        await flood(rig, 100, 22)
        engine = rig.service.engine
        misses = engine.misses
        assert [len(engine.batches._by_mint), len(misses._waiting), misses._count] == [0, 0, 0]
        assert len(engine.cache) <= 500
        assert len(engine.cache._unpriced) <= 500
        assert len(engine.token_states) <= 500 + 100
        assert all(len(entries) <= 500 for entries in engine.backoff._entries.values())
        assert len(engine.tracker._candidates) <= 2000
        assert engine.tracker.mints == frozenset(engine.tracker.popular)


async def test_more_misses_than_fit_are_refused_at_once() -> None:
    async with running(SMALL) as rig:
        await rig.warm()
        many = await rig.finish(rig.service.get_many(nobodys(5000)))
        assert not many.tokens
        kinds = Counter(type(error).__name__ for error in many.errors.values())
        assert kinds.total() == 5000
        assert kinds["OverloadedError"] >= 3000


async def test_invented_mints_that_get_no_answer_push_no_token_out() -> None:
    def down(market: WatchedMarket) -> None:
        for source in ("jupiter", "dexscreener", "geckoterminal"):
            market.faults[source] = Fault(kind="status", status=503)

    async with running(FULL) as rig:
        await rig.run_for(5)
        wanted = plain_tokens(rig.market, 9)
        for _ in range(5):
            await rig.finish(rig.service.get_many(wanted))
        tracked = rig.service.engine.tracker.mints
        assert tracked >= set(wanted)
        down(rig.market)
        for _ in range(8):
            failed = await rig.finish(rig.service.get_many(nobodys(30)))
            assert len(failed.errors) == 30
            await rig.run_for(10)
        assert rig.service.engine.tracker.mints == tracked
        assert rig.service.get_stats()["total_requests"] == 5 * 9 + 8 * 30


async def test_a_tracked_token_that_turns_out_to_have_no_price_loses_its_place() -> None:
    async with running(SMALL) as rig:
        await rig.run_for(5)
        (mint,) = plain_tokens(rig.market, 1)
        for _ in range(5):
            await rig.outcome(mint)
        assert mint in rig.service.engine.tracker.mints
        rig.market.set_liquidity(mint, 1.0)
        await rig.run_for(700)
        assert rig.service.engine.cache.unpriced_reason(mint) or rig.cap(mint) is None
        assert mint not in rig.service.engine.tracker.mints
