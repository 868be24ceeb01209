"""The client against the real process, which is killed in the middle of a stream and started again."""

import asyncio
import signal
import socket
from pathlib import Path

import pytest

from sidecar.client import MarketCaps, Snapshot, SyncMarketCaps
from sidecar.client.stream import Waits
from sidecar.demo import Market, serve
from tests.system.processes import serving

JUP = "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"


async def test_a_stream_outlives_the_sidecar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Waits, "next", lambda *_: 0.05)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        api = {"host": "127.0.0.1", "port": unused.getsockname()[1]}
    url = f"http://127.0.0.1:{api['port']}"
    async with serve(Market()) as urls, MarketCaps(url) as caps, asyncio.timeout(30):
        async with serving(tmp_path, urls, api=api) as process:
            events = caps.stream([JUP])
            first = await anext(events)
            with SyncMarketCaps(url) as sync:
                found = await asyncio.to_thread(sync.get, JUP)
            process.send(signal.SIGKILL)
            await process.ended()
        nothing = await caps.get(JUP, default=None)
        async with serving(tmp_path, urls, api=api):
            second = await anext(events)

    assert isinstance(first, Snapshot)
    assert isinstance(second, Snapshot)
    assert first.tokens[JUP].mint == second.tokens[JUP].mint == found.mint == JUP
    assert nothing is None
