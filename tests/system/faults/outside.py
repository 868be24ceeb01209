"""The sidecar and the simulated market as two processes, seen from outside."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import ClientSession, TCPConnector

from sidecar.demo import Fault, Source
from tests.system.processes import TIMEOUT_SECONDS, Process, serving

KIB: Final = 1024


class Reply(NamedTuple):
    """What the application's listener answered, and how long that took."""

    status: int
    body: Any
    headers: dict[str, str]
    seconds: float


class MarketProcess:
    """`python -m sidecar.demo`, and its operator's routes."""

    def __init__(self, said: dict[str, Any], session: ClientSession) -> None:
        self.urls: dict[Source, str] = said["base_urls"]
        self._operator: str = said["operator"]
        self._session = session

    async def state(self) -> dict[str, Any]:
        async with self._session.get(self._operator) as response:
            state: dict[str, Any] = await response.json()
            return state

    async def calls(self) -> dict[str, int]:
        return dict((await self.state())["calls"])

    async def mints(self) -> list[str]:
        return [token["mint"] for token in (await self.state())["tokens"]]

    async def stand_still(self, mints: Iterable[str]) -> None:
        """Fix these prices."""
        prices = {token["mint"]: token["price_usd"] for token in (await self.state())["tokens"]}
        for mint in mints:
            body = msgspec.json.encode({"price_usd": prices[mint]})
            async with self._session.put(f"{self._operator}/tokens/{mint}", data=body) as response:
                assert response.status == 204

    async def fault(self, source: Source, fault: Fault | None) -> None:
        url = f"{self._operator}/faults/{source}"
        ask = (
            self._session.delete(url) if fault is None else self._session.put(url, data=msgspec.json.encode(fault))
        )
        async with ask as response:
            assert response.status == 204


class Outside:
    """An application in the same pod."""

    def __init__(self, process: Process, market: MarketProcess, session: ClientSession) -> None:
        self.process = process
        self.market = market
        self._session = session

    async def get(self, mint: str) -> Reply:
        return await self._ask("GET", f"/mc/{mint}")

    async def post(self, mints: list[str]) -> Reply:
        return await self._ask("POST", "/mc", json={"mints": mints})

    async def _ask(self, method: str, path: str, **more: Any) -> Reply:
        started = time.perf_counter()
        async with self._session.request(method, self.process._api + path, **more) as response:
            body = await response.json(content_type=None)
            return Reply(response.status, body, dict(response.headers), time.perf_counter() - started)

    async def is_warm(self) -> bool:
        async with self._session.get(f"{self.process._ops}/startupz") as response:
            return response.status == 200

    async def livez(self) -> int:
        async with self._session.get(f"{self.process._ops}/livez") as response:
            return response.status

    @property
    def pid(self) -> int:
        return self.process._process.pid

    def rss_bytes(self, *, peak: bool = False) -> int:
        """Return the memory it has now, or the most it ever had."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        name = "VmHWM" if peak else "VmRSS"
        return KIB * next(int(line.split()[1]) for line in lines if line.startswith(name))


@asynccontextmanager
async def market_process(tokens: int = 300) -> AsyncIterator[MarketProcess]:
    """Run the market until the context ends."""
    command = [sys.executable, "-m", "sidecar.demo", "--tokens", str(tokens)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(TIMEOUT_SECONDS):
            said = json.loads(await process.stdout.readline())
        async with ClientSession() as session:
            yield MarketProcess(said, session)
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def sidecar_on(
    market: MarketProcess, folder: Path, *, warm: bool = True, **settings: Any
) -> AsyncIterator[Outside]:
    """Run the sidecar on this market until the context ends; it is warm, where that is waited for."""
    async with (
        serving(folder, market.urls, **settings) as process,
        ClientSession(connector=TCPConnector(limit=0)) as session,
    ):
        outside = Outside(process, market, session)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while warm and not await outside.is_warm():  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        yield outside
