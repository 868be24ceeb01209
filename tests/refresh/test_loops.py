"""A loop repeats its step, survives it, and shows that it lives."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from sidecar.metrics.metrics import Metrics
from sidecar.refresh.loop import Loop
from tests.clock import FakeClock, calm


class Looping:
    """A loop of a minute on a clock of its own; its step notes when it ran and does what it is told."""

    def __init__(self, interval: Callable[[], float] = lambda: 60.0) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics(self.clock, version="0")
        self.runs: list[float] = []
        self.takes = 0.0
        self.result: bool | Exception = True
        self.loop = Loop("tracked", self.step, interval, clock=self.clock, metrics=self.metrics)
        self.started = self.clock.monotonic()

    async def step(self) -> bool:
        self.runs.append(self.clock.monotonic() - self.started)
        if self.takes:
            await self.clock.sleep(self.takes)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await calm()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.loop.run())
        await calm()
        try:
            yield
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await calm()

    def last_success(self) -> float | None:
        name = "mc_sidecar_refresh_last_success_timestamp_seconds"
        return self.metrics.registry.get_sample_value(name, {"loop": "tracked"})

    def duration(self, part: str) -> float | None:
        name = f"mc_sidecar_refresh_duration_seconds_{part}"
        return self.metrics.registry.get_sample_value(name, {"loop": "tracked"})


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)


async def test_a_step_starts_at_once_and_then_every_interval() -> None:
    looping = Looping()
    async with looping.running():
        for _ in range(3):
            await looping.advance(60)
    assert looping.runs == [0.0, 60.0, 120.0, 180.0]


async def test_the_interval_counts_from_start_to_start() -> None:
    looping = Looping()
    looping.takes = 25.0
    async with looping.running():
        for seconds in (25, 35, 25, 35):
            await looping.advance(seconds)
    assert looping.runs == [0.0, 60.0, 120.0]


async def test_a_step_longer_than_the_interval_is_followed_by_a_short_pause() -> None:
    looping = Looping()
    looping.takes = 90.0
    async with looping.running():
        await looping.advance(90)
        await looping.advance(0.05)
    assert looping.runs == [0.0, pytest.approx(90.05)]


async def test_jitter_only_shortens_an_interval_by_five_percent_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []

    def shortest(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    monkeypatch.setattr(random, "uniform", shortest)
    looping = Looping()
    async with looping.running():
        await looping.advance(57)
    assert (looping.runs, asked[0]) == ([0.0, 57.0], (0.95, 1))


async def test_waking_starts_the_next_step_now_and_once() -> None:
    looping = Looping()
    async with looping.running():
        await looping.advance(10)
        looping.loop.wake()
        looping.loop.wake()
        await calm()
        await looping.advance(50)
    assert looping.runs == [0.0, 10.0]


async def test_waking_during_a_step_is_not_lost() -> None:
    looping = Looping()
    looping.takes = 5.0
    async with looping.running():
        looping.loop.wake()
        await looping.advance(5)
    assert looping.runs == [0.0, 5.0]


async def test_a_success_is_timed_and_stamped() -> None:
    looping = Looping()
    looping.takes = 2.0
    async with looping.running():
        await looping.advance(2)
    loop, unix = looping.loop, looping.clock.time()
    assert (loop.last_run_unix, loop.last_success_unix, loop.last_seconds) == (unix - 2, unix, 2.0)
    assert looping.last_success() == unix
    assert (looping.duration("count"), looping.duration("sum")) == (1, 2.0)


async def test_a_step_that_did_not_succeed_is_timed_but_not_stamped() -> None:
    looping = Looping()
    looping.result = False
    await looping.loop.run_once()
    assert (looping.last_success(), looping.duration("count")) == (None, 1)
    assert looping.loop.last_run_unix is not None


async def test_a_failing_step_ends_only_itself_and_is_logged_once_in_a_row(
    caplog: pytest.LogCaptureFixture,
) -> None:
    looping = Looping()
    looping.result = RuntimeError("a bug")
    async with looping.running():
        await looping.advance(60)
        assert len(caplog.records) == 1
        assert caplog.records[0].exc_info is not None
        looping.result = True
        await looping.advance(60)
        looping.result = RuntimeError("another")
        await looping.advance(60)
    assert len(looping.runs) == 4
    assert len(caplog.records) == 2
    assert looping.duration("count") == 4


async def test_a_loop_that_waits_for_its_turn_is_well_until_half_a_minute_after_it() -> None:
    looping = Looping()
    async with looping.running():
        assert looping.loop.overdue_seconds() == -90.0


async def test_a_step_may_take_two_minutes_before_the_loop_counts_as_stuck() -> None:
    looping = Looping()
    looping.takes = math.inf
    async with looping.running():
        assert looping.loop.overdue_seconds() == -120.0
        await looping.advance(121)
        assert looping.loop.overdue_seconds() == 1.0


async def test_a_loop_that_never_started_is_stuck_after_half_a_minute() -> None:
    looping = Looping()
    looping.clock.advance(31)
    assert looping.loop.overdue_seconds() == 1.0


async def test_after_a_standstill_a_loop_gets_one_fresh_interval() -> None:
    looping = Looping()
    looping.clock.advance(5000)
    looping.loop.forgive()
    assert looping.loop.overdue_seconds() == -90.0


async def test_forgiving_takes_nothing_away() -> None:
    looping = Looping(lambda: 1.0)
    looping.takes = math.inf
    async with looping.running():
        looping.loop.forgive()
        assert looping.loop.overdue_seconds() == -120.0
