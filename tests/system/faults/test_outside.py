"""Faults and floods on running processes, seen from outside."""

import asyncio
import random
import resource
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest
from aiohttp import ClientConnectorError

from sidecar.demo import Fault
from sidecar.demo.tokens import SOURCES
from tests.service.tokens import JUP, PRICED, nobodys
from tests.system.faults.outside import Outside, Reply, market_process, sidecar_on

MIB = 1024 * 1024
REFUSALS = {429: "overloaded", 503: "upstream_unavailable", 504: "deadline_exceeded"}
FLOOD_SECONDS = 3.0
FLOOD_PER_SECOND = 300
WARM_PER_SECOND = 100
LINGER_SECONDS = 0.5


def check_refusal(reply: Reply) -> None:
    """Hold an answer without a value to the contract."""
    assert reply.body["code"] == REFUSALS.get(reply.status, "not_priced")
    assert reply.status in {404, *REFUSALS}
    assert (int(reply.headers.get("Retry-After", "0")) >= 1) == (reply.status != 404)


async def at_a_rate(outside: Outside, mints: list[str], per_second: float) -> list[Reply]:
    """Ask for these mints one after the other without waiting for the answers."""
    asking = []
    started = time.monotonic()
    for number, mint in enumerate(mints):
        await asyncio.sleep(max(0.0, started + number / per_second - time.monotonic()))
        asking.append(asyncio.create_task(outside.get(mint)))
    return await asyncio.gather(*asking)


async def test_a_flood_of_unknown_mints_from_outside_hurts_no_warm_token(tmp_path: Path) -> None:
    async with market_process() as market, sidecar_on(market, tmp_path) as outside:
        before, memory = await market.calls(), outside.rss_bytes()
        flooded, warm = await asyncio.gather(
            at_a_rate(outside, list(nobodys(int(FLOOD_SECONDS * FLOOD_PER_SECOND))), FLOOD_PER_SECOND),
            at_a_rate(outside, [*PRICED] * int(FLOOD_SECONDS * WARM_PER_SECOND / len(PRICED)), WARM_PER_SECOND),
        )
        assert {(reply.status, reply.headers["Cache-Status"]) for reply in warm} == {(200, "mc-sidecar; hit")}
        for reply in flooded:
            check_refusal(reply)
        calls = {source: count - before[source] for source, count in (await market.calls()).items()}
        for source, per_minute in (
            ("jupiter", 30),
            ("dexscreener", 300),
            ("geckoterminal", 30),
            ("solana_rpc", 240),
        ):
            assert calls[source] <= per_minute // 6, source
        assert outside.rss_bytes() - memory < 32 * MIB
        assert await outside.livez() == 200


@pytest.mark.parametrize("kind", ["gzip_bomb", "endless"])
async def test_bodies_without_end_cost_a_process_little_memory_and_no_warm_token(
    kind: Literal["gzip_bomb", "endless"], tmp_path: Path
) -> None:
    async with market_process() as market, sidecar_on(market, tmp_path) as outside:
        cold = [mint for mint in await market.mints() if mint not in PRICED][100:]
        memory = outside.rss_bytes()
        for source in SOURCES:
            await market.fault(source, Fault(kind=kind))
        for number in range(20):
            replies = await asyncio.gather(*map(outside.get, [*PRICED, *cold[number * 5 :][:5]]))
            assert {reply.status for reply in replies[: len(PRICED)]} == {200}
            for reply in replies[len(PRICED) :]:
                assert reply.status == 200 or reply.headers["Retry-After"]
        assert outside.rss_bytes(peak=True) - memory < 64 * MIB
        assert 'outcome="too_large",source="jupiter"} 0.0' not in await outside.process.metrics()


async def test_a_thousand_cold_mints_are_answered_in_time_and_the_rest_is_fetched(tmp_path: Path) -> None:
    async with market_process(tokens=1500) as market, sidecar_on(market, tmp_path) as outside:
        mints = (await market.mints())[300:1300]
        for source in SOURCES:
            await market.fault(source, Fault(kind="latency", latency_seconds=0.2))
        first = await outside.post(mints)
        assert (first.status, first.seconds < 3.0) == (200, True)
        assert sorted([*first.body["tokens"], *first.body["errors"]]) == sorted(mints)
        assert {error["code"] for error in first.body["errors"].values()} <= {"not_priced", *REFUSALS.values()}
        assert len(first.body["tokens"]) >= 100
        await asyncio.sleep(1)
        later = await outside.post(mints)
        assert later.body["tokens"].keys() > first.body["tokens"].keys()
        assert (await outside.get(JUP)).status == 200


