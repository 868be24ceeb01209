"""A redis-server of the benchmark's own, and what it says of itself."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import redis

from sidecar.fleet.keys import Keys


class RedisProcess:
    """Listens on a Unix socket; keeps nothing when it is killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers."""
        program = shutil.which("redis-server")
        if program is None:
            raise SystemExit("redis-server is not installed: get it with the package redis-server")
        arguments = ["--port", "0", "--unixsocket", str(self._socket), "--save", "", "--dir", str(self._folder)]
        self._process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)  # noqa: S603
        while not self._answers():
            time.sleep(0.01)

    def kill(self) -> None:
        """End it as kill -9 does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def clear(self) -> None:
        """Forget everything."""
        self._ask(lambda client: client.flushall())

    def used(self) -> dict[str, int]:
        """Return commands processed, bytes in and out, and memory in bytes."""
        found = self._ask(lambda client: {**client.info("stats"), **client.info("memory")})
        sizes = found["total_net_input_bytes"] + found["total_net_output_bytes"]
        return {"commands": found["total_commands_processed"], "bytes": sizes, "memory": found["used_memory"]}

    def lease(self) -> str:
        """Return fencing number and member of the leader, empty without one."""
        value = self._ask(lambda client: client.get(Keys("mc-sidecar").lease))
        return value.decode() if value else ""

    def _answers(self) -> bool:
        try:
            return bool(self._ask(lambda client: client.ping()))
        except redis.RedisError:
            return False

    def _ask(self, question: Any) -> Any:
        with redis.Redis.from_url(self.url, protocol=2) as client:
            return question(client)
