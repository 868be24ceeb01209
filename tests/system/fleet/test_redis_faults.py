"""Redis gone, full, read-only, emptied or replaced: each sidecar goes on alone, and the fleet forms again."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from sidecar.fleet.keys import Keys
from tests.service.tokens import PRICED
from tests.system.fleet.garbage import write_garbage
from tests.system.fleet.members import (
    LEASE_SECONDS,
    SLOW_MACHINE_SECONDS,
    FleetRig,
    cap,
    fleet,
    is_warm,
    metric,
    role,
    shared,
    until,
)
from tests.system.fleet.proxy import proxy

ALONE_SECONDS = 2.0
"""Within which a sidecar is alone when Redis does not serve."""
REDIS_BACK_SECONDS = 2 * LEASE_SECONDS + 3.0
"""Two leases, and what is left of a pause of three seconds."""
OTHER_PASSWORD = "another"  # noqa: S105 - of a server that lives for seconds


def all_serve(rig: FleetRig) -> bool:
    """Return whether every member has every popular value in memory."""
    return all(member.lookups.find(mint) for member in rig.members for mint in PRICED)


async def all_alone(rig: FleetRig) -> float:
    """Return how long it took until every member was alone; all serve meanwhile."""

    def is_alone() -> bool:
        assert all_serve(rig)
        return all(role(member) == "alone" for member in rig.members)

    took = await until(is_alone)
    assert all(metric(member, "fleet_connected") == 0.0 for member in rig.members)
    return took


async def formed_again(rig: FleetRig) -> float:
    """Return how long it took until one member led and all others followed; all serve meanwhile."""

    def has_formed() -> bool:
        assert all_serve(rig)
        return len(rig.leaders) == 1 and len(rig.followers) == len(rig.members) - 1

    return await until(has_formed)


async def kill(rig: FleetRig) -> None:
    await rig.redis.stop()


async def start(rig: FleetRig) -> None:
    await rig.redis.start()


async def freeze(rig: FleetRig) -> None:
    rig.redis.send(signal.SIGSTOP)


async def thaw(rig: FleetRig) -> None:
    rig.redis.send(signal.SIGCONT)


def command(*parts: str) -> Callable[[FleetRig], Awaitable[None]]:
    async def run(rig: FleetRig) -> None:
        await rig.redis.command(*parts)

    return run


async def nothing(rig: FleetRig) -> None:
    """Redis comes back by itself."""


async def lock_out(rig: FleetRig) -> None:
    """Change the password, and end the connections that still have the old one."""
    await rig.redis.command("CONFIG", "SET", "requirepass", OTHER_PASSWORD)
    await rig.redis.command("CLIENT", "KILL", "TYPE", "normal", password=OTHER_PASSWORD)


async def let_in(rig: FleetRig) -> None:
    await rig.redis.command("CONFIG", "SET", "requirepass", "", password=OTHER_PASSWORD)


FAULTS = {
    "killed, started again empty": (kill, start, ("Error",)),
    "frozen": (freeze, thaw, ("no answer within",)),
    "paused": (command("CLIENT", "PAUSE", "3000", "ALL"), nothing, ("no answer within",)),
    "read-only": (
        command("REPLICAOF", "127.0.0.1", "1"),
        command("REPLICAOF", "NO", "ONE"),
        ("read only",),
    ),
    "out of memory": (
        command("CONFIG", "SET", "maxmemory", "1"),
        command("CONFIG", "SET", "maxmemory", "0"),
        ("OOM", "maxmemory"),
    ),
    "password changed": (lock_out, let_in, ("already authenticated", "Authentication required")),
}


async def goes_alone_and_forms_again(fault: str) -> None:
    strike, mend, reasons = FAULTS[fault]
    async with fleet() as rig:
        await rig.formed(3)
        await strike(rig)
        assert await all_alone(rig) <= ALONE_SECONDS + SLOW_MACHINE_SECONDS
        error = str((rig.members[0].fleet_status() or {})["last_error"])
        assert any(reason in error for reason in reasons), error
        shares = [member.engine.upstreams["jupiter"].budget._share for member in rig.members]
        assert shares == [1 / 3] * 3
        await mend(rig)
        assert await formed_again(rig) <= REDIS_BACK_SECONDS + SLOW_MACHINE_SECONDS
        assert rig.leader.engine.upstreams["jupiter"].budget._share == 1.0


async def test_a_fleet_goes_alone_when_redis_does_not_serve_and_forms_again() -> None:
    """All at the same time: what takes seconds in each of them is waiting."""
    playing = {**{fault: goes_alone_and_forms_again(fault) for fault in FAULTS}, "slow": slow_and_too_slow()}
    results = await asyncio.gather(*playing.values(), return_exceptions=True)
    assert dict(zip(playing, results, strict=True)) == dict.fromkeys(playing)


async def slow_and_too_slow() -> None:
    """Play a Redis that takes a tenth of a second, which is borne with, and more than a second, which is not."""
    async with fleet() as rig, proxy(rig.redis.socket) as slowness:
        await rig.formed(1)
        slowness.seconds = 0.1
        (slow,) = await rig.join(settings=shared(rig.settings, slowness.url))
        await until(lambda: role(slow) == "follower" and is_warm(slow))
        slowness.seconds = 1.5
        assert await until(lambda: role(slow) == "alone") <= ALONE_SECONDS + SLOW_MACHINE_SECONDS
        assert all_serve(rig)
        slowness.seconds = 0.0
        await until(lambda: role(slow) == "follower")
        await slow.stop()


async def test_an_emptied_redis_is_filled_again_with_what_the_leader_remembers() -> None:
    async with fleet() as rig:
        await rig.formed(2)
        before = rig.market.total
        await rig.redis.command("FLUSHALL")
        values = Keys("mc-sidecar").values
        await until_true(lambda: rig.redis.command("HLEN", values), lambda found: found >= len(PRICED))
        (newcomer,) = await rig.join()
        assert all(cap(newcomer, mint) for mint in PRICED)
        assert rig.market.total == before


async def until_true(ask: Callable[[], Awaitable[int]], good: Callable[[int], bool]) -> None:
    async with asyncio.timeout(10):
        while not good(await ask()):  # noqa: ASYNC110 - it is a process of its own
            await asyncio.sleep(0.02)


async def test_garbage_in_every_key_is_counted_and_left_out_and_the_fleet_goes_on() -> None:
    async with fleet() as rig:
        await rig.formed(2)
        keys = Keys("mc-sidecar")
        await write_garbage(rig.redis, keys)
        await until(lambda: len(rig.leaders) == 1 and len(rig.followers) == 1)
        (newcomer,) = await rig.join()
        assert metric(newcomer, "fleet_values_rejected_total") + metric(rig.leader, "fleet_values_rejected_total")
        await until(lambda: all_serve(rig))


async def test_a_value_from_the_future_is_left_out() -> None:
    async with fleet() as rig:
        await rig.formed(1)
        values = Keys("mc-sidecar").values
        record = await rig.redis.command("HGET", values, PRICED[0])
        head, _, body = record.partition(b"\n")
        said = msgspec.json.decode(head)
        said["at"][1] += 3600
        forged = msgspec.json.encode(said) + b"\n" + body.replace(b'"price_usd":', b'"price_usd":9')
        await rig.redis.command("HSET", values, PRICED[0], forged)
        (newcomer,) = await rig.join()
        assert metric(newcomer, "fleet_values_rejected_total") == 1.0
        assert cap(newcomer, PRICED[0]) is None
        assert cap(newcomer, PRICED[1]) == cap(rig.leader, PRICED[1]) or cap(newcomer, PRICED[1]) is not None


class ShiftedClock:
    """A pod whose wall clock is hours off."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def monotonic(self) -> float:
        return time.monotonic() - self._seconds

    def time(self) -> float:
        return time.time() + self._seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


