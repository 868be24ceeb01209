import asyncio
import json
import re
import signal
import socket
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.system.cli.process import FREE_PORTS, TIMEOUT_SECONDS, Process, started

SOL = "So11111111111111111111111111111111111111112"


async def get(url: str) -> tuple[int, dict[str, str], bytes]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, dict(response.headers), await response.read()


async def until_status(url: str, status: int) -> bytes:
    """Ask until this status comes, and return the body."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while True:
            found, _, body = await get(url)
            if found == status:
                return body
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_demo_serves_warm_tokens_without_a_network_and_ends_with_zero_when_asked(
    number: signal.Signals,
) -> None:
    async with started("demo", *FREE_PORTS, "--seed", "5", "--tokens", "40") as process:
        api, ops = await process.listening()
        await until_status(f"{ops}/startupz", 200)
        status, headers, body = await get(f"{api}/mc/{SOL}")
        assert (status, headers["Cache-Status"], json.loads(body)["symbol"]) == (200, "mc-sidecar; hit", "SOL")
        for _ in range(20):
            await get(f"{api}/mc/{SOL}")
        assert await process.end(number) == 0
    events = Counter(line["event"] for line in process.log)
    assert [events[event] for event in ("started", "listening", "stopping", "stopped")] == [1, 1, 1, 1]
    assert events.total() < 15
    assert all({"timestamp", "level", "logger", "event"} <= set(line) for line in process.log)


def settings_without_upstreams(folder: Path, more: str = "") -> str:
    """Write settings whose every source is a closed port of this machine; return the file's path."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sources = "\n".join(
        f'  {name}: {{base_url: "http://127.0.0.1:{port}/hidden-{name}"}}'
        for name in ("jupiter", "dexscreener", "geckoterminal", "solana_rpc")
    )
    file = folder / "sidecar.yaml"
    file.write_text(f"sources:\n{sources}\nrefresh: {{startup_deadline_seconds: 1}}\n{more}")
    return str(file)


async def test_without_upstreams_it_starts_says_what_fails_and_answers_503(tmp_path: Path) -> None:
    async with started("serve", *FREE_PORTS, "--config", settings_without_upstreams(tmp_path)) as process:
        api, ops = await process.listening()
        body = await until_status(f"{ops}/startupz", 200)
        assert json.loads(body)["popular_unanswered"] == 11
        assert [(await get(f"{ops}{path}"))[0] for path in ("/livez", "/readyz")] == [200, 200]
        status, headers, body = await get(f"{api}/mc/{SOL}")
        assert (status, json.loads(body)["code"]) == (503, "upstream_unavailable")
        assert int(headers["Retry-After"]) >= 1
        assert await process.end(signal.SIGTERM) == 0
    failing = {
        line["source"]: line["problem"] for line in process.log if line["event"].startswith("upstream failing")
    }
    assert set(failing) == {"jupiter", "dexscreener", "geckoterminal", "solana_rpc"}
    assert all("Connect call failed" in problem for problem in failing.values())
    assert "hidden" not in json.dumps(process.log)
    assert not [line for line in process.log if line["level"] in {"error", "critical"}]


async def test_the_second_signal_exits_now(tmp_path: Path) -> None:
    file = settings_without_upstreams(tmp_path, "shutdown: {linger_seconds: 60}\n")
    async with started("--config", file, *FREE_PORTS) as process:
        await process.listening()
        process.child.send_signal(signal.SIGTERM)
        await process.until("stopping")
        assert await process.end(signal.SIGINT) == 128 + signal.SIGINT


async def test_the_flag_for_the_log_level_beats_the_file(tmp_path: Path) -> None:
    file = settings_without_upstreams(tmp_path, "log: {level: debug}\n")
    async with started("--config", file, *FREE_PORTS, "--log-level", "warning") as process:
        assert process.child.stderr is not None
        async with asyncio.timeout(TIMEOUT_SECONDS):
            process.log.append(json.loads(await process.child.stderr.readline()))
        assert await process.end(signal.SIGTERM) == 0
    assert {line["level"] for line in process.log} == {"warning"}


def held(process: Process) -> set[int]:
    """Return the signals that wait for the process's main thread until it can handle them."""
    status = Path(f"/proc/{process.child.pid}/status").read_text()
    found = re.search(r"^SigBlk:\s*(\w+)$", status, re.MULTILINE)
    mask = int(found[1], 16) if found else 0
    return {number for number in signal.valid_signals() if mask >> (number - 1) & 1}


async def until_signals_are_held(process: Process, *, are_held: bool = True) -> None:
    """Wait for our first line, before which the interpreter is starting; or until no signal has to wait."""
    ours = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while bool(held(process) & ours) is not are_held:  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.001)


NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")


@NEEDS_PROC
@pytest.mark.parametrize("after_seconds", [0, 0.03, 0.1, 0.2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_while_it_starts_is_as_good_as_a_later_one(
    tmp_path: Path, number: signal.Signals, after_seconds: float
) -> None:
    file = settings_without_upstreams(tmp_path, "shutdown: {linger_seconds: 0, drain_seconds: 0}\n")
    async with started("--config", file, *FREE_PORTS) as process:
        await until_signals_are_held(process)
        await asyncio.sleep(after_seconds)
        assert await process.end(signal.SIGHUP, number) == 0
    assert [line["event"] for line in process.log if line["level"] != "warning"][-2:] == ["stopping", "stopped"]


@NEEDS_PROC
async def test_hangup_while_it_starts_changes_nothing_and_no_signal_is_held_when_it_runs(tmp_path: Path) -> None:
    file = settings_without_upstreams(tmp_path, "shutdown: {linger_seconds: 0, drain_seconds: 0}\n")
    async with started("--config", file, *FREE_PORTS) as process:
        await until_signals_are_held(process)
        process.child.send_signal(signal.SIGHUP)
        await process.listening()
        await until_signals_are_held(process, are_held=False)  # for a moment all are, whenever a thread is started
        assert await process.end(signal.SIGTERM) == 0


async def test_a_signal_that_came_early_ends_a_command_that_does_not_serve(tmp_path: Path) -> None:
    signal.pthread_sigmask(
        signal.SIG_BLOCK, {signal.SIGTERM}
    )  # inherited: so it cannot come before our first line
    try:
        async with started("wait", "--config", settings_without_upstreams(tmp_path), "--timeout", "60") as process:
            assert await process.end(signal.SIGTERM) == -signal.SIGTERM
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
