"""Sidecars of a fleet as processes of their own, each of which is asked for a warm token all the time."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import aiohttp

from sidecar.demo import Source, serve
from tests.service.tokens import PRICED
from tests.system.fleet.members import SLOW_MACHINE_SECONDS, CountingMarket
from tests.system.fleet.redis_server import RedisServer, redis_server
from tests.system.processes import Process, serving_program

LEASE_SECONDS: Final = 1.5
ASKED_EVERY_SECONDS: Final = 0.1
MINT: Final = PRICED[3]
FASTER: Final[dict[str, Any]] = {"tracking": {"trending_tokens": 0}, "refresh": {"popular_seconds": 1}}


class Sidecar:
    """A process; `prices` are those that it gave for the warm token."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.prices: list[float] = []
        self._asked = asyncio.Event()
        self._asked.set()

    async def role(self) -> str:
        return str((await self.fleet())["role"])

    async def fleet(self) -> dict[str, Any]:
        """Return what /status says of the fleet."""
        return dict((await self.process.status())["fleet"])

    async def price(self) -> float:
        """Return the price of the warm token."""
        return float((await self.process.token(MINT))["price_usd"])

    async def metric(self, name: str) -> float:
        """Return a metric that has no labels."""
        lines = (await self.process.metrics()).splitlines()
        (value,) = (line.split()[1] for line in lines if line.startswith(f"mc_sidecar_{name} "))
        return float(value)

    def freeze(self) -> None:
        """Stop the process where it is, and ask it for nothing until `thaw`."""
        self._asked.clear()
        self.process.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send(signal.SIGCONT)
        self._asked.set()

    def kill(self) -> None:
        """End it without a word."""
        self._asked.clear()
        self.process.send(signal.SIGKILL)

    async def ask_for_ever(self) -> None:
        """Ask for the warm token at an even rate; no answer may be another than its price."""
        while True:
            await self._asked.wait()
            try:
                token = await self.process.token(MINT)
            except (aiohttp.ClientError, TimeoutError):
                if self._asked.is_set():
                    raise
                continue  # it was frozen or killed under way
            assert "price_usd" in token, token
            self.prices.append(token["price_usd"])
            await asyncio.sleep(ASKED_EVERY_SECONDS)


class Stage:
    """A Redis, a market, and the sidecars."""

    def __init__(
        self, folder: Path, redis: RedisServer, market: CountingMarket, urls: Mapping[Source, str]
    ) -> None:
        self.redis = redis
        self.market = market
        self.urls = urls
        self.folder = folder
        self.stack = AsyncExitStack()
        self.misses = 1
        """How many tokens off the popular list were asked for."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(
        self,
        *,
        urls: Mapping[Source, str] | None = None,
        redis_url: str | None = None,
        odd: tuple[str, ...] = (),
        **settings: Any,
    ) -> Sidecar:
        """Start a sidecar and ask it all the time once it is warm; `odd`: see `odd_member`."""
        folder = Path(mkdtemp(dir=self.folder))
        program = ("tests.system.fleet.odd_member", *odd) if odd else ("sidecar",)
        fleet = {"redis_url": redis_url or self.redis.url, "lease_seconds": LEASE_SECONDS}
        settings = {**FASTER, "fleet": fleet, **settings}
        process = await self.stack.enter_async_context(
            serving_program(program, folder, urls or self.urls, settings)
        )
        sidecar = Sidecar(process)
        self._watch(process.drain())
        await eventually(lambda: _is_warm(sidecar))
        self._watch(sidecar.ask_for_ever())
        return sidecar

    def _watch(self, work: Any) -> None:
        self._tasks.add(asyncio.create_task(work))

    async def close(self) -> None:
        """End everything; a look-up that failed fails the test."""
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.stack.aclose()
        failed = [error for error in ended if isinstance(error, Exception)]
        assert not failed, failed


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[Stage]:
    market = CountingMarket(spread=0.0)
    async with redis_server(folder) as redis, serve(market) as urls:
        stage = Stage(folder, redis, market, urls)
        try:
            yield stage
        finally:
            await stage.close()


async def eventually(happened: Callable[[], Awaitable[bool]], seconds: float = 20) -> float:
    """Wait until something is so; return how long that took."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not await happened():  # noqa: ASYNC110 - it is other processes that make it so
            await asyncio.sleep(0.02)
    return time.monotonic() - began


async def leader_of(sidecars: list[Sidecar]) -> Sidecar:
    """Return the one that leads, which it has to within a lease and a second, the others following."""

    async def one_leads() -> bool:
        roles = [await sidecar.role() for sidecar in sidecars]
        return sorted(roles) == ["follower"] * (len(sidecars) - 1) + ["leader"]

    assert await eventually(one_leads) <= LEASE_SECONDS + 1 + SLOW_MACHINE_SECONDS
    roles = [await sidecar.role() for sidecar in sidecars]
    return sidecars[roles.index("leader")]


async def _is_warm(sidecar: Sidecar) -> bool:
    return "price_usd" in await sidecar.process.token(MINT)
