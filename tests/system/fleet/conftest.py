from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.fleet import membership, redis_calls
from sidecar.fleet.keys import Keys
from sidecar.fleet.store import Store
from sidecar.refresh import batch
from tests.system.fleet import members
from tests.system.fleet.redis_server import RedisServer, redis_server

PATIENT_SECONDS = 30.0
UNHURRIED_BEAT_SECONDS = 0.2


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


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be too slow because several members share one busy core: for tests of what is not a fault."""
    monkeypatch.setattr(batch, "FALLBACK_AFTER_SECONDS", PATIENT_SECONDS)
    monkeypatch.setattr(redis_calls, "ANSWER_SECONDS", PATIENT_SECONDS)
    monkeypatch.setattr(membership, "ALONE_AFTER_SECONDS", PATIENT_SECONDS)
    monkeypatch.setattr(members, "LEASE_SECONDS", PATIENT_SECONDS)
    monkeypatch.setattr(membership, "BEAT_SECONDS", UNHURRIED_BEAT_SECONDS)