async def test_a_source_that_hangs_costs_a_cold_token_less_than_two_seconds(tmp_path: Path) -> None:
    async with market_process() as market, sidecar_on(market, tmp_path) as outside:
        await market.fault("jupiter", Fault(kind="hang"))
        cold = [mint for mint in await market.mints() if mint not in PRICED][100:140]
        replies = await asyncio.gather(*map(outside.get, cold))
        waited = sorted(reply.seconds for reply in replies if reply.status == 200 and not reply.body["cached"])
        assert len(waited) >= 10
        assert waited[-1] >= 0.7  # those for whom Jupiter had budget were kept waiting, the others passed it over
        assert waited[len(waited) // 2] < 1.5
        for reply in replies:
            if reply.status != 200:
                check_refusal(reply)


async def test_a_stop_in_the_middle_of_hits_misses_and_a_hanging_source_answers_every_client(
    tmp_path: Path,
) -> None:
    """Until the end of the linger. Whoever comes after it may be turned away by the kernel, with a reset too."""
    counts: Counter[int] = Counter()
    turned_away: list[float] = []

    async def ask(outside: Outside, mints: list[str]) -> None:
        for mint in mints:
            try:
                reply = await outside.get(mint)
            except ClientConnectorError:
                turned_away.append(time.monotonic())
                return
            counts[reply.status] += 1
            if reply.status != 200:
                check_refusal(reply)

    linger = {"linger_seconds": LINGER_SECONDS}
    async with market_process() as market, sidecar_on(market, tmp_path, shutdown=linger) as outside:
        cold = [mint for mint in await market.mints() if mint not in PRICED]
        await market.fault("jupiter", Fault(kind="hang"))
        clients = [asyncio.create_task(ask(outside, [*PRICED] * 1000)) for _ in range(10)]
        clients += [asyncio.create_task(ask(outside, cold[start::10])) for start in range(10)]
        while counts[200] < 500:  # noqa: ASYNC110 - a number is waited for, not an event
            await asyncio.sleep(0.01)
        told = time.monotonic()
        outside.process.send(signal.SIGTERM)
        await asyncio.gather(*clients)
        assert await outside.process.ended() == 0
        assert min(turned_away) >= told + LINGER_SECONDS


async def test_killed_at_any_moment_it_comes_back_with_what_it_had_though_every_upstream_is_down(
    tmp_path: Path,
) -> None:
    dice = random.Random(4)
    snapshot = {"path": str(tmp_path / "snapshot"), "interval_seconds": 0.1}
    async with market_process() as market:
        await market.stand_still(PRICED)
        async with sidecar_on(market, tmp_path, snapshot=snapshot) as outside:
            before = {mint: (await outside.get(mint)).body for mint in PRICED}
            await asyncio.sleep(0.3)
            outside.process.send(signal.SIGKILL)
            await outside.process.ended()
        for source in SOURCES:
            await market.fault(source, Fault(kind="drop"))
        restored: dict[str, float] = {}  # nothing new can come any more: what the first finds, the others find
        for _ in range(4):
            async with sidecar_on(market, tmp_path, warm=False, snapshot=snapshot) as outside:
                for mint, old in before.items():
                    reply = await outside.get(mint)
                    assert (reply.status, reply.headers["Cache-Status"]) == (200, "mc-sidecar; hit")
                    assert reply.body["market_cap_usd"] == pytest.approx(old["market_cap_usd"], rel=1e-9)
                    assert reply.body["timestamp"] >= old["timestamp"]
                    first = restored.setdefault(mint, reply.body["timestamp"])
                    assert reply.body["timestamp"] == pytest.approx(first, abs=0.01)
                    assert abs(time.time() - reply.body["timestamp"] - reply.body["age_seconds"]) < 1.0
                assert not any(line["event"] == "snapshot refused" for line in outside.process.log)
                await asyncio.sleep(dice.uniform(0.0, 0.3))
                outside.process.send(signal.SIGKILL)
                await outside.process.ended()


async def test_a_disk_that_is_full_for_a_while_is_told_once_and_no_client_notices(tmp_path: Path) -> None:
    """A limit on file sizes stands for the full disk: the kernel refuses the write in the same place."""
    path = tmp_path / "snapshot"
    snapshot = {"path": str(path), "interval_seconds": 0.1}
    async with market_process() as market, sidecar_on(market, tmp_path, snapshot=snapshot) as outside:
        _, hard = resource.prlimit(outside.pid, resource.RLIMIT_FSIZE)
        while not path.exists():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
        resource.prlimit(outside.pid, resource.RLIMIT_FSIZE, (1000, hard))
        assert (await outside.process.event("snapshot not written"))["error"] == "File too large"
        for _ in range(50):
            assert {(await outside.get(mint)).status for mint in PRICED} == {200}
        resource.prlimit(outside.pid, resource.RLIMIT_FSIZE, (hard, hard))
        await outside.process.event("snapshot written again")
        outside.process.send(signal.SIGTERM)
        assert await outside.process.ended() == 0
        assert [line["event"] for line in outside.process.log].count("snapshot not written") == 1
        assert path.stat().st_size > 1000
        assert not path.with_name("snapshot.tmp").exists()


async def test_a_read_only_directory_is_told_once_and_no_client_notices(tmp_path: Path) -> None:
    snapshot = {"path": "/sys/mc-sidecar-snapshot", "interval_seconds": 0.1}
    async with market_process() as market, sidecar_on(market, tmp_path, snapshot=snapshot) as outside:
        await outside.process.event("snapshot not written")
        for _ in range(20):
            assert {(await outside.get(mint)).status for mint in PRICED} == {200}
        outside.process.send(signal.SIGTERM)
        assert await outside.process.ended() == 0
