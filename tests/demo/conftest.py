from collections.abc import AsyncIterator

import aiohttp
import pytest
from pytest_aiohttp import AiohttpServer

from sidecar.demo import Market, Source, base_urls, create_app
from tests.clock import FakeClock
from tests.demo.upstreams import Upstreams


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def market(clock: FakeClock) -> Market:
    """Make a market whose sources all say the exact truth."""
    return Market(seed=7, tokens=120, clock=clock, spread=0.0)


@pytest.fixture
async def urls(market: Market, aiohttp_server: AiohttpServer) -> dict[Source, str]:
    server = await aiohttp_server(create_app(market))
    assert server.port is not None
    return base_urls("127.0.0.1", server.port)


@pytest.fixture
async def upstreams(urls: dict[Source, str]) -> AsyncIterator[Upstreams]:
    async with aiohttp.ClientSession() as session:
        yield Upstreams(session, urls)
