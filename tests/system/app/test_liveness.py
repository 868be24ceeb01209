"""When `/livez` says no: a loop that has stopped beating, and nothing else."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from sidecar.config.settings import Settings, TrackingSettings
from sidecar.config.source_settings import SourcesSettings
from sidecar.demo import Fault
from sidecar.metrics.labels import LoopName
from sidecar.refresh.loop import step_limit_seconds
from tests.running import Rig, running
from tests.system.app.process import sidecar
from tests.web.listening import Client

FAST = SourcesSettings(
    **{
        name: msgspec.structs.replace(source, timeout_seconds=0.1)
        for name, source in msgspec.structs.asdict(SourcesSettings()).items()
    }
)


def hang(rig: Rig, name: LoopName) -> None:
    """Let the loop's next step never end."""
    loop: Any = rig.service.health.loops[name]
    loop._step = asyncio.Event().wait
    loop.wake()


@pytest.mark.parametrize("name", [name for name in get_args(LoopName) if name != "miss"])
async def test_a_loop_whose_step_never_ends_is_named(name: LoopName) -> None:
    async with running() as rig:
        await rig.warm()
        hang(rig, name)
        await rig.run_for(145)
        assert rig.service.health.stuck_loops() == {}
        await rig.run_for(1.5)
        assert rig.service.health.stuck_loops() == {name: 1.5}


@pytest.mark.parametrize("kind", ["hang", "status", "reset", "garbage"])
async def test_upstreams_that_fail_for_ten_minutes_stop_no_loop(kind: Any) -> None:
    async with running(Settings(sources=FAST)) as rig:
        # On a busy machine calls time out.
        assert await rig.run_until(lambda: not rig.service.health.unanswered, 120)
        for source in rig.market.faults:
            rig.market.faults[source] = Fault(kind=kind)
        for _ in range(2):
            await rig.run_for(300)
            assert rig.service.health.stuck_loops() == {}


async def test_a_thawed_process_is_alive_even_before_anybody_else_has_woken() -> None:
    async with running() as rig:
        await rig.warm()
        rig.clock.advance(100_000)
        assert rig.service.health.stuck_loops() == {}
        await rig.run_for(1)
        assert rig.service.health.event_loop_lag_seconds == 0.0
        assert rig.service.health.stuck_loops() == {}


async def test_a_stuck_loop_is_forgiven_a_standstill_for_one_interval_only() -> None:
    async with running() as rig:
        await rig.warm()
        hang(rig, "popular")
        await rig.run_for(200)
        assert list(rig.service.health.stuck_loops()) == ["popular"]
        rig.clock.advance(3.0)
        assert rig.service.health.stuck_loops() == {}
        await rig.run_for(60 + 30)
        assert rig.service.health.stuck_loops() == {}
        await rig.run_for(0.5)
        assert rig.service.health.stuck_loops() == {"popular": 0.5}


async def test_small_delays_again_and_again_as_of_a_throttled_cpu_stop_no_loop() -> None:
    async with running() as rig:
        await rig.warm()
        for _ in range(400):
            rig.clock.advance(1.9)
            await rig.settle()
            assert rig.service.health.stuck_loops() == {}


async def test_many_short_turns_while_look_ups_are_folded_are_no_standstill() -> None:
    async with running() as rig:
        await rig.warm()
        hang(rig, "popular")
        await rig.run_for(200)

        def fold() -> Iterator[None]:
            for _ in range(30):
                rig.clock.advance(0.1)
                yield

        rig.service.metrics.hot.before_reading("test", fold)
        await rig.run_for(1)
        assert list(rig.service.health.stuck_loops()) == ["popular"]


async def test_loops_that_were_told_to_stop_are_not_stuck() -> None:
    async with running() as rig:
        await rig.warm()
        await rig.service.stop_loops()
        rig.clock.advance(100_000)
        assert rig.service.health.stuck_loops() == {}


@pytest.mark.parametrize(("tokens", "limit"), [(1, 145.0), (100, 145.0), (101, 170.0), (10_000, 2620.0)])
def test_a_step_may_take_longer_the_more_tokens_there_are(tokens: int, limit: float) -> None:
    assert step_limit_seconds(Settings(tracking=TrackingSettings(max_tokens=tokens))) == limit


async def test_a_process_that_was_stopped_and_goes_on_is_alive_and_drops_no_client(tmp_path: Path) -> None:
    config = "refresh: {popular_seconds: 0.3, tracked_seconds: 0.3, trending_seconds: 0.3, stats_seconds: 0.3}\n"
    async with sidecar(tmp_path, config, grace_seconds=0.2) as running_:
        ops = int(running_.addresses["ops"][0].rsplit(":", 1)[1])
        client = Client(*await asyncio.open_connection("127.0.0.1", ops))
        probe = b"GET /livez HTTP/1.1\r\nHost: pod\r\n\r\n"
        assert (await client.ask(probe)).status == 200
        running_.process.send_signal(signal.SIGSTOP)
        await client.send(probe[:20])
        await asyncio.sleep(3)  # the one thing that no clock of ours can stand in for
        await client.send(probe[20:])
        running_.process.send_signal(signal.SIGCONT)
        reply = await client.reply()
        assert (reply.status, msgspec.json.decode(reply.body)["stuck_loops"]) == (200, {})
        for _ in range(20):
            assert (await client.ask(probe)).status == 200
            await asyncio.sleep(0.02)
        await client.close()
