"""A client of the simulated upstreams that hides no bytes."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from sidecar.demo import Source

SOL = "So11111111111111111111111111111111111111112"
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
USDT = "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB"
BONK = "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263"
JUP = "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"
WETH = "7vfCXTUXx5WJV5JADk17DUJ4ksgau7utNKj4b963voxs"
STSOL = "7dHbWXmci3dT8UFYWYZweBLXgycu7Y3iL6trKn1Y7ARj"
PYUSD = "2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo"
UNKNOWN = "4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T"


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: Any


class Upstreams:
    def __init__(self, session: aiohttp.ClientSession, urls: Mapping[Source, str]) -> None:
        self.session = session
        self.urls = urls
        self.root = URL(urls["jupiter"]).origin()

    async def get(self, source: Source, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        async with self.session.get(self.urls[source] + path, headers=headers) as response:
            return Answer(response.status, response.headers, await _json_or_text(response))

    async def search(self, mints: Sequence[str]) -> Any:
        return (await self.get("jupiter", f"/tokens/v2/search?query={','.join(mints)}")).body

    async def pairs(self, mints: Sequence[str]) -> Any:
        return (await self.get("dexscreener", f"/tokens/v1/solana/{','.join(mints)}")).body

    async def listed(self, mints: Sequence[str], query: str = "") -> Any:
        path = f"/networks/solana/tokens/multi/{','.join(mints)}{query}"
        return (await self.get("geckoterminal", path)).body

    async def rpc(self, method: str, *params: Any) -> Any:
        return await self.post({"jsonrpc": "2.0", "id": 5, "method": method, "params": list(params)})

    async def post(self, body: Any) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(self.urls["solana_rpc"], data=data) as response:
            assert response.status == 200
            return await response.json()

    async def operate(self, method: str, path: str, body: Any = None) -> Answer:
        async with self.session.request(method, self.root.with_path(f"/_market{path}"), json=body) as response:
            return Answer(response.status, response.headers, await _json_or_text(response))


async def _json_or_text(response: aiohttp.ClientResponse) -> Any:
    return await response.json() if response.content_type == "application/json" else await response.text()
