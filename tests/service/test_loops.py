"""The loops: they outlive their steps, keep their intervals, and show that they live."""

import asyncio
import logging
import random
from collections.abc import Callable

import pytest

from sidecar.config.settings import Settings, TrackingSettings
from sidecar.metrics.metrics import Metrics
from sidecar.refresh.loop import GRACE_SECONDS, STEP_LIMIT_SECONDS, Loop
from tests.clock import FakeClock
from tests.running import running
from tests.service.tokens import POPULAR_MINTS

QUIET = Settings(tracking=TrackingSettings(trending_tokens=0))


class Steps:
    """A step that does what a test says, and notes when it ran."""

    def __init__(self, clock: FakeClock, act: Callable[[int], bool] = lambda _: True) -> None:
        self.clock = clock
        self.act = act
        self.times: list[float] = []

    async def __call__(self) -> bool:
        self.times.append(self.clock.monotonic())
        return self.act(len(self.times))


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def let_pass(clock: FakeClock, seconds: float) -> None:
    end = clock.monotonic() + seconds
    await turn()
    while (wake := clock.next_wake) is not None and wake <= end:
        clock.advance(wake - clock.monotonic())
        await turn()
    clock.advance(end - clock.monotonic())


def boom(number: int) -> bool:
    if number % 2 == 0:
        raise ValueError("boom")
    return True


async def test_a_step_that_raises_does_not_end_its_loop_and_is_logged_once_in_a_row(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    step = Steps(clock, boom)
    loop = Loop("stats", step, lambda: 10.0, clock=clock, metrics=Metrics(clock, version="0"))
    task = asyncio.create_task(loop.run())
    await let_pass(clock, 95)
    task.cancel()
    assert len(step.times) in {10, 11}
    assert not [record for record in caplog.records if record.exc_info is None]
    assert len(caplog.records) == len(step.times) // 2


async def test_a_step_that_keeps_raising_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()

    def always(_: int) -> bool:
        raise ValueError("boom")

    loop = Loop("stats", Steps(clock, always), lambda: 10.0, clock=clock, metrics=Metrics(clock, version="0"))
    for _ in range(5):
        await loop.run_once()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert loop.last_success_unix is None


async def test_jitter_only_shortens_the_interval_which_counts_from_start_to_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shares = iter([1.0, 0.95, 0.97, 1.0])
    monkeypatch.setattr(random, "uniform", lambda low, high: next(shares) if (low, high) == (0.95, 1) else 0)
    clock = FakeClock()
    step = Steps(clock)

    async def slow() -> bool:
        await step()
        await clock.sleep(4)
        return True

    loop = Loop("tracked", slow, lambda: 100.0, clock=clock, metrics=Metrics(clock, version="0"))
    task = asyncio.create_task(loop.run())
    await let_pass(clock, 293)
    task.cancel()
    assert [at - step.times[0] for at in step.times] == pytest.approx([0, 100, 195, 292])


async def test_a_woken_loop_runs_its_next_step_now() -> None:
    clock = FakeClock()
    step = Steps(clock)
    loop = Loop("tracked", step, lambda: 100.0, clock=clock, metrics=Metrics(clock, version="0"))
    task = asyncio.create_task(loop.run())
    await let_pass(clock, 10)
    loop.wake()
    await turn()
    task.cancel()
    assert [at - step.times[0] for at in step.times] == [0, 10]


async def test_a_loop_whose_step_hangs_is_overdue_after_its_limit() -> None:
    clock = FakeClock()

    async def hang() -> bool:
        await asyncio.Event().wait()
        return True

    loop = Loop("popular", hang, lambda: 60.0, clock=clock, metrics=Metrics(clock, version="0"))
    task = asyncio.create_task(loop.run())
    await let_pass(clock, STEP_LIMIT_SECONDS)
    assert loop.overdue_seconds() == 0
    clock.advance(1)
    assert loop.overdue_seconds() == 1
    loop.forgive()
    assert loop.overdue_seconds() == -60 - GRACE_SECONDS
    task.cancel()


async def test_the_popular_list_comes_before_everything_else_at_the_start() -> None:
    async with running() as rig:
        await rig.warm()
        priced = [mints for _, source, _, mints in rig.market.times if source == "jupiter" and mints]
        assert set(priced[0]) >= set(POPULAR_MINTS)


async def test_a_step_with_a_bug_leaves_the_other_loops_and_the_service_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(QUIET) as rig:
        await rig.warm()

        def broken() -> set[str]:
            raise RuntimeError("a bug")

        monkeypatch.setattr(rig.service.engine.schedule, "due", broken)
        await rig.run_for(600)
        assert rig.service.running
        assert max(rig.age(mint) for mint in POPULAR_MINTS if rig.cap(mint)) <= 60
        assert "a bug" in caplog.text


async def test_an_event_loop_that_stood_still_is_measured_and_its_loops_are_forgiven() -> None:
    async with running(QUIET) as rig:
        await rig.run_for(30)
        rig.clock.advance(500)
        await rig.settle()
        assert rig.metric("event_loop_lag_seconds") >= 499
        assert max(loop.overdue_seconds() for loop in rig.service.health.loops.values()) < 0
