"""How many calls are under way at once, and that each priority has its turn."""

import asyncio

import pytest

from sidecar.models import Priority
from sidecar.upstreams.budget import ConcurrencyLimit
from tests.clock import calm
from tests.upstreams.budgets import MISS, TRACKED

# Calls at once


class Holding:
    """Calls that hold their slot until they are let go."""

    def __init__(self, max_concurrent: int = 5) -> None:
        self.slots = ConcurrencyLimit(max_concurrent)
        self.under_way: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def call(self, source: str, priority: Priority, name: str) -> None:
        async with self.slots.hold(source, priority):
            self.under_way.append(name)
            try:
                await asyncio.Event().wait()
            finally:
                self.under_way.remove(name)

    async def start(self, source: str, priority: Priority, count: int = 1) -> int:
        """Start calls and return how many of all the calls hold a slot then."""
        for _ in range(count):
            name = f"{source} {priority.name} {len(self.tasks)}"
            self.tasks[name] = asyncio.create_task(self.call(source, priority, name))
        await calm()
        return len(self.under_way)

    async def end(self, *prefixes: str) -> None:
        """End the calls whose name begins so, whether they hold a slot or wait for one."""
        ended = [self.tasks.pop(name) for name in list(self.tasks) if name.startswith(prefixes)]
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)
        await calm()


async def test_background_work_uses_all_calls_but_one() -> None:
    calls = Holding()
    for source in ("jupiter", "dexscreener", "geckoterminal", "solana_rpc", "another"):
        await calls.start(source, TRACKED, 4)
    assert len(calls.under_way) == 4
    assert await calls.start("solana_rpc", MISS) == 5
    assert await calls.start("solana_rpc", MISS) == 5
    await calls.end("")


async def test_two_sources_that_hang_leave_a_call_to_the_others() -> None:
    calls = Holding()
    assert await calls.start("jupiter", MISS, 9) == 2
    assert await calls.start("dexscreener", MISS, 9) == 4
    assert await calls.start("geckoterminal", MISS, 9) == 5
    await calls.end("")


async def test_a_source_whose_background_calls_hang_still_takes_a_miss_at_once() -> None:
    calls = Holding()
    assert await calls.start("jupiter", TRACKED, 9) == 1
    assert await calls.start("jupiter", MISS) == 2
    await calls.end("")


async def test_background_calls_that_wait_hold_nothing_a_miss_needs() -> None:
    calls = Holding()
    for source in ("dexscreener", "geckoterminal", "solana_rpc"):
        await calls.start(source, TRACKED, 2)
    assert await calls.start("jupiter", TRACKED, 9) == 4
    assert await calls.start("jupiter", MISS) == 5
    await calls.end("")


@pytest.mark.parametrize("max_concurrent", [1, 2, 3])
async def test_with_few_calls_at_once_every_priority_still_has_a_turn(max_concurrent: int) -> None:
    calls = Holding(max_concurrent)
    assert await calls.start("jupiter", TRACKED) == 1
    await calls.end("jupiter")
    assert await calls.start("jupiter", MISS) == 1
    assert await calls.start("dexscreener", MISS, 9) == min(max_concurrent, 2)
    await calls.end("")


async def test_slots_given_up_while_waiting_or_held_are_free_again() -> None:
    calls = Holding()
    for source in ("jupiter", "dexscreener", "geckoterminal"):
        await calls.start(source, TRACKED, 5)
        await calls.start(source, MISS, 5)
    await calls.end("")
    assert calls.under_way == []
    assert await calls.start("jupiter", MISS, 9) == 2
    assert await calls.start("dexscreener", MISS, 9) == 4
    await calls.end("")
