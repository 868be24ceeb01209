from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.fleet.keys import Keys
from sidecar.fleet.store import Store
from tests.system.fleet.redis_server import RedisServer, redis_server


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
async def store(redis: RedisServer) -> AsyncIterator[Store]:
    store = Store(redis.url, Keys("fleet-one"))
    await store.open()
    yield store
    await store.close()
