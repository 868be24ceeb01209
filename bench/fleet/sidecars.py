"""Processes: a simulated market, sidecars, and what asks one of them for a warm token all the time."""

import json
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

from bench.figures import percentile
from bench.processes import Process, fetch, python
from bench.settings import write_settings

MINT: Final = "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"
ASKS_A_SECOND: Final = 100
WARM_SECONDS: Final = 120.0
ALL_CORES: Final = f"0-{(os.cpu_count() or 1) - 1}"
_BUCKET: Final = re.compile(r'mc_sidecar_fleet_propagation_seconds_bucket\{le="(?P<le>[^"]+)"\} (?P<count>\S+)')


class MarketProcess:
    """A simulated market, and how often it was asked."""

    def __init__(self, stack: ExitStack) -> None:
        process = Process(python("-m", "sidecar.demo"), ALL_CORES, stdout=-1)
        stack.callback(process.stop)
        said = json.loads(process.first_line())
        self.urls: Mapping[str, str] = said["base_urls"]
        self._operator = said["operator"]

    def calls(self) -> dict[str, int]:
        """Return the calls so far, by source."""
        calls: dict[str, int] = json.loads(fetch(self._operator))["calls"]
        return calls

    def total(self) -> int:
        """Return all calls so far."""
        return sum(self.calls().values())


class Counting:
    """Looks at a market's calls all the time."""

    def __init__(self, market: MarketProcess) -> None:
        self._market = market
        self._seen: list[tuple[float, int]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def within(self, seconds: float) -> int:
        """Stop, and return the calls within so many seconds of the first one, as far as they are over."""
        self._ended.set()
        self._thread.join()
        first = next(at for at, calls in self._seen if calls)
        return max(calls for at, calls in self._seen if at <= first + seconds)

    def _run(self) -> None:
        while not self._ended.wait(0.25):
            self._seen.append((time.monotonic(), self._market.total()))


class Sidecar:
    """One process and its two ports."""

    def __init__(self, folder: Path, urls: Mapping[str, str], port: int, more: Mapping[str, Any]) -> None:
        settings = write_settings(folder / f"{port}.json", urls, port, port + 1, more)
        self.port = port
        self.process = Process(python("-m", "sidecar", "serve", "--config", str(settings)), ALL_CORES)

    def is_warm(self) -> bool:
        """Return whether each popular mint has been answered once."""
        with suppress(OSError):
            return bool(fetch(f"http://127.0.0.1:{self.port + 1}/startupz"))
        return False

    def role(self) -> str:
        """Return what /status says it is."""
        fleet = json.loads(fetch(f"http://127.0.0.1:{self.port + 1}/status"))["fleet"] or {}
        return str(fleet.get("role"))

    def propagation(self) -> dict[float, int]:
        """Return the buckets of the time that values took to get here."""
        lines = fetch(f"http://127.0.0.1:{self.port + 1}/metrics").decode().splitlines()
        found = (_BUCKET.match(line) for line in lines)
        return {float(match["le"]): int(float(match["count"])) for match in found if match}

    def oldest(self) -> float:
        """Return the age of the oldest popular value."""
        tokens = json.loads(fetch(f"http://127.0.0.1:{self.port}/mc"))["tokens"]
        return max(float(token["age_seconds"]) for token in tokens)


def started(
    stack: ExitStack, folder: Path, urls: Mapping[str, str], ports: Sequence[int], more: Mapping[str, Any]
) -> list[Sidecar]:
    """Start sidecars at the same moment and return them when all are warm."""
    sidecars = [Sidecar(folder, urls, port, more) for port in ports]
    for sidecar in sidecars:
        stack.callback(sidecar.process.popen.wait)
    for sidecar in sidecars:
        stack.callback(sidecar.process.popen.kill)
    _until_none(sidecars, lambda sidecar: not sidecar.is_warm(), WARM_SECONDS)
    return sidecars


def seconds_until(sidecars: Sequence[Sidecar], roles: frozenset[str]) -> float:
    """Return how long it took until each had one of these roles."""
    began = time.perf_counter()
    _until_none(sidecars, lambda sidecar: sidecar.role() not in roles, WARM_SECONDS)
    return time.perf_counter() - began


def _until_none(sidecars: Sequence[Sidecar], lacks: Any, seconds: float) -> None:
    """Look at those that are left, again and again."""
    began, left = time.perf_counter(), list(sidecars)
    while left:
        if time.perf_counter() - began > seconds:
            raise SystemExit(f"{len(left)} of {len(sidecars)} sidecars are not where they should be")
        left = [sidecar for sidecar in left if lacks(sidecar)]
        time.sleep(0.01)


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
