"""Whole processes and the snapshots that they leave behind."""

import asyncio
import random
import sys
from pathlib import Path

import msgspec

from sidecar.demo import Market, serve
from sidecar.snapshot.file import read
from tests.service.tokens import BONK, plain_tokens
from tests.snapshot.test_manager import SUCCESS, dead
from tests.system.processes import serving


async def test_a_process_killed_with_9_comes_back_with_at_most_an_interval_lost(tmp_path: Path) -> None:
    snapshot = {"snapshot": {"path": str(tmp_path / "snapshot"), "interval_seconds": 0.1}}
    market = Market()
    token = plain_tokens(market, 1)[0]
    async with serve(market) as urls:
        async with serving(tmp_path, urls, **snapshot) as first:
            cap = await first.token(token)
            await asyncio.sleep(0.3)
            first.send(9)
            assert await first.ended() == -9
        dead(market)
        for _ in range(3):
            async with serving(tmp_path, urls, **snapshot) as later:
                assert later.log[0]["event"] == "snapshot restored"
                assert later.log[0]["dropped"] == 0
                found = await later.token(token)
                assert found["timestamp"] >= cap["timestamp"]  # of this refresh, or of a later one before the end
                assert found["age_seconds"] > 0
                await asyncio.sleep(0.15)
                later.send(9)
                await later.ended()


async def test_sigterm_writes_a_snapshot_long_before_its_interval(tmp_path: Path) -> None:
    snapshot = {"snapshot": {"path": str(tmp_path / "snapshot"), "interval_seconds": 3600}}
    market = Market()
    async with serve(market) as urls:
        async with serving(tmp_path, urls, **snapshot) as first:
            assert f"\n{SUCCESS} " not in await first.metrics()
            cap = await first.token(BONK)
            first.send(15)
            assert await first.ended() == 0
        dead(market)
        async with serving(tmp_path, urls, **snapshot) as second:
            found = await second.token(BONK)
    assert msgspec.json.encode(found["timestamp"]) == msgspec.json.encode(cap["timestamp"])


WRITER = """
import sys
from pathlib import Path
from sidecar.snapshot.file import write
path, number = Path(sys.argv[1]), 0
while True:
    number += 1
    write(path, [b"%d\\n" % number * 1_000_000])
    print(number, flush=True)
"""


async def test_a_writer_killed_at_any_moment_leaves_a_whole_snapshot(tmp_path: Path) -> None:
    """No fewer than the last one that was reported as written."""
    path = tmp_path / "snapshot"
    dice = random.Random(7)
    half_written = 0
    for _ in range(12):
        writer = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", WRITER, str(path)), stdout=asyncio.subprocess.PIPE
        )
        assert writer.stdout is not None
        await writer.stdout.readline()
        await asyncio.sleep(dice.uniform(0, 0.03))
        writer.kill()
        reported = (await writer.stdout.read()).split()
        await writer.wait()
        half_written += path.with_name("snapshot.tmp").exists()
        numbers = set(read(path, 10_000_000).split())
        assert len(numbers) == 1
        assert int(numbers.pop()) >= int(reported[-1] if reported else 1)
    assert half_written, "no kill came in the middle of a write"
