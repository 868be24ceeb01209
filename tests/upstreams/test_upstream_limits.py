"""When an upstream is not asked: after a 429, without budget, with its circuit open."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from aiohttp import web

from sidecar.errors import NotAskedError, UpstreamError
from sidecar.models import Priority
from tests.clock import UNIX_START
from tests.upstreams.asking import answering, asking


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "40"}, 40),
        ({"Retry-After": format_datetime(datetime.fromtimestamp(UNIX_START + 50, UTC), usegmt=True)}, 50),
        ({"Retry-After": "999999999"}, 300),
        ({"Retry-After": "9" * 400}, 300),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(UNIX_START) + 30)}, 30),
    ],
)
async def test_after_a_429_nothing_is_asked_for_as_long_as_the_upstream_says(
    headers: Mapping[str, str], seconds: float
) -> None:
    async with asking(answering(429, headers=headers)) as asked:
        with pytest.raises(UpstreamError):
            await asked.get()
        assert asked.upstream.retry_in(Priority.MISS) == pytest.approx(seconds, abs=1)
        with pytest.raises(NotAskedError) as refused:
            await asked.get()
        assert refused.value.reason == "budget"
        assert refused.value.retry_after == pytest.approx(seconds, abs=1)
        asked.clock.advance(seconds + 1)
        with pytest.raises(UpstreamError):
            await asked.get()
        assert (len(asked.received), asked.outcomes()) == (2, {"rate_limited": 2})
        assert asked.metric("circuit_open") == 0


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0"}, {"Retry-After": "-1"}, {"Retry-After": "soon"}])
async def test_a_429_that_does_not_say_for_how_long_doubles_the_pause(
    headers: Mapping[str, str],
) -> None:
    async with asking(answering(429, headers=headers)) as asked:
        for pause in (2, 4, 8, 16, 32, 60, 60):
            with pytest.raises(UpstreamError):
                await asked.get()
            wait = asked.upstream.retry_in(Priority.MISS)
            assert pause <= wait <= pause * 1.25
            asked.clock.advance(wait)
        assert asked.outcomes() == {"rate_limited": 7}


async def test_background_work_waits_for_its_turn_and_says_for_how_long() -> None:
    async with asking(answering(), rpm=6) as asked:
        await asked.get()
        waiting = asyncio.create_task(asked.get(Priority.POPULAR))
        await asyncio.sleep(0)
        asked.clock.advance(10.2)
        await waiting
        assert asked.metric("budget_wait_seconds_total") == pytest.approx(10.2)


async def test_three_failures_open_the_circuit_and_a_good_probe_closes_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    status = 500

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=b"[]")

    async with asking(handle) as asked:
        with caplog.at_level(logging.INFO):
            for _ in range(3):
                with pytest.raises(UpstreamError):
                    await asked.get()
            assert asked.metric("circuit_open") == 1
            with pytest.raises(NotAskedError) as refused:
                await asked.get()
            assert (refused.value.reason, len(asked.received)) == ("circuit", 3)
            asked.clock.advance(10)
            with pytest.raises(UpstreamError):
                await asked.get()
            assert 19 <= asked.upstream.retry_in(Priority.MISS) <= 20
            status = 200
            asked.clock.advance(20)
            await asked.get()
        assert (asked.metric("circuit_open"), asked.outcomes()) == (0, {"http_5xx": 4, "ok": 1})
        assert [record.message for record in caplog.records] == [
            "upstream failing: jupiter",
            "circuit open: jupiter",
            "circuit closed: jupiter",
            "upstream recovered: jupiter",
        ]


async def test_while_the_probe_is_under_way_no_other_call_is_made() -> None:
    gate = asyncio.Event()
    gate.set()

    async def handle(_: web.Request) -> web.StreamResponse:
        await gate.wait()
        return web.Response(status=500)

    async with asking(handle) as asked:
        for _ in range(3):
            with pytest.raises(UpstreamError):
                await asked.get()
        asked.clock.advance(10)
        gate.clear()
        probe = asyncio.create_task(asked.get())
        while len(asked.received) < 4:  # noqa: ASYNC110 - the server has no event of ours
            await asyncio.sleep(0)
        with pytest.raises(NotAskedError):
            await asked.get()
        gate.set()
        with pytest.raises(UpstreamError):
            await probe
        assert len(asked.received) == 4
