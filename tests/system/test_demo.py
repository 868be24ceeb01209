import asyncio
import json
import signal
import sys
from typing import Any

import aiohttp
import pytest

from sidecar.demo import Market, base_urls, serve
from tests.clock import FakeClock
from tests.demo.upstreams import SOL


async def start(*args: str) -> tuple[asyncio.subprocess.Process, Any]:
    """Start the market and wait for the line that says where it listens."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sidecar.demo", *args, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        return process, json.loads(await process.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_where_it_listens_and_ends_with_zero_when_asked(number: signal.Signals) -> None:
    process, said = await start("--seed", "9", "--tokens", "40", "--latency-ms", "1")
    try:
        async with aiohttp.ClientSession() as session, session.get(said["operator"]) as response:
            told = await response.json()
        assert [token["mint"] for token in told["tokens"]] == list(Market(9, 40).tokens)
        url = f"{said['base_urls']['jupiter']}/tokens/v2/search?query={SOL}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert (await response.json())[0]["id"] == SOL
    finally:
        process.send_signal(number)
        async with asyncio.timeout(10):
            output, _ = await process.communicate()
    assert (process.returncode, output) == (0, b"")


def test_base_urls_are_what_the_settings_take() -> None:
    assert base_urls("::1", 99) == {
        "jupiter": "http://[::1]:99/jupiter",
        "dexscreener": "http://[::1]:99/dexscreener",
        "geckoterminal": "http://[::1]:99/geckoterminal/api/v2",
        "solana_rpc": "http://[::1]:99/solana",
    }


async def test_a_taken_port_is_an_error() -> None:
    market = Market(1, 13, FakeClock())
    async with serve(market) as urls:
        port = int(urls["solana_rpc"].rsplit(":", 1)[1].removesuffix("/solana"))
        with pytest.raises(OSError, match="address"):
            async with serve(market, port=port):
                raise AssertionError
