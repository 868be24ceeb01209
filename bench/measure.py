"""One measurement each: a load on a contestant, its cost, its memory, its start."""

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.contestants import JUP, Contestant
from bench.processes import OTHER_CORE, SERVER_CORE, Process, fetch, python, wait_for

CONNECTIONS: Final = 32
RATE: Final = 1000.0
_POST: Final = 500
_PASSES: Final = 8
"""A busy machine does not answer for all of them in time at first."""


class Load(NamedTuple):
    """What a closed loop found."""

    microseconds: float
    """CPU time of the server for each request."""
    per_second: float


def closed_loop(contestant: Contestant, paths: Sequence[str], seconds: float) -> Load:
    """Ask as fast as the server answers."""
    before = contestant.process.cpu_seconds()
    result = generate(
        protocol=contestant.protocol,
        port=contestant.port,
        paths=paths,
        connections=CONNECTIONS,
        seconds=seconds,
    )
    spent = contestant.process.cpu_seconds() - before
    return Load(1e6 * spent / result["requests"], result["requests"] / result["seconds"])


def open_loop(contestant: Contestant, paths: Sequence[str], seconds: float) -> dict[str, float]:
    """Ask RATE times a second; milliseconds from when each request was due."""
    return generate(
        protocol=contestant.protocol,
        port=contestant.port,
        paths=paths,
        connections=CONNECTIONS,
        seconds=seconds,
        rate=RATE,
    )


def generate(**task: Any) -> dict[str, float]:
    """Run the load generator on its core."""
    command = ["taskset", "-c", str(OTHER_CORE), *python("-m", "bench.load", json.dumps(task))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own module
    result: dict[str, float] = json.loads(done.stdout)
    return result


def fill(port: int, mints: Sequence[str], wanted: int) -> list[str]:
    """Ask for mints until so many are in memory with a price; return these."""
    priced: dict[str, None] = {}
    for _ in range(_PASSES):
        missing = [mint for mint in mints if mint not in priced]
        for start in range(0, len(missing), _POST):
            body = json.dumps({"mints": missing[start : start + _POST]}).encode()
            priced |= dict.fromkeys(json.loads(fetch(f"http://127.0.0.1:{port}/mc", body))["tokens"])
            if len(priced) >= wanted:
                return list(priced)[:wanted]
    raise ValueError(f"only {len(priced)} of {len(mints)} mints have a price")


def track(port: int, mints: Sequence[str], requests: int = 5) -> None:
    """Ask for mints as often as it takes for them to be kept warm."""
    for _ in range(requests):
        fetch(f"http://127.0.0.1:{port}/mc", json.dumps({"mints": list(mints)}).encode())


def seconds_to(arguments: Sequence[str], reached: Callable[[Process], object], **more: Any) -> float:
    """Start a process and return the seconds until it got somewhere; it is stopped then."""
    process = Process(arguments, SERVER_CORE, **more)
    try:
        reached(process)
        return time.perf_counter() - process.started
    finally:
        process.stop()


def import_seconds() -> float:
    """Return the time to import all that `serve` needs, the interpreter's own start taken off."""
    code = "import sidecar.cli, sidecar.app, sidecar.runtime.logs, uvloop"
    with_imports = seconds_to(python("-c", code), lambda process: process.popen.wait())
    return with_imports - seconds_to(python("-c", ""), lambda process: process.popen.wait())


def start_seconds(settings: Path, api_port: int, ops_port: int) -> tuple[float, float]:
    """Return the seconds from exec to the first answer of a probe, and to the first market cap."""
    serve = python("-m", "sidecar", "serve", "--config", str(settings))
    alive = seconds_to(serve, lambda process: wait_for(f"http://127.0.0.1:{ops_port}/livez", process))
    warm = seconds_to(serve, lambda process: wait_for(f"http://127.0.0.1:{api_port}/mc/{JUP}", process))
    return alive, warm
