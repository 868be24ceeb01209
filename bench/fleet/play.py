"""Fleets of real sidecars: started together and watched, then their leader and their Redis are killed."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from bench.fleet.redis import RedisProcess
from bench.fleet.sidecars import Asker, Counting, MarketProcess, Sidecar, seconds_until, started
from bench.settings import UNLIMITED_RPM
from sidecar.config.settings import RefreshSettings

FASTER: Final = 20
"""The intervals are a twentieth of the shipped ones while calls an hour are counted."""
FIRST_PORT: Final = 19_100
SETTLE_SECONDS: Final = 3.0
START_SECONDS: Final = 50.0
"""After the first call: before the first refresh of the popular list that is due by its interval."""
IDLE_SECONDS: Final = 20.0
BEFORE_DUE_SECONDS: Final = 52.0
"""How old the popular values are when the leader is killed: the next refresh is due before another one leads."""
ALONE_SECONDS: Final = 75.0
"""How long the largest fleet is left without Redis: each member refreshes everything once."""
WINDOW_SECONDS: Final = 10.0
LONGEST_SECONDS: Final = 120.0
FOLLOWING: Final = frozenset({"leader", "follower"})


class Hour(NamedTuple):
    """What a fleet asked for in so many hours of shipped intervals, and what it said in Redis."""

    calls_an_hour: float
    redis_mib: float


class Life(NamedTuple):
    """In seconds, MiB, shares of a core and milliseconds; None where a fleet of one has no such thing."""

    members: int
    calls_alone: int
    """When one starts by itself."""
    calls_at_start: int
    cpu_alone: float
    cpu_member: float
    rss_alone: float
    rss_member: float
    commands_a_second: float
    kib_a_second: float
    propagation: Mapping[float, int]
    """Values by the upper bound of the time they took, over the followers."""
    without_leader: float | None
    oldest_popular: float | None
    until_alone: float
    until_fleet: float
    busiest_alone: int | None
    """The most calls that Jupiter got within ten seconds from all together, without Redis."""
    p99_alone: float
    p99_member: float
    failed: int


def hour(size: int, redis: RedisProcess | None, folder: Path, seconds: float) -> Hour:
    """Count the calls with intervals that are shorter than shipped; without Redis one is alone."""
    refresh = {
        name: getattr(RefreshSettings(), name) / FASTER
        for name in (
            "popular_seconds",
            "tracked_seconds",
            "trending_seconds",
            "supply_seconds",
            "sol_supply_seconds",
        )
    }
    more = {"refresh": refresh, "source": {"requests_per_minute": UNLIMITED_RPM}, **_shared(redis)}
    with ExitStack() as stack:
        market = MarketProcess(stack)
        started(stack, folder, market.urls, _ports(size), more)
        time.sleep(SETTLE_SECONDS)
        before, since = market.total(), time.monotonic()
        time.sleep(seconds)
        calls, took = market.total() - before, time.monotonic() - since
        memory = redis.used()["memory"] / 2**20 if redis else 0.0
    return Hour(calls / took * 3600 / FASTER, memory)


def life(size: int, redis: RedisProcess, folder: Path, *, stays_alone: bool) -> Life:
    """Play one fleet with everything as shipped, a sidecar alone beside it."""
    with ExitStack() as stack:
        market, other_market = MarketProcess(stack), MarketProcess(stack)
        (alone,) = started(stack, folder, other_market.urls, [FIRST_PORT - 2], _QUIET)
        time.sleep(SETTLE_SECONDS)
        alone_at_start = other_market.total()
        counting = Counting(market)
        fleet = started(stack, folder, market.urls, _ports(size), _shared(redis))
        time.sleep(SETTLE_SECONDS)
        at_start = counting.within(START_SECONDS)
        leader = next(one for one in fleet if one.role() == "leader")
        rest = [one for one in fleet if one is not leader] or fleet
        watched = rest[0]

        before, cpu = redis.used(), {one: one.process.cpu_seconds() for one in (alone, *rest)}
        since = time.monotonic()
        time.sleep(IDLE_SECONDS)
        while size > 1 and watched.oldest() < BEFORE_DUE_SECONDS:
            time.sleep(0.2)
        took, after = time.monotonic() - since, redis.used()
        cpu = {one: (one.process.cpu_seconds() - seconds) / took for one, seconds in cpu.items()}

        askers = [Asker(one.port) for one in (alone, watched)]
        without_leader, oldest = _kill(leader, rest, redis) if size > 1 else (None, None)
        propagation = _summed(one.propagation() for one in rest)
        redis.kill()
        until_alone = seconds_until(rest, frozenset({"alone"}))
        busiest = _busiest(market, ALONE_SECONDS) if stays_alone else None
        redis.start()
        until_fleet = seconds_until(rest, FOLLOWING)
        p99 = [asker.p99_ms() for asker in askers]
        return Life(
            members=size,
            calls_alone=alone_at_start,
            calls_at_start=at_start,
            cpu_alone=cpu[alone],
            cpu_member=median(cpu[one] for one in rest),
            rss_alone=alone.process.rss_mib(),
            rss_member=median(one.process.rss_mib() for one in rest),
            commands_a_second=(after["commands"] - before["commands"]) / took,
            kib_a_second=(after["bytes"] - before["bytes"]) / took / 1024,
            propagation=propagation,
            without_leader=without_leader,
            oldest_popular=oldest,
            until_alone=until_alone,
            until_fleet=until_fleet,
            busiest_alone=busiest,
            p99_alone=p99[0],
            p99_member=p99[1],
            failed=sum(asker.failed for asker in askers),
        )


_QUIET: Final[Mapping[str, Any]] = {"log": {"level": "error"}}


def _shared(redis: RedisProcess | None) -> dict[str, Any]:
    return {**_QUIET, "fleet": {"redis_url": redis.url}} if redis else dict(_QUIET)


def _ports(size: int) -> Sequence[int]:
    return range(FIRST_PORT, FIRST_PORT + 2 * size, 2)


def _kill(leader: Sidecar, rest: Sequence[Sidecar], redis: RedisProcess) -> tuple[float, float]:
    """Kill the leader. Returns how long none leads, and how old the oldest popular value gets until a refresh."""
    lease, ages = redis.lease(), [rest[0].oldest()]
    leader.process.popen.kill()
    leader.process.popen.wait()
    without_leader = _until(lambda: redis.lease() not in {"", lease})

    def is_refreshed() -> bool:
        ages.append(rest[0].oldest())
        return ages[-1] < max(ages) - 1

    _until(is_refreshed)
    return without_leader, max(ages)


def _until(happened: Callable[[], bool]) -> float:
    began = time.perf_counter()
    while not happened():
        if time.perf_counter() - began > LONGEST_SECONDS:
            raise SystemExit("it has not happened")
        time.sleep(0.02)
    return time.perf_counter() - began


def _busiest(market: MarketProcess, seconds: float) -> int:
    """Return the most calls that Jupiter gets within ten seconds of the next ones."""
    began, seen = time.monotonic(), []
    while (asked := time.monotonic()) < began + seconds:
        calls = market.calls()["jupiter"]
        seen.append((asked, time.monotonic(), calls))
        time.sleep(0.25)
    return max(
        later - calls for at, _, calls in seen for _, then, later in seen if 0 <= then - at <= WINDOW_SECONDS
    )


def _summed(buckets: Any) -> dict[float, int]:
    total: Counter[float] = Counter()
    for one in buckets:
        total.update(one)
    return dict(sorted(total.items()))
