"""The server of all four upstreams, each below a prefix of its own, and of the operator's routes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from yarl import URL

from sidecar.demo.answers import respond
from sidecar.demo.control import control_routes
from sidecar.demo.faults import STOPPING
from sidecar.demo.market import Market
from sidecar.demo.routes import READERS, Reader
from sidecar.demo.tokens import Source
from sidecar.demo.wire_solana import parse_request

_PATHS: Final[Mapping[Source, str]] = {
    "jupiter": "/jupiter",
    "dexscreener": "/dexscreener",
    "geckoterminal": "/geckoterminal/api/v2",
    "solana_rpc": "/solana",
}
_SHUTDOWN_SECONDS: Final = 1.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def base_urls(host: str, port: int) -> dict[Source, str]:
    """Return what belongs into the settings as each source's `base_url`."""
    return {
        source: str(URL.build(scheme="http", host=host, port=port, path=path)) for source, path in _PATHS.items()
    }


def create_app(market: Market) -> web.Application:
    """Build the server of the upstreams and of the operator's routes below `/_market`."""
    app = web.Application()
    app[STOPPING] = asyncio.Event()
    app.on_shutdown.append(_release_faults)
    app.add_routes([web.get(path, _handler(market, read)) for path, read in READERS.items()])
    app.add_routes([web.post(_PATHS["solana_rpc"], _rpc_handler(market)), *control_routes(market)])
    return app


@asynccontextmanager
async def serve(market: Market, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[dict[Source, str]]:
    """Listen while the context lasts and give the base URLs.

    Port 0 takes a free one. Raises OSError when the port is taken.
    """
    runner = web.AppRunner(
        create_app(market), access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    try:
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield base_urls(host, site.port)
    finally:
        await runner.cleanup()


async def _release_faults(app: web.Application) -> None:
    app[STOPPING].set()


def _handler(market: Market, read: Reader) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await respond(market, request, read(market, request))

    return handle


def _rpc_handler(market: Market) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await respond(market, request, parse_request(market, await request.read()))

    return handle
