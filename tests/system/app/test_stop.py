"""How the process ends: no client that was let in goes without an answer."""

import asyncio
import signal
import socket
import stat
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from sidecar.demo import Market
from sidecar.demo.tokens import SOURCES
from tests.service.tokens import plain_tokens
from tests.system.app.process import launch, sidecar
from tests.web.listening import Client, Reply

JUP = b"JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"
WARM = b"GET /mc/" + JUP + b" HTTP/1.1\r\nHost: localhost\r\n"


async def connect(port: int) -> Client | None:
    """Connect, or return None when nothing listens, or stops to in this very moment (a reset)."""
    try:
        return Client(*await asyncio.open_connection("127.0.0.1", port))
    except (ConnectionRefusedError, ConnectionResetError):
        return None


async def first_reply(port: int, client: Client, request: bytes) -> Reply | None:
    """Return the reply, or None where the connection was never let in because listening had just ended."""
    try:
        return await client.ask(request)
    except (ConnectionError, asyncio.IncompleteReadError):
        assert await connect(port) is None
        return None


async def keep_asking(port: int, counts: Counter[str]) -> None:
    """Ask on one connection for as long as it lasts, then on the next, until nothing listens."""
    while client := await connect(port):
        reply = await first_reply(port, client, WARM + b"\r\n")
        while reply is not None:
            counts[str(reply.status)] += 1
            is_over = reply.headers.get("connection") == "close"
            reply = None if is_over else await client.ask(WARM + b"\r\n")
        await client.close()


async def ask_once_each(port: int, counts: Counter[str]) -> None:
    """Ask on a new connection each time, until nothing listens. The last may come too late to be let in."""
    while client := await connect(port):
        if reply := await first_reply(port, client, WARM + b"Connection: close\r\n\r\n"):
            counts[str(reply.status)] += 1
        await client.close()


@pytest.mark.parametrize("linger", [0.0, 0.5])
@pytest.mark.parametrize("client", [keep_asking, ask_once_each])
async def test_no_request_fails_when_a_busy_sidecar_is_told_to_stop(
    linger: float, client: Callable[[int, Counter[str]], Coroutine[None, None, None]], tmp_path: Path
) -> None:
    counts: Counter[str] = Counter()
    async with sidecar(tmp_path, f"shutdown: {{linger_seconds: {linger}}}\n") as running:
        clients = [asyncio.create_task(client(running.port, counts)) for _ in range(20)]
        while counts["200"] < 1000:  # noqa: ASYNC110 - a number is waited for, not an event
            await asyncio.sleep(0.01)
        running.process.send_signal(signal.SIGTERM)
        before = counts["200"]
        await asyncio.gather(*clients)
        assert await running.ended() == 0
    assert counts.keys() == {"200"}
    assert counts["200"] >= before + (100 if linger else 0)


async def test_while_it_lingers_hits_and_misses_are_answered_and_it_is_alive_but_not_ready(tmp_path: Path) -> None:
    market = Market(seed=1, tokens=300)
    trending = {mint for source in SOURCES for mint in market.trending(source)}
    unknown = next(mint for mint in plain_tokens(market, 80) if mint not in trending)
    miss = f"GET /mc/{unknown} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    async with sidecar(tmp_path, "shutdown: {linger_seconds: 3}\n") as running:
        assert (await running.probe("/readyz"))[0] == 200
        running.process.send_signal(signal.SIGTERM)
        while (await running.probe("/readyz"))[0] != 503:
            pass
        for request, outcome in ((miss, "fwd=miss"), (WARM + b"\r\n", "hit")):
            client = await connect(running.port)
            assert client is not None
            reply = await client.ask(request)
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert outcome in reply.headers["cache-status"]
            await client.close()
        assert (await running.probe("/livez"))[0] == 200
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 128 + signal.SIGTERM


async def test_a_request_under_way_is_waited_for_and_a_silent_client_is_not_for_long(tmp_path: Path) -> None:
    async with sidecar(tmp_path, "shutdown: {drain_seconds: 1}\n") as running:
        silent, slow = await connect(running.port), await connect(running.port)
        assert silent is not None
        assert slow is not None
        await slow.send(WARM)
        running.process.send_signal(signal.SIGTERM)
        assert await silent.is_closed()
        assert (await slow.ask(b"\r\n")).status == 200
        await slow.close()
        await silent.close()
        assert await running.ended() == 0


async def test_a_client_that_never_completes_a_request_holds_the_end_up_for_the_drain_alone(
    tmp_path: Path,
) -> None:
    async with sidecar(tmp_path, "shutdown: {drain_seconds: 0.5}\n") as running:
        slow = await connect(running.port)
        assert slow is not None
        await slow.send(WARM)
        await running.probe("/livez")
        started = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        assert await slow.is_closed()
        assert await running.ended() == 0
        assert 0.5 <= time.monotonic() - started < 3.0
        await slow.close()


# The Unix socket


def unix(path: Path, mode: str = "0666") -> str:
    return f'api: {{unix_socket: "{path}", unix_socket_mode: "{mode}"}}\n'


async def ask_unix(path: Path) -> int:
    client = Client(*await asyncio.open_unix_connection(path))
    reply = await client.ask(WARM + b"\r\n")
    await client.close()
    return reply.status


async def test_a_unix_socket_has_its_mode_and_goes_with_the_process(tmp_path: Path) -> None:
    path = tmp_path / "mc.sock"
    async with sidecar(tmp_path, unix(path, "0620")) as running:
        assert stat.S_IMODE(path.stat().st_mode) == 0o620
        assert await ask_unix(path) == 200
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 0
    assert not path.exists()


async def test_a_unix_socket_left_by_a_killed_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "mc.sock"
    async with sidecar(tmp_path, unix(path)) as running:
        running.process.kill()
        await running.ended()
    assert path.exists()
    async with sidecar(tmp_path, unix(path)):
        assert await ask_unix(path) == 200


async def test_a_unix_socket_that_a_process_answers_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mc.sock"
    async with sidecar(tmp_path, unix(path)):
        second = await launch(tmp_path, unix(path))
        _, errors = await second.communicate()
        assert (second.returncode, errors.count(b"\n")) == (2, 1)
        assert errors.startswith(b"mc-sidecar: api.unix_socket: is in use")
        assert await ask_unix(path) == 200


async def test_a_socket_that_took_the_place_of_ours_stays(tmp_path: Path) -> None:
    path = tmp_path / "mc.sock"
    async with sidecar(tmp_path, unix(path)) as running:
        path.rename(tmp_path / "old.sock")
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            running.process.send_signal(signal.SIGTERM)
            assert await running.ended() == 0
            assert path.exists()
