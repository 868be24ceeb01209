"""Leaders that are killed or frozen, as processes of their own: the fleet goes on, and nothing old comes back."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from sidecar.demo import Market, serve
from tests.service.tokens import PRICED
from tests.system.fleet.redis_server import redis_server
from tests.system.processes import Process, serving

LEASE_SECONDS: Final = 1.5
SLOW_MACHINE_SECONDS: Final = 1.5
MINT: Final = PRICED[3]


class Sidecars:
    """Some sidecars of a fleet that are watched: no look-up of a popular token fails in any that runs."""

    def __init__(self, running: list[Process], market: Market) -> None:
        self.running = running
        self.market = market

    async def roles(self) -> list[str]:
        """Return what each is, a popular token having been asked for in each."""
        statuses = await asyncio.gather(*(one.status() for one in self.running))
        tokens = await asyncio.gather(*(one.token(MINT) for one in self.running))
        assert all(token["price_usd"] > 0 for token in tokens)
        return [status["fleet"]["role"] for status in statuses]

    async def leader(self) -> Process:
        """Return the one that leads, which it has to within a lease and a second."""

        async def one_leads() -> bool:
            return sorted(await self.roles()) == ["follower"] * (len(self.running) - 1) + ["leader"]

        took = await eventually(one_leads)
        assert took <= LEASE_SECONDS + 1 + SLOW_MACHINE_SECONDS
        return self.running[(await self.roles()).index("leader")]


async def eventually(happened: Callable[[], Awaitable[bool]], seconds: float = 15) -> float:
    """Wait until something is so; return how long that took."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not await happened():  # noqa: ASYNC110 - it is other processes that make it so
            await asyncio.sleep(0.02)
    return time.monotonic() - began


@asynccontextmanager
async def sidecars(folder: Path, count: int) -> AsyncIterator[Sidecars]:
    market = Market(tokens=60, spread=0.0)
    settings: dict[str, Any] = {
        "tracking": {"trending_tokens": 0},
        "refresh": {"popular_seconds": 1},
    }
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server(folder))
        urls = await stack.enter_async_context(serve(market))
        settings["fleet"] = {"redis_url": redis.url, "lease_seconds": LEASE_SECONDS}
        folders = [folder / str(number) for number in range(count)]
        for one in folders:
            one.mkdir()
        starting = (stack.enter_async_context(serving(one, urls, **settings)) for one in folders)
        yield Sidecars(list(await asyncio.gather(*starting)), market)


async def test_a_killed_leader_is_replaced_and_a_frozen_one_overwrites_nothing(tmp_path: Path) -> None:
    async with sidecars(tmp_path, 3) as fleet:
        killed = await fleet.leader()
        killed.send(signal.SIGKILL)
        fleet.running.remove(killed)
        frozen = await fleet.leader()

        frozen.send(signal.SIGSTOP)
        fleet.running.remove(frozen)
        (last,) = fleet.running
        await fleet.leader()
        price = fleet.market.price(MINT) * 1.2
        fleet.market.set_price(MINT, price)

        async def has_price(one: Process) -> bool:
            return bool((await one.token(MINT))["price_usd"] == price)

        await eventually(lambda: has_price(last))
        frozen.send(signal.SIGCONT)
        fleet.running.append(frozen)
        assert await fleet.leader() is last
        await eventually(lambda: has_price(frozen))
        assert await has_price(last)
