"""What comes in masses, or is made to be heavy, costs little and holds nothing else up."""

import asyncio
import gzip
import json
import os
from collections import Counter
from pathlib import Path

import aiohttp

from tests.service.tokens import POPULAR_MINTS, nobodys
from tests.system.app.process import Sidecar, sidecar

MIB = 1024
SWOLLEN_BYTES = 250_000_000


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / MIB


async def post(session: aiohttp.ClientSession, url: str, body: bytes, **headers: str) -> int:
    headers = {"Content-Type": "application/json", **headers}
    async with session.post(url, data=body, headers=headers) as response:
        await response.read()
        return response.status


async def test_bodies_made_to_swell_are_never_inflated(tmp_path: Path) -> None:
    async with sidecar(tmp_path) as running, aiohttp.ClientSession() as session:
        api, ops = running.addresses["api"][0], running.addresses["ops"][0]
        before = cpu_seconds(running.process.pid)
        bomb = gzip.compress(bytes(SWOLLEN_BYTES))
        urls = [f"{api}/nope", f"{ops}/nope", f"{ops}/livez", f"{api}/mc"] * 10
        asked = [post(session, url, bomb, **{"Content-Encoding": "gzip"}) for url in urls]
        statuses = Counter(await asyncio.gather(*asked))
        assert statuses == {404: 20, 405: 10, 413: 10}
        assert cpu_seconds(running.process.pid) - before < 1.0  # one of them inflated takes a quarter of that


async def test_hundreds_of_large_batches_at_once_stay_within_the_limit_of_memory(tmp_path: Path) -> None:
    connector = aiohttp.TCPConnector(limit=0)
    async with sidecar(tmp_path) as running, aiohttp.ClientSession(connector=connector) as session:
        url = running.addresses["api"][0] + "/mc"
        bodies = [json.dumps({"mints": nobodys(1000, 1000 * number)}).encode() for number in range(300)]
        tasks = [asyncio.create_task(post(session, url, body)) for body in bodies]
        statuses = Counter(await asyncio.gather(*tasks[:200]))
        for task in tasks[200:]:
            task.cancel()
        assert set(statuses) <= {200, 429}
        assert statuses[429] > 0
        popular = json.dumps({"mints": list(POPULAR_MINTS)}).encode()
        async with asyncio.timeout(5):
            while await post(session, url, popular) != 200:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        assert peak_mib(running.process.pid) < 110


async def hold(running: Sidecar, clients: int) -> list[asyncio.StreamWriter]:
    writers = []
    for _ in range(clients):
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
        writers.append(writer)
    return writers


async def test_a_low_limit_of_open_files_leaves_the_operators_port_its_own(tmp_path: Path) -> None:
    async with sidecar(tmp_path, open_files=256) as running:
        writers = await hold(running, 300)
        for _ in range(20):
            assert (await running.probe("/livez"))[0] == 200
        for writer in writers:
            writer.transport.abort()
        assert "limit of open files" in running.log
