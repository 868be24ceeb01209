"""Whatever befalls Redis, sidecars that are processes go on: no request for a warm token fails."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from sidecar.fleet.keys import Keys
from tests.system.fleet.garbage import write_garbage
from tests.system.fleet.members import SLOW_MACHINE_SECONDS
from tests.system.fleet.proxy import Proxy, proxy
from tests.system.fleet.sidecars import LEASE_SECONDS, Sidecar, Stage, eventually, stage

MEMBERS: Final = 3
ALONE_SECONDS: Final = 2.0
BACK_SECONDS: Final = 2 * LEASE_SECONDS
REOPEN_SECONDS: Final = 1.0
WATCHED_SECONDS: Final = 12.0
JUPITER_CALLS_IN_TEN_SECONDS: Final = 5
"""What its keyless tier allows one address."""
PASSWORD: Final = "another"  # noqa: S105 - of a server that lives for seconds


Change = Callable[[], Awaitable[None]]


class Faults:
    """What is done to Redis, or to the way there, and undone."""

    def __init__(self, fleet: Stage, way: Proxy) -> None:
        self._redis = fleet.redis
        self._way = way

    async def killed(self) -> None:
        await self._redis.stop()

    async def started(self) -> None:
        await self._redis.start()

    async def frozen(self) -> None:
        self._redis.send(signal.SIGSTOP)

    async def thawed(self) -> None:
        self._redis.send(signal.SIGCONT)

    async def silent(self) -> None:
        self._way.is_silent = True

    async def speaking(self) -> None:
        self._way.is_silent = False

    async def slow(self) -> None:
        self._way.seconds = 1.5

    async def quick(self) -> None:
        self._way.seconds = 0.0

    async def locked(self) -> None:
        """Change the password, and end the connections that have the old one."""
        await self._redis.command("CONFIG", "SET", "requirepass", PASSWORD)
        await self._redis.command("CLIENT", "KILL", "TYPE", "normal", password=PASSWORD)

    async def open(self) -> None:
        await self._redis.command("CONFIG", "SET", "requirepass", "", password=PASSWORD)

    @property
    def all(self) -> tuple[tuple[Change, Change], ...]:
        """Each fault, and what ends it."""
        return (
            (self.command("REPLICAOF", "127.0.0.1", "1"), self.command("REPLICAOF", "NO", "ONE")),
            (self.command("CONFIG", "SET", "maxmemory", "1"), self.command("CONFIG", "SET", "maxmemory", "0")),
            (self.locked, self.open),
            (self.frozen, self.thawed),
            (self.silent, self.speaking),
            (self.slow, self.quick),
            (self.killed, self.started),
        )

    def command(self, *parts: str) -> Change:
        async def run() -> None:
            await self._redis.command(*parts)

        return run


async def test_no_request_for_a_warm_token_fails_whatever_befalls_redis(tmp_path: Path) -> None:
    async with stage(tmp_path) as fleet, proxy(fleet.redis.socket) as way:
        members = await asyncio.gather(*(fleet.start(redis_url=way.url) for _ in range(MEMBERS)))
        await eventually(lambda: are_a_fleet(members))
        for strike, mend in Faults(fleet, way).all:
            await strike()
            assert await eventually(lambda: are_alone(members)) <= ALONE_SECONDS + SLOW_MACHINE_SECONDS
            await mend()
            most = BACK_SECONDS + REOPEN_SECONDS + SLOW_MACHINE_SECONDS
            assert await eventually(lambda: are_a_fleet(members)) <= most
        redis = fleet.redis
        for damage in (partial(redis.command, "FLUSHALL"), partial(write_garbage, redis, Keys("mc-sidecar"))):
            await damage()
            await asyncio.sleep(1)
            await eventually(lambda: are_a_fleet(members))

        await fleet.redis.stop()
        await eventually(lambda: are_alone(members))
        since = time.monotonic()
        await asyncio.sleep(WATCHED_SECONDS)
        calls = [at for at, source, _, _ in fleet.market.asked if source == "jupiter" and at >= since]
        assert max(sum(at <= then < at + 10 for then in calls) for at in calls) <= JUPITER_CALLS_IN_TEN_SECONDS


async def are_a_fleet(members: list[Sidecar]) -> bool:
    roles = await asyncio.gather(*(member.role() for member in members))
    return sorted(roles) == ["follower"] * (len(members) - 1) + ["leader"]


async def are_alone(members: list[Sidecar]) -> bool:
    return {await member.role() for member in members} == {"alone"}
