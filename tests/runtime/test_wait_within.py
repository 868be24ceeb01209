"""Waiting within a time, for what goes on without being waited for."""

import asyncio

import pytest

from sidecar.runtime.aio import wait_within
from tests.clock import FakeClock, calm


def future() -> asyncio.Future[int]:
    return asyncio.get_running_loop().create_future()


async def test_waiting_ends_when_all_are_done() -> None:
    clock, first, second = FakeClock(), future(), future()
    waiting = asyncio.create_task(wait_within([first, second], 2, clock))
    await calm()
    first.set_result(1)
    await calm()
    assert not waiting.done()
    second.set_exception(ValueError("not ours to read"))
    await calm()
    assert waiting.done()
    assert isinstance(second.exception(), ValueError)


async def test_waiting_ends_with_the_time_and_cancels_nothing() -> None:
    clock, one = FakeClock(), future()
    waiting = asyncio.create_task(wait_within([one], 2, clock))
    await calm()
    clock.advance(1.9)
    await calm()
    assert not waiting.done()
    clock.advance(0.1)
    await calm()
    assert waiting.done()
    assert not one.cancelled()
    one.set_result(1)


async def test_waiting_for_nothing_or_for_what_is_done_takes_no_time() -> None:
    clock, done = FakeClock(), future()
    done.set_result(1)
    await wait_within([], 2, clock)
    await wait_within([done], 2, clock)
    assert clock.next_wake is None


async def test_a_look_up_that_stops_waiting_leaves_nothing_behind() -> None:
    clock, one = FakeClock(), future()
    waiting = asyncio.create_task(wait_within([one], 2, clock))
    await calm()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await calm()
    assert not one.cancelled()
    assert one.remove_done_callback(print) == 0
    assert clock.next_wake is None
    assert len(asyncio.all_tasks()) == 1
    one.set_result(1)
