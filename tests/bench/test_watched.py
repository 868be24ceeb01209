"""What `bench.watched` writes of an event loop's pauses."""

import asyncio
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from bench import watched


class Loop:
    """A loop whose timer a test calls, on times that it moves."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0
        self.tick: Callable[[], None] = lambda: None

    def call_later(self, _: float, tick: Callable[[], None]) -> None:
        self.tick = tick

    def pass_time(self, wall_ms: float, cpu_ms: float) -> None:
        self.wall += wall_ms / 1000
        self.cpu += cpu_ms / 1000
        self.tick()


def test_a_block_after_some_rest_counts_in_full_and_what_the_host_took_counts_for_the_pause_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = Loop()
    times = SimpleNamespace(perf_counter=lambda: loop.wall, thread_time=lambda: loop.cpu)
    monkeypatch.setattr(watched, "time", times)
    watched.Watch(cast("asyncio.AbstractEventLoop", loop))
    loop.pass_time(9.5, 8.5)
    loop.pass_time(50.0, 2.0)
    for _ in range(1000):
        loop.pass_time(1.0, 1.0)
    line = json.loads(capsys.readouterr().out)
    assert {name: round(value, 6) for name, value in line.items()} == {"pause": 49.0, "busy": 8.5}
