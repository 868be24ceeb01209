"""Ten times as many distinct mints as have room: everything that could grow has a bound, and keeps to it."""

import asyncio
from collections import Counter
from collections.abc import Iterator

from sidecar.cache.cache import Entry
from sidecar.config.settings import CacheSettings, Settings
from sidecar.errors import McSidecarError
from sidecar.models import MarketCap, Mint
from sidecar.refresh.misses import MAX_MISSES
from tests.faults.warm import QUIET, assert_calm, served_from_memory
from tests.running import Rig, running
from tests.service.tokens import nobodys

BATCH = 1000
MAX_ENTRIES = 2000
MINTS = 10 * MAX_ENTRIES
"""Each bound that requests can fill is 2,000, so each is reached ten times."""
SMALL = Settings(tracking=QUIET.tracking, cache=CacheSettings(max_entries=MAX_ENTRIES))


def batches(size: int = BATCH) -> Iterator[list[Mint]]:
    for first in range(0, MINTS, size):
        yield nobodys(size, first)


def assert_bounded(rig: Rig) -> None:
    """Hold every structure that requests can fill to its bound."""
    service, tracking = rig.service, rig.service.settings.tracking
    engine = service.engine
    assert len(engine.cache) <= MAX_ENTRIES
    assert len(engine.cache._unpriced) <= MAX_ENTRIES
    assert len(engine.token_states) <= MAX_ENTRIES + tracking.max_tokens
    assert all(len(entries) <= MAX_ENTRIES for entries in engine.backoff._entries.values())
    assert len(engine.tracker._candidates) <= 2000
    assert len(engine.tracker.mints) <= tracking.max_tokens
    assert len(engine.schedule._due) == len(engine.tracker.mints)
    assert engine.misses._count <= MAX_MISSES
    assert len(engine.misses._waiting) <= MAX_MISSES
    assert len(engine.batches._by_mint) <= MAX_MISSES + tracking.max_tokens
    assert len(engine.batches._tasks) <= 100
    assert len(asyncio.all_tasks()) <= 500
    for upstream in engine.upstreams.values():
        assert len(upstream.budget._begun) <= upstream.budget.requests_per_minute
    assert len(engine.symbols) == len(engine.tracker.popular)


async def test_look_ups_of_ten_times_as_many_unknown_mints_leave_everything_bounded() -> None:
    async with running(SMALL) as rig:
        await rig.run_for(65)
        calls, started, kinds = rig.calls(), rig.clock.monotonic(), Counter[str]()
        for mints in batches():
            many = await rig.finish(rig.service.get_many(mints))
            kinds.update(type(error).__name__ for error in many.errors.values())
            assert len(many.errors) == BATCH
            assert_bounded(rig)
            await served_from_memory(rig.service)
            await rig.run_for(0.2)
        assert set(kinds) <= {
            "NotPricedError",
            "OverloadedError",
            "UpstreamUnavailableError",
            "DeadlineExceededError",
        }
        minutes = (rig.clock.monotonic() - started) / 60
        assert rig.calls() - calls <= (30 + 300 + 30 + 240) * (minutes + 1)
        await rig.run_for(70)
        assert_calm(rig.service)
        assert len(asyncio.all_tasks()) <= 30
        assert max(cap.age_seconds for cap in await served_from_memory(rig.service)) <= 70


async def test_ten_times_as_many_priced_tokens_leave_everything_bounded_and_evict_no_warm_one() -> None:
    async with running(SMALL) as rig:
        await rig.run_for(65)
        like = (await served_from_memory(rig.service))[0]
        for mints in batches():
            for mint in mints:
                publish(rig, like, mint)
            assert_bounded(rig)
            await served_from_memory(rig.service)
        assert len(rig.service.engine.cache) > MAX_ENTRIES / 2
        evicted = rig.metric("cache_evictions_total", reason="capacity")
        assert evicted == MINTS + len(rig.service.engine.tracker.popular) - 1 - len(rig.service.engine.cache)


def publish(rig: Rig, like: MarketCap, mint: Mint) -> None:
    """Let an answer for a mint come in."""
    cap = MarketCap(**{field: getattr(like, field) for field in like.__struct_fields__} | {"mint": mint})
    rig.service.engine.publisher.publish(Entry(cap, rig.clock.monotonic(), ()))


async def test_requests_for_ten_times_as_many_counted_elsewhere_track_only_what_is_asked_for_again() -> None:
    async with running(SMALL) as rig:
        await rig.run_for(65)
        for mints in batches(200):
            for mint in mints:
                rig.service.track_request(mint)
            for _ in range(5):
                rig.service.track_request(mints[0])
            await asyncio.sleep(0)  # memory and schedule follow the tracked set once a turn
            assert_bounded(rig)
        assert len(rig.service.engine.tracker.mints) == 100
        await rig.run_for(30)
        assert_bounded(rig)
        assert rig.service.engine.tracker.mints == set(
            rig.service.engine.tracker.popular
        )  # no source prices the rest
        await served_from_memory(rig.service)


async def test_failures_by_the_thousand_are_reported_one_by_one_and_leave_nothing() -> None:
    async with running(SMALL) as rig:
        await rig.run_for(65)
        asking = [asyncio.create_task(outcome(rig, mint)) for mint in nobodys(3000, MINTS)]
        await rig.run_for(3)
        assert all(task.done() for task in asking)
        assert {task.result() for task in asking} >= {"OverloadedError"}
        await rig.run_for(30)
        assert_calm(rig.service)
        assert len(asyncio.all_tasks()) <= 30


async def outcome(rig: Rig, mint: str) -> str:
    try:
        await rig.service.get(mint)
    except McSidecarError as error:
        return type(error).__name__
    return "priced"
