"""What a stop means for look-ups that wait, and for those that come later."""

import asyncio
import logging

import pytest

from sidecar.config.settings import Settings, TrackingSettings
from sidecar.demo import Fault
from sidecar.errors import UpstreamUnavailableError
from tests.running import WatchedMarket, running
from tests.service.tokens import JUP, plain_tokens

QUIET = Settings(tracking=TrackingSettings(trending_tokens=0))


def hang(market: WatchedMarket) -> None:
    for source in market.faults:
        market.faults[source] = Fault(kind="hang")


async def test_a_look_up_that_waits_for_a_popular_refresh_hears_of_the_stop() -> None:
    async with running(QUIET, prepare=hang) as rig:
        await rig.settle()
        waiting = asyncio.create_task(rig.service.get(JUP))
        await rig.settle()
        await rig.service.stop()
        with pytest.raises(UpstreamUnavailableError):
            await waiting


async def test_a_look_up_that_waits_for_its_own_refresh_hears_of_the_stop() -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        hang(rig.market)
        waiting = asyncio.create_task(rig.service.get(plain_tokens(rig.market, 1)[0]))
        await rig.run_for(0.1)
        await rig.service.stop()
        with pytest.raises(UpstreamUnavailableError):
            await waiting


async def test_a_look_up_that_was_not_sent_yet_hears_of_the_stop() -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        waiting = asyncio.create_task(rig.service.get(plain_tokens(rig.market, 1)[0]))
        await rig.settle()
        await rig.service.stop()
        with pytest.raises(UpstreamUnavailableError):
            await waiting


async def test_a_look_up_after_the_stop_is_refused_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        await rig.service.stop()
        calls = rig.calls()
        with caplog.at_level(logging.WARNING), pytest.raises(UpstreamUnavailableError):
            await rig.service.get(plain_tokens(rig.market, 1)[0])
        assert (caplog.records, rig.calls()) == ([], calls)
        assert not rig.service.engine.batches._tasks


async def test_a_stale_token_asked_for_after_the_stop_is_served_without_a_refresh() -> None:
    async with running(QUIET) as rig:
        await rig.warm()
        [mint] = plain_tokens(rig.market, 1)
        await rig.finish(rig.service.get(mint))
        await rig.service.stop()
        rig.clock.advance(400)
        assert (await rig.service.get(mint)).stale
        assert not rig.service.engine.batches._tasks


async def test_a_stop_with_calls_under_way_leaves_no_task_and_no_connection() -> None:
    async with running(QUIET, prepare=hang) as rig:
        await rig.settle()
        await rig.service.stop()
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not {name for name in names if name.startswith(("loop:", "lag", "metrics", "refresh"))}
        assert rig.service.engine._session.closed


async def test_calls_that_the_stop_ends_count_for_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with running(QUIET, prepare=hang) as rig:
        await rig.settle()
        with caplog.at_level(logging.WARNING):
            await rig.service.stop()
        assert caplog.records == []
        assert rig.metric("upstream_requests_total", source="jupiter", outcome="connect") == 0