@pytest.mark.parametrize("hours", [-7, 5])
async def test_ages_are_right_in_a_pod_whose_clock_is_hours_off(hours: int) -> None:
    async with fleet() as rig:
        await rig.formed(1)
        (other,) = await rig.join(clock=ShiftedClock(hours * 3600))
        assert role(other) == "follower"
        here, there = (member.lookups.find(PRICED[2]) for member in (rig.leader, other))
        assert here is not None
        assert there is not None
        assert there.age_seconds == pytest.approx(here.age_seconds, abs=0.1)
        assert there.cap.timestamp == pytest.approx(other.clock.time() - there.age_seconds, abs=0.1)


async def test_a_wrong_password_leaves_a_sidecar_alone_and_is_nowhere_to_be_seen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with fleet() as rig:
        await rig.redis.command("CONFIG", "SET", "requirepass", "right")
        url = rig.redis.url.replace("unix://", "unix://default:hunter2secret@")
        (member,) = await rig.join(settings=shared(rig.settings, url))
        await until(lambda: is_warm(member))
        status = member.fleet_status() or {}
        assert status["role"] == "alone"
        assert "password" in str(status["last_error"])
        assert "hunter2secret" not in str(status) + caplog.text
        assert [record.message for record in caplog.records].count("the fleet's Redis does not serve") == 1


async def test_a_sidecar_that_may_not_read_the_values_refreshes_for_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sidecar.fleet.duty.SPREAD_SECONDS", 0.5)
    async with fleet() as rig:
        await rig.formed(1)
        await rig.redis.command("ACL", "SETUSER", "blind", "on", ">blind", "~*", "+@all", "-hscan")
        url = rig.redis.url.replace("unix://", "unix://blind:blind@")
        impatient = msgspec.structs.replace(rig.settings.refresh, startup_deadline_seconds=0.2)
        settings = msgspec.structs.replace(shared(rig.settings, url), refresh=impatient)
        (blind,) = await rig.join(settings=settings)
        await until(lambda: is_warm(blind))
        assert role(blind) == "alone"
        assert metric(blind, "fleet_connected") == 0.0


async def test_an_unusable_url_leaves_a_sidecar_alone() -> None:
    async with fleet() as rig:
        (member,) = await rig.join(settings=shared(rig.settings, "redis://no-such-host.invalid:6379"))
        await until(lambda: is_warm(member))
        assert role(member) == "alone"
        assert (member.fleet_status() or {})["last_error"]


async def test_a_redis_that_accepts_and_is_silent_keeps_no_sidecar_waiting() -> None:
    async with fleet() as rig, proxy(rig.redis.socket) as silent:
        silent.is_silent = True
        began = time.monotonic()
        (member,) = await rig.join(settings=shared(rig.settings, silent.url))
        assert time.monotonic() - began < ALONE_SECONDS + SLOW_MACHINE_SECONDS
        assert role(member) == "alone"
        await until(lambda: is_warm(member))
        await member.stop()
