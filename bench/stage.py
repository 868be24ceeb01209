"""The simulated market and the contestants, each a process with ports of its own."""

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from bench import contestants
from bench.contestants import JUP, Contestant
from bench.measure import track
from bench.memory import BATCH
from bench.processes import OTHER_CORE, Process, fetch, python
from bench.settings import SHIPPED, SIDECAR, write_settings
from sidecar.demo import Market

UNIVERSE: Final = 11_500
"""Tokens of the simulated market; some have no price."""
ONE: Final = [f"/mc/{JUP}"]
PYTHON: Final = {
    "bare aiohttp, uvloop": "bare-uvloop",
    "bare aiohttp, asyncio": "bare-asyncio",
    "aiohttp + aiocache": "aiocache",
    "FastAPI + cashews": "cashews",
}


class Stage:
    """Starts what is measured. All processes are stopped with `stack`."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._folder.chmod(0o755)  # started by root, nginx and Varnish serve as another user
        self._stack = stack
        self._port = 18_600
        self.mints = [*Market(1, UNIVERSE).tokens]

    def market(self, latency_ms: int) -> dict[str, str]:
        """Start a simulated market; return its base URLs by source."""
        arguments = python("-m", "sidecar.demo", "--tokens", str(UNIVERSE), "--latency-ms", str(latency_ms))
        market = Process(["chrt", "--idle", "0", *arguments], OTHER_CORE, stdout=subprocess.PIPE)
        self._stack.callback(market.stop)
        urls: dict[str, str] = json.loads(market.first_line())["base_urls"]
        return urls

    def settings(self, name: str, more: Mapping[str, Any], urls: Mapping[str, str]) -> tuple[Path, int, int]:
        """Write settings; return their file, the application's port and the operator's."""
        api, ops = self._next_port(), self._next_port()
        return write_settings(self._folder / f"{name}.json", urls, api, ops, more), api, ops

    def sidecar(
        self, name: str, more: Mapping[str, Any], urls: Mapping[str, str], interpreter: str = sys.executable
    ) -> Contestant:
        """Start a sidecar with these settings, under another Python if wished."""
        settings, api, _ = self.settings(name, more, urls)
        return contestants.start_sidecar(name, settings, api, self._stack, interpreter)

    def fleet(self, urls: Mapping[str, str], missing: Mapping[str, str]) -> list[Contestant]:
        """Start all contestants that are not missing, the sidecar first."""
        base, stack = urls["dexscreener"], self._stack
        sidecar = self.sidecar(SIDECAR, SHIPPED, urls)
        track(sidecar.port, self.mints[:BATCH])
        fleet, size = [sidecar], len(fetch(f"http://127.0.0.1:{sidecar.port}{ONE[0]}"))
        rest = (base, str(size))
        for name, module in PYTHON.items():
            fleet.append(contestants.start_python(name, module, self._next_port(), rest, stack))
        if "nginx" not in missing:
            fleet.append(contestants.start_nginx(self._next_port(), sidecar.port, self._folder, stack))
        if "varnishd" not in missing:
            fleet.append(contestants.start_varnish(self._next_port(), sidecar.port, self._folder, stack))
        if "redis-server" not in missing:
            bodies = {path: fetch(f"http://127.0.0.1:{sidecar.port}{path}") for path in ONE}
            fleet.append(contestants.start_redis(self._next_port(), bodies, stack))
        return fleet

    def _next_port(self) -> int:
        self._port += 1
        return self._port
