"""The contestants written in Python: `python -m bench.servers NAME PORT DEXSCREENER_URL BODY_BYTES`.

`bare-*` is the floor: a handler on the same dynamic route that returns constant bytes with as many headers.
`aiocache` and `cashews` are what applications do today: ask DexScreener for one token, keep the answer a minute.
Their packages are imported by name where they are used: no other contestant pays for them, and the type checker,
which runs without the extra `bench`, does not look for them.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, Final

import aiohttp
import uvloop
from aiohttp import web

TTL_SECONDS: Final = 60

Fetch = Callable[..., Awaitable[dict[str, Any]]]
Decorator = Callable[..., Callable[[Fetch], Fetch]]
_HEADERS: Final = {
    "Content-Type": "application/json",
    "Age": "12",
    "Cache-Control": "max-age=360",
    "Cache-Status": "mc-sidecar; hit",
}


def bare(size: int) -> web.Application:
    """Build the floor."""
    body = b"x" * size

    async def get_token(_: web.Request) -> web.Response:
        return web.Response(body=body, headers=_HEADERS)

    app = web.Application()
    app.router.add_get("/mc/{mint}", get_token)
    return app


async def market_cap(session: aiohttp.ClientSession, base: str, mint: str) -> dict[str, Any]:
    """Ask DexScreener for one token and take its most liquid pair, as a first version does."""
    async with session.get(f"{base}/tokens/v1/solana/{mint}") as response:
        response.raise_for_status()
        pairs = await response.json()
    best = max(pairs, key=lambda pair: (pair.get("liquidity") or {}).get("usd", 0))
    return {
        "mint": mint,
        "symbol": best["baseToken"]["symbol"],
        "price_usd": float(best["priceUsd"]),
        "market_cap_usd": best["marketCap"],
    }


def aiocached(base: str) -> web.Application:
    """Build aiohttp with aiocache's decorator."""
    cached: Decorator = import_module("aiocache").cached
    session = web.AppKey("session", aiohttp.ClientSession)

    @cached(ttl=TTL_SECONDS, key_builder=lambda _function, _session, mint: f"mc:{mint}")
    async def remembered(client: aiohttp.ClientSession, mint: str) -> dict[str, Any]:
        return await market_cap(client, base, mint)

    async def get_token(request: web.Request) -> web.Response:
        return web.json_response(await remembered(request.app[session], request.match_info["mint"]))

    async def lifespan(app: web.Application) -> Any:
        async with aiohttp.ClientSession() as app[session]:
            yield

    app = web.Application()
    app.cleanup_ctx.append(lifespan)
    app.router.add_get("/mc/{mint}", get_token)
    return app


def run_cashews(port: int, base: str) -> None:
    """Run FastAPI with cashews' decorator on uvicorn, uvloop and httptools."""
    uvicorn, fastapi, cashews = map(import_module, ("uvicorn", "fastapi", "cashews"))
    cache: Decorator = cashews.cache

    cashews.cache.setup("mem://")
    app = fastapi.FastAPI()
    route: Decorator = app.get
    sessions: list[aiohttp.ClientSession] = []

    @cache(ttl=TTL_SECONDS, key="mc:{mint}")
    async def remembered(mint: str) -> dict[str, Any]:
        if not sessions:
            sessions.append(aiohttp.ClientSession())
        return await market_cap(sessions[0], base, mint)

    @route("/mc/{mint}")
    async def get_token(mint: str) -> dict[str, Any]:
        return await remembered(mint)

    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning")


def run_aiohttp(app: web.Application, port: int, loop: asyncio.AbstractEventLoop) -> None:
    """Serve an aiohttp application until SIGTERM."""
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=loop)


def main() -> None:
    """Run the contestant that the arguments name."""
    name, port, base, size = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    if name == "cashews":
        run_cashews(port, base)
    elif name == "aiocache":
        run_aiohttp(aiocached(base), port, uvloop.new_event_loop())
    else:
        loop = asyncio.new_event_loop() if name == "bare-asyncio" else uvloop.new_event_loop()
        run_aiohttp(bare(size), port, loop)


if __name__ == "__main__":
    main()
