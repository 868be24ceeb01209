# ruff: noqa: ASYNC240 - a test may wait for the disk
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from sidecar.config.settings import Settings, SnapshotSettings
from sidecar.demo import Fault, Market, Source, serve
from sidecar.models import Mint
from sidecar.runtime.clock import Clock
from sidecar.service.embedding import start_precache_service, stop_precache_service
from sidecar.service.service import PreCacheService
from tests.clock import UNIX_START, FakeClock
from tests.running import Rig, pointed_at, running
from tests.service.tokens import BONK, POPULAR_MINTS, PRICED, plain_tokens

SUCCESS = "mc_sidecar_snapshot_last_success_timestamp_seconds"
SOURCES: Final[tuple[Source, ...]] = ("jupiter", "dexscreener", "geckoterminal", "solana_rpc")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(snapshot=SnapshotSettings(path=str(tmp_path / "snapshot"), interval_seconds=30))


def dead(market: Market) -> None:
    for source in SOURCES:
        market.faults[source] = Fault(kind="status", status=500)


def success(rig: Rig) -> float | None:
    return rig.service.registry.get_sample_value(SUCCESS)


async def restart(rig: Rig, after: float) -> None:
    """Start on another machine's clock, so many seconds after the first service began."""
    rig.clock._monotonic = 5.0
    rig.clock.set_unix(UNIX_START + after)
    await rig.service.start()


async def test_after_a_restart_everything_is_served_at_once_with_its_true_age(settings: Settings) -> None:
    async with running(settings) as first:
        await first.warm()
        asked = plain_tokens(first.market, 2)[1]
        cap = await first.finish(first.service.get(asked))
        for _ in range(4):
            await first.service.get(asked)
        before = {mint: first.cap(mint) for mint in (*PRICED, asked)}
        ages = {mint: first.age(mint) for mint in before}
        at = first.clock.time() - UNIX_START
    async with running(settings, prepare=dead, start=False) as second:
        await restart(second, after=at + 50.0)
        assert {mint: second.cap(mint) for mint in before} == before
        assert {mint: second.age(mint) for mint in before} == pytest.approx({m: a + 50 for m, a in ages.items()})
        assert asked in second.service.engine.tracker.tier("requested")
        served = await second.service.get(asked)
        assert (served.market_cap_usd, served.cached, served.stale) == (cap.market_cap_usd, True, False)
        assert served.age_seconds == pytest.approx(ages[asked] + 50, abs=1e-3)


async def test_restored_tokens_are_refreshed(settings: Settings) -> None:
    async with running(settings) as first:
        await first.warm()
    async with running(settings, start=False) as second:
        await restart(second, after=100.0)
        await second.settle()
        assert second.age(BONK) == 0.0


async def test_restored_popular_tokens_count_as_answered_while_they_are_fresh(settings: Settings) -> None:
    async with running(settings) as first:
        await first.warm()
    for after, unanswered in ((300.0, len(POPULAR_MINTS) - len(PRICED)), (400.0, len(POPULAR_MINTS))):
        async with running(settings, prepare=dead, start=False) as second:
            await restart(second, after=after)
            assert len(second.service.health.unanswered) == unanswered


async def test_restored_popular_tokens_have_their_series_at_once(settings: Settings) -> None:
    async with running(settings) as first:
        await first.warm()
        cap = first.cap(BONK)
        assert cap is not None
    async with running(settings, prepare=dead, start=False) as second:
        await restart(second, after=20.0)
        assert second.metric("token_market_cap_usd", mint=BONK, symbol="BONK") == cap.market_cap_usd
        assert second.metric("token_updated_timestamp_seconds", mint=BONK, symbol="BONK") == cap.timestamp


async def test_a_snapshot_is_written_every_interval(settings: Settings) -> None:
    path = Path(str(settings.snapshot.path))
    async with running(settings) as rig:
        await rig.warm()
        assert success(rig) is None
        await rig.run_for(29.0)
        assert not path.exists()
        await rig.run_for(1.0)
        await until(lambda: success(rig) == pytest.approx(UNIX_START + 30.0, abs=1e-3))
        assert path.exists()
        await rig.run_for(29.0)
        assert success(rig) == pytest.approx(UNIX_START + 30.0, abs=1e-3)
        await rig.run_for(1.0)
        await until(lambda: success(rig) == pytest.approx(UNIX_START + 60.0, abs=1e-3))


async def until(happened: Callable[[], bool]) -> None:
    """Wait for the thread that writes."""
    async with asyncio.timeout(10):
        while not happened():  # noqa: ASYNC110 - a thread sets no event
            await asyncio.sleep(0.002)


async def test_without_a_path_there_is_no_metric_and_no_thread() -> None:
    async with running() as rig:
        assert all(family.name != SUCCESS for family in rig.service.registry.collect())
        assert rig.service._begun().snapshots is None


async def test_with_a_path_the_metric_has_no_series_before_the_first_success(settings: Settings) -> None:
    async with running(settings, start=False) as rig:
        family = next(family for family in rig.service.registry.collect() if family.name == SUCCESS)
        assert (family.type, family.samples) == ("gauge", [])


async def test_the_stop_writes_what_is_known_by_then(settings: Settings) -> None:
    async with running(settings) as first:
        await first.warm()
        await first.run_for(10.0)
        token = plain_tokens(first.market, 1)[0]
        await first.finish(first.service.get(token))
        await first.service.stop()
        assert success(first) == first.clock.time()
    async with running(settings, prepare=dead, start=False) as second:
        await restart(second, after=10.0)
        assert second.cap(token) is not None


async def test_a_service_started_again_takes_up_where_it_stopped(settings: Settings) -> None:
    async with running(settings) as rig:
        await rig.warm()
        await rig.service.stop()
        rig.clock.advance(30.0)
        dead(rig.market)
        await rig.service.start()
        assert rig.age(BONK) == 30.0
        await rig.service.stop()


async def test_a_start_that_is_cancelled_keeps_the_snapshot(settings: Settings) -> None:
    async with running(settings) as first:
        await first.warm()
    path = Path(str(settings.snapshot.path))
    before = path.read_bytes()
    clock: Clock = FakeClock(unix=UNIX_START)
    service = PreCacheService(settings, clock=clock)
    start = asyncio.create_task(service.start())
    await asyncio.sleep(0)
    start.cancel()
    await asyncio.gather(start, return_exceptions=True)
    assert not service.running
    await service.stop()
    assert path.read_bytes() == before
    start = asyncio.create_task(service.start())
    await asyncio.sleep(0)
    start.cancel()
    await asyncio.gather(start, return_exceptions=True)
    await service.start()
    assert service.running
    assert service.engine.cache.get(Mint(BONK)) is not None
    await service.stop()


async def test_two_starts_at_once_are_one(settings: Settings) -> None:
    async with running(settings, prepare=dead, start=False) as rig:
        await asyncio.gather(rig.service.start(), rig.service.start())
        names = [task.get_name() for task in rig.service._begun().tasks]
        assert len(names) == len(set(names))


async def test_an_application_that_starts_it_twice_at_once_has_one_that_runs(settings: Settings) -> None:
    async with serve(Market()) as urls:
        here = pointed_at(urls, settings)
        services = await asyncio.gather(start_precache_service(here), start_precache_service(here))
        try:
            assert services[0] is services[1]
            assert services[0].running
        finally:
            await stop_precache_service()
    assert not services[0].running
