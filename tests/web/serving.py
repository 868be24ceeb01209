"""A running sidecar: both listeners on real sockets, the simulated market behind it, a clock that a test moves."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from sidecar.app import Sidecar
from sidecar.config.redaction import Redactor
from sidecar.config.secret_values import secrets_of
from sidecar.config.settings import ApiSettings, OpsSettings, Settings
from sidecar.demo import Fault, Source, serve
from sidecar.models import WRAPPED_SOL
from tests.clock import FakeClock
from tests.running import Rig, WatchedMarket, pointed_at
from tests.web.contract import Answer, check

SOL: Final = str(WRAPPED_SOL)
JUP: Final = "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"
BONK: Final = "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263"
STSOL: Final = "7dHbWXmci3dT8UFYWYZweBLXgycu7Y3iL6trKn1Y7ARj"
"""Popular, and without a price."""
API: Final = ApiSettings(port=0)
OPS: Final = OpsSettings(port=0, host="127.0.0.1")
SETTINGS: Final = Settings(api=API, ops=OPS)
TRENDING_SOURCES: Final[tuple[Source, ...]] = ("jupiter", "dexscreener", "geckoterminal")
FEW: Final = 6
"""Of a trending list: they are warm sooner than the 120 that the market has there."""
TIMEOUT_SECONDS: Final = 30.0


class Site:
    """The sidecar and a client. Every answer of the application's listener is held against the contract."""

    def __init__(self, sidecar: Sidecar, rig: Rig, session: aiohttp.ClientSession) -> None:
        self.sidecar = sidecar
        self.rig = rig
        self.session = session

    async def ask(self, method: str, target: str, **more: Any) -> Answer:
        """Send a request to the application's listener, its target as written."""
        answer = await self._ask(self.sidecar.api_addresses[0], method, target, **more)
        check(method, target, answer)
        return answer

    async def get(self, target: str, **more: Any) -> Answer:
        return await self.ask("GET", target, **more)

    async def post(self, mints: object) -> Answer:
        return await self.ask("POST", "/mc", json={"mints": mints})

    async def ops(self, target: str, method: str = "GET", **more: Any) -> Answer:
        """Send a request to the operator's listener."""
        return await self._ask(self.sidecar.ops_addresses[0], method, target, **more)

    async def _ask(self, base: str, method: str, target: str, **more: Any) -> Answer:
        url = URL(base + target, encoded=True)
        async with self.session.request(method, url, **more) as response:
            return Answer(response.status, response.headers, await response.read())

    async def wait_for(self, asked: Coroutine[Any, Any, Answer]) -> Answer:
        """Return the answer to a request with misses, letting the time pass that gathers them."""
        task, clock = asyncio.create_task(asked), self.rig.clock

        def answered() -> bool:
            if self.sidecar.service.engine.misses._waiting and (wake := clock.next_wake) is not None:
                clock.advance(max(0.0, wake - clock.monotonic()))
            return task.done()

        await until(answered)
        return await task

    async def later(self, target: str, happened: Callable[[], object]) -> asyncio.Task[Answer]:
        """Send a GET and go on as soon as something has happened of it, on the standing clock."""
        task = asyncio.create_task(self.get(target))
        await until(happened)
        return task

    def switch_off(self, *sources: Source) -> None:
        """Let these sources answer every call with 503."""
        for source in sources:
            self.rig.market.faults[source] = Fault(kind="status", status=503)

    def unpopular(self) -> str:
        """Return a mint of the market that is not in memory yet, with a good price."""
        market, cache = self.rig.market, self.rig.service.engine.cache
        return next(
            token.mint
            for token in market.tokens.values()
            if cache.get(token.mint) is None
            and (token.liquidity_usd or 0) > 1e6
            and all(market.find(source, token.mint) for source in ("jupiter", "solana_rpc"))
        )


@asynccontextmanager
async def serving(
    settings: Settings = SETTINGS,
    *,
    prepare: Callable[[WatchedMarket], object] = id,
    warm: bool = True,
    trending: int = FEW,
) -> AsyncIterator[Site]:
    """Run the sidecar on a market with so many tokens a trending list, which `prepare` may change first."""
    clock = FakeClock()
    market = WatchedMarket(clock)
    for source in TRENDING_SOURCES:
        market.set_trending(source, market.trending(source)[:trending])
    prepare(market)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with serve(market) as urls, aiohttp.ClientSession(timeout=timeout) as session:
        pointed = pointed_at(urls, settings)
        sidecar = Sidecar(pointed, redactor=Redactor(secrets_of(pointed)), clock=clock)
        async with running(sidecar):
            rig = Rig(sidecar.service, market, clock)
            if warm:
                await until(lambda: not sidecar.service.health.unanswered)
                await rig.settle()
            yield Site(sidecar, rig, session)


@asynccontextmanager
async def running(sidecar: Sidecar) -> AsyncIterator[None]:
    """Run a sidecar from when it listens until the context ends."""
    stop = asyncio.Event()
    task = asyncio.create_task(sidecar.run(stop))
    try:
        await until(lambda: sidecar.api_addresses or task.done())
        yield
    finally:
        stop.set()
        await task


async def until(happened: Callable[[], object]) -> None:
    """Wait for what real I/O brings about."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not happened():  # noqa: ASYNC110 - nothing sets an event for it
            await asyncio.sleep(0)


def with_api(**changes: Any) -> Settings:
    """Return the settings with other ones for the application's listener."""
    return msgspec.structs.replace(SETTINGS, api=msgspec.structs.replace(API, **changes))
