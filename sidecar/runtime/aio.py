"""Waiting on the service's own clock, and letting others have their turn."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from sidecar.runtime.clock import Clock

T = TypeVar("T")


async def yielding(items: Iterable[T], size: int = 1) -> AsyncIterator[T]:
    """Yield the items, and let the event loop answer requests after each, or after every few of them."""
    for position, item in enumerate(items, 1):
        yield item
        if position % size == 0:
            await asyncio.sleep(0)


def coalesce(work: Callable[[], None]) -> Callable[[], None]:
    """Return a function that has the work done at the next turn of the event loop, once, however often called."""
    waiting: set[asyncio.Handle] = set()

    def do() -> None:
        waiting.clear()
        work()

    def ask() -> None:
        if not waiting:
            waiting.add(asyncio.get_running_loop().call_soon(do))

    return ask


async def race(*waits: Coroutine[Any, Any, Any], futures: Iterable[asyncio.Future[Any]] = ()) -> None:
    """Return when the first of these is over. The coroutines are cancelled then, the futures go on."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait([*futures, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def wait_within(futures: Iterable[asyncio.Future[Any]], seconds: float, clock: Clock) -> None:
    """Return when all futures are done or the time is over. Neither cancels nor reads them."""
    left = {future for future in futures if not future.done()}
    if not left:
        return
    all_done = asyncio.Event()

    def one_done(future: asyncio.Future[Any]) -> None:
        left.discard(future)
        if not left:
            all_done.set()

    for future in list(left):
        future.add_done_callback(one_done)
    try:
        await race(all_done.wait(), clock.sleep(seconds))
    finally:
        for future in left:
            future.remove_done_callback(one_done)
