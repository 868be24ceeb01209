"""Two sidecars on the same market, one with the fast path and one without, that are sent the same bytes."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import pytest
from yarl import URL

from sidecar import app
from sidecar.web.fast_path import FastPath
from tests.web.serving import JUP, Site, serving

_DATE: Final = re.compile(rb"\r\nDate: [^\r]*")
HOST: Final = b"Host: localhost\r\n"
COMPARED: Final = ("mc_sidecar_lookups", "mc_sidecar_served_", "mc_sidecar_http_requests")


class Counting(FastPath):
    """The fast path, and how many answers it gave."""

    given = 0

    def answer(self, data: bytes) -> bytes | None:
        answer = super().answer(data)
        self.given += answer is not None
        return answer


class Off(FastPath):
    """No fast path, and no tally: each look-up is counted by itself, at once."""

    def __init__(self, service: Any) -> None:
        super().__init__(service)
        service.lookups.tally.open = lambda *_: False

    def answer(self, data: bytes) -> bytes | None:  # noqa: ARG002 - the fast path's parameter
        return None


class Client(asyncio.Protocol):
    """Collects what a connection gets."""

    def __init__(self) -> None:
        self.received = b""
        self.is_open = True
        self.link: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.link = transport

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, _: BaseException | None) -> None:
        self.is_open = False


def get(mint: str = JUP, fields: bytes = b"", version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    return method + b" /mc/" + mint.encode() + b" HTTP/" + version + b"\r\n" + HOST + fields + b"\r\n"


def get_many(*mints: str) -> bytes:
    return b"GET /mc?mints=" + ",".join(mints).encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n"


async def settle() -> None:
    """Let what has been sent arrive and be answered: memory answers within a few turns of the event loop."""
    for _ in range(8):
        await asyncio.sleep(0)


async def exchange(site: Site, chunks: Sequence[bytes], *, ends: bool = False) -> tuple[bytes, bool]:
    """Send chunks one after the other; return all that came back but dates, and whether the connection lives."""
    url = URL(site.sidecar.api_addresses[0])
    assert url.host is not None
    assert url.port is not None
    _, client = await asyncio.get_running_loop().create_connection(Client, url.host, url.port)
    await settle()
    for chunk in chunks:
        client.link.write(chunk)
        await settle()
    if ends:
        client.link.write_eof()
    for _ in range(3):
        await settle()
    client.link.abort()
    await settle()
    return _DATE.sub(b"", client.received), client.is_open


class Ways:
    def __init__(self, fast: Site, slow: Site, path: Counting) -> None:
        self.fast = fast
        self.slow = slow
        self.path = path

    async def compare(self, chunks: Sequence[bytes], *, ends: bool = False) -> bytes:
        """Send the same to both; return what both answered."""
        fast, slow = await asyncio.gather(*(exchange(site, chunks, ends=ends) for site in (self.fast, self.slow)))
        assert fast == slow, chunks
        return fast[0]

    async def pass_without_refreshes(self, seconds: float) -> None:
        """Let time pass, no source answering."""
        for site in (self.fast, self.slow):
            site.switch_off("jupiter", "dexscreener", "geckoterminal")
            await site.rig.run_for(seconds)

    def compare_counts(self) -> None:
        """Assert that both have counted the same."""
        fast, slow = [self._counts(site) for site in (self.fast, self.slow)]
        assert fast == slow

    def _counts(self, site: Site) -> dict[Any, Any]:
        service = site.sidecar.service
        samples: dict[Any, Any] = {
            (sample.name, *sorted(sample.labels.items())): pytest.approx(sample.value)
            for metric in service.registry.collect()
            if metric.name.startswith(COMPARED)
            for sample in metric.samples
        }
        tracker = service.engine.tracker
        wanted = {(one.mint, one.place, "requests"): sum(n for _, n in one.requests) for one in tracker.wanted()}
        return samples | wanted


@asynccontextmanager
async def two_ways(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ways]:
    """Run both, warm."""
    made: list[Counting] = []

    def counting(service: Any) -> Counting:
        made.append(Counting(service))
        return made[-1]

    async with AsyncExitStack() as stack:
        monkeypatch.setattr(app, "FastPath", counting)
        fast = await stack.enter_async_context(serving())
        monkeypatch.setattr(app, "FastPath", Off)
        slow = await stack.enter_async_context(serving())
        yield Ways(fast, slow, made[0])
