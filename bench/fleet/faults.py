"""Four sidecars as processes, one alone and a fleet of three: what a follower costs, how faults are got over."""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.figures import percentile
from bench.fleet.redis import RedisProcess
from bench.processes import OTHER_CORE, SERVER_CORE, Process, fetch, python, wait_for
from bench.settings import write_settings

MEMBERS: Final = 3
NAMESPACE: Final = "mc-sidecar"
MINT: Final = "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"
ASKS_A_SECOND: Final = 200
WAIT_SECONDS: Final = 40.0
_BUCKET: Final = re.compile(r'mc_sidecar_fleet_propagation_seconds_bucket\{le="(?P<le>[^"]+)"\} (?P<count>\S+)')


class Found(NamedTuple):
    """In seconds, MiB, and shares of a core."""

    rss_alone: float
    rss_follower: float
    cpu_alone: float
    cpu_follower: float
    without_leader: float
    oldest_popular: float
    until_alone: float
    until_fleet: float
    p99_alone: float
    p99_follower: float
    failed: int
    propagation: Mapping[float, int]
    """Values by the upper bound of the time they took, over the followers."""


class Sidecar:
    """One process and its two ports."""

    def __init__(self, folder: Path, urls: Mapping[str, str], port: int, redis_url: str | None) -> None:
        more = {"fleet": {"redis_url": redis_url}, "log": {"level": "error"}}
        settings = write_settings(folder / f"{port}.json", urls, port, port + 1, more)
        self.port = port
        self.process = Process(python("-m", "sidecar", "serve", "--config", str(settings)), SERVER_CORE)

    def status(self) -> dict[str, Any]:
        """Return what /status says of the fleet."""
        fleet: dict[str, Any] = json.loads(fetch(f"http://127.0.0.1:{self.port + 1}/status"))["fleet"] or {}
        return fleet

    def propagation(self) -> dict[float, int]:
        """Return the buckets of the time that values took to get here."""
        lines = fetch(f"http://127.0.0.1:{self.port + 1}/metrics").decode().splitlines()
        found = (_BUCKET.match(line) for line in lines)
        return {float(match["le"]): int(float(match["count"])) for match in found if match}

    def oldest(self) -> float:
        """Return the age of the oldest popular value."""
        tokens = json.loads(fetch(f"http://127.0.0.1:{self.port}/mc"))["tokens"]
        return max(float(token["age_seconds"]) for token in tokens)


class Asker:
    """Asks a sidecar for a warm token at an even rate, and remembers how long each answer took."""

    def __init__(self, port: int) -> None:
        self.seconds: list[float] = []
        self.failed = 0
        self._url = f"http://127.0.0.1:{port}/mc/{MINT}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def p99_ms(self) -> float:
        """Stop, and return the 99th percentile in milliseconds."""
        self._ended.set()
        self._thread.join()
        return percentile(sorted(self.seconds), 99) * 1000

    def _run(self) -> None:
        while not self._ended.wait(1 / ASKS_A_SECOND):
            began = time.perf_counter()
            try:
                fetch(self._url)
            except OSError:
                self.failed += 1
            self.seconds.append(time.perf_counter() - began)


def measure(folder: Path, urls: Mapping[str, str], redis: RedisProcess, stack: ExitStack, idle: float) -> Found:
    """Play the faults, one after the other."""
    alone = Sidecar(folder, urls, 19_100, None)
    fleet = [Sidecar(folder, urls, 19_110 + 2 * number, redis.url) for number in range(MEMBERS)]
    for one in (alone, *fleet):
        stack.callback(one.process.stop)
        wait_for(f"http://127.0.0.1:{one.port + 1}/startupz", one.process, 90)
    leader = next(one for one in fleet if one.status()["role"] == "leader")
    followers = [one for one in fleet if one is not leader]
    watched = followers[0]
    before = {one: one.process.cpu_seconds() for one in (alone, watched)}
    time.sleep(idle)
    cpu = {one: (one.process.cpu_seconds() - seconds) / idle for one, seconds in before.items()}
    rss = {one: one.process.rss_mib() for one in (alone, watched)}
    buckets = [one.propagation() for one in followers]
    propagation = {le: sum(one[le] for one in buckets) for le in buckets[0]}
    askers = [Asker(one.port) for one in (alone, watched)]

    lease = redis.lease(NAMESPACE)
    leader.process.popen.send_signal(9)
    leader.process.popen.wait()
    oldest: list[float] = []
    without_leader = _until(lambda: _is_new(redis, lease, oldest, watched))
    _until(lambda: all(one.status()["role"] != "alone" for one in followers))

    redis.kill()
    until_alone = _until(lambda: all(one.status()["role"] == "alone" for one in followers))
    time.sleep(5)
    redis.start()
    until_fleet = _until(lambda: {one.status()["role"] for one in followers} == {"leader", "follower"})
    p99 = [asker.p99_ms() for asker in askers]
    return Found(
        *(rss[alone], rss[watched], cpu[alone], cpu[watched], without_leader, max(oldest)),
        *(until_alone, until_fleet, *p99, sum(asker.failed for asker in askers), propagation),
    )


def market(stack: ExitStack) -> dict[str, str]:
    """Start the simulated market and return its base URLs."""
    process = Process(python("-m", "sidecar.demo"), OTHER_CORE, stdout=-1)
    stack.callback(process.stop)
    urls: dict[str, str] = json.loads(process.first_line())["base_urls"]
    return urls


def _is_new(redis: RedisProcess, lease: str, oldest: list[float], watched: Sidecar) -> bool:
    oldest.append(watched.oldest())
    return redis.lease(NAMESPACE) not in {"", lease}


def _until(happened: Callable[[], bool]) -> float:
    began = time.perf_counter()
    while not happened():
        if time.perf_counter() - began > WAIT_SECONDS:
            raise SystemExit("it has not happened")
        time.sleep(0.02)
    return time.perf_counter() - began
