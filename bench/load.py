"""The load generator, a process of its own: `python -m bench.load '{"port": …, "paths": […], …}'`.

Closed loop: each connection sends its next request when the answer is there. Open loop: requests are due at a
fixed rate whatever the server does, and each latency counts from when the request was due, so that a server that
stands still cannot hide what its clients would have waited. Its own lateness is reported.
"""

import json
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from bench.figures import percentile

_LENGTH: Final = b"content-length:"
_CHUNK: Final = 1 << 18
_NEVER: Final = float("inf")


class Connection:
    """One keep-alive connection with at most one request under way."""

    end_of_head = b"\r\n\r\n"

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self._received = b""
        self._missing = -1

    def fileno(self) -> int:
        """Let select wait for it."""
        return self.socket.fileno()

    def send(self, request: bytes, due: float) -> None:
        """Send a request that was due at this moment."""
        self.due = due
        self.socket.sendall(request)

    def is_answered(self) -> bool:
        """Read what is there; return whether the answer is complete. Raises ConnectionError unless it is good."""
        data = self.socket.recv(_CHUNK)
        if not data:
            raise ConnectionError("the server closed the connection")
        if self._missing < 0:
            return self._read_head(self._received + data)
        self._missing -= len(data)
        return self._is_over()

    def _read_head(self, data: bytes) -> bool:
        end = data.find(self.end_of_head)
        if end < 0:
            self._received = data
            return False
        self._missing = end + len(self.end_of_head) + self._body_bytes(data, end) - len(data)
        self._received = b""
        return self._is_over()

    def _body_bytes(self, data: bytes, end: int) -> int:
        head = data[:end].lower()
        if not head.startswith(b"http/1.1 200"):
            raise ConnectionError(data[:200].decode(errors="replace"))
        start = head.index(_LENGTH) + len(_LENGTH)
        return int(head[start:].split(b"\r\n", 1)[0])

    def _is_over(self) -> bool:
        if self._missing > 0:
            return False
        self._missing = -1
        return True


class RedisConnection(Connection):
    """Likewise to Redis: a bulk string has its length in front, and a line's end behind."""

    end_of_head = b"\r\n"

    def _body_bytes(self, data: bytes, end: int) -> int:
        if not data.startswith(b"$") or data.startswith(b"$-1"):
            raise ConnectionError(data[:200].decode(errors="replace"))
        return int(data[1:end]) + len(self.end_of_head)


PROTOCOLS: Final[dict[str, type[Connection]]] = {"http": Connection, "redis": RedisConnection}


def closed(
    connect: Callable[[], Connection], requests: Sequence[bytes], connections: int, seconds: float
) -> dict[str, Any]:
    """Ask as fast as the server answers. Returns `requests` answered and `seconds` taken."""
    poll, opened = select.epoll(), {}
    for number in range(connections):
        one = connect()
        opened[one.fileno()] = one
        poll.register(one.fileno(), select.EPOLLIN)
        one.send(requests[number % len(requests)], 0.0)
    done, started = 0, time.perf_counter()
    end = started + seconds
    while (now := time.perf_counter()) < end:
        for number, _ in poll.poll(1.0):
            one = opened[number]
            if one.is_answered():
                done += 1
                one.send(requests[done % len(requests)], 0.0)
    return {"requests": done, "seconds": now - started}


def open_loop(
    connect: Callable[[], Connection], requests: Sequence[bytes], connections: int, seconds: float, rate: float
) -> dict[str, Any]:
    """Ask at a fixed rate. Returns latencies in milliseconds from when each request was due."""
    idle = deque(connect() for _ in range(connections))
    busy: set[Connection] = set()
    waited: list[float] = []
    late: list[float] = []
    total, sent = int(rate * seconds), 0
    started = time.perf_counter() + 0.01
    while len(waited) < total:
        now = time.perf_counter()
        while sent < total and idle and (due := started + sent / rate) <= now:
            one = idle.popleft()
            one.send(requests[sent % len(requests)], due)
            late.append(now - due)
            busy.add(one)
            sent += 1
        due = started + sent / rate if sent < total and idle else _NEVER
        for one in _ready(busy, due):
            if one.is_answered():
                waited.append(time.perf_counter() - one.due)
                busy.discard(one)
                idle.append(one)
    return {"requests": total, **_in_milliseconds("", waited), **_in_milliseconds("late_", late)}


def _ready(busy: set[Connection], due: float) -> list[Connection]:
    """Wait for an answer, at most until the next request is due."""
    left = max(0.0, min(1.0, due - time.perf_counter()))
    return select.select(list(busy), [], [], left)[0]


def _in_milliseconds(prefix: str, seconds: list[float]) -> dict[str, float]:
    seconds.sort()
    shown = {"p50": 50.0, "p99": 99.0, "p999": 99.9, "max": 100.0}
    return {prefix + name: 1000 * percentile(seconds, percent) for name, percent in shown.items()}


def request_bytes(path: str) -> bytes:
    """Return a GET as an ordinary client sends it."""
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: */*", "Accept-Encoding: identity"]
    return "\r\n".join([*lines, "User-Agent: bench", "", ""]).encode()


def redis_command(*words: bytes) -> bytes:
    """Return a command to Redis."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def main() -> None:
    """Do what the argument says and write the result as JSON."""
    task = json.loads(sys.argv[1])
    protocol, paths = task["protocol"], task["paths"]
    if protocol == "redis":
        requests = [redis_command(b"GET", path.encode()) for path in paths]
    else:
        requests = [request_bytes(path) for path in paths]
    connect = partial(PROTOCOLS[protocol], task["port"])
    given = (connect, requests, task["connections"], task["seconds"])
    result = open_loop(*given, task["rate"]) if "rate" in task else closed(*given)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
