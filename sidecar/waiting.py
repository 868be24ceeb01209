"""Waiting on the service's own clock."""

import asyncio
from collections.abc import Iterable
from typing import Any

from sidecar.clock import Clock


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
    helpers = [asyncio.create_task(all_done.wait()), asyncio.create_task(clock.sleep(seconds))]
    try:
        await asyncio.wait(helpers, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for helper in helpers:
            helper.cancel()
        for future in left:
            future.remove_done_callback(one_done)
