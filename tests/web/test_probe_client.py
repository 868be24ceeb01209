"""`mc-sidecar wait` and `healthcheck` against listeners that answer, refuse, or are not there."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
from aiohttp import web
from pytest_aiohttp import AiohttpServer

from sidecar.cli import main
from sidecar.config.settings import OpsSettings
from sidecar.web.probe_client import PAUSE_SECONDS, ask, wait_until_started
from tests.clock import FakeClock


class Probes:
    """A listener whose probes answer the next status of a list, then the last one for good."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = [*statuses]
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        status = self.statuses[0] if len(self.statuses) == 1 else self.statuses.pop(0)
        conditions = {"popular_unanswered": 3, "waiting_for": ["SOL", "JUP"]}
        return web.json_response({"ok": status == 200, **conditions}, status=status)

    async def listen(self, aiohttp_server: AiohttpServer) -> OpsSettings:
        app = web.Application()
        app.router.add_get("/{probe}", self.answer)
        server = await aiohttp_server(app)
        assert server.port is not None
        return OpsSettings(host="127.0.0.1", port=server.port)


@pytest.fixture
def nobody() -> Iterator[OpsSettings]:
    """Take a port that is never answered on: bound, not listening."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield OpsSettings(port=taken.getsockname()[1])


@pytest.mark.parametrize(("status", "good"), [(200, True), (503, False), (404, False)])
async def test_a_probe_is_good_only_with_200(status: int, good: bool, aiohttp_server: AiohttpServer) -> None:  # noqa: FBT001 - what the probe is
    ops = await Probes(status).listen(aiohttp_server)
    answer = await asyncio.to_thread(ask, ops, "/livez")
    assert (answer.good, "popular_unanswered" in answer.text) == (good, True)


def test_no_answer_names_the_address(nobody: OpsSettings) -> None:
    answer = ask(nobody, "/livez")
    assert not answer.good
    assert answer.text.startswith(f"no answer from 127.0.0.1 port {nobody.port}: ")
    assert f", ::1 port {nobody.port}: " in answer.text


async def test_waiting_ends_with_the_first_good_answer(aiohttp_server: AiohttpServer) -> None:
    probes, clock = Probes(503, 503, 200), FakeClock()
    ops = await probes.listen(aiohttp_server)
    waiting = asyncio.create_task(wait_until_started(ops, 10.0, clock))
    for asked in (1, 2):
        await pause_begins(clock)
        assert len(probes.asked) == asked
        clock.advance(PAUSE_SECONDS)
    assert (await waiting).good
    assert probes.asked == ["/startupz"] * 3


async def test_waiting_gives_up_when_the_time_is_over(aiohttp_server: AiohttpServer) -> None:
    probes, clock = Probes(503), FakeClock()
    ops = await probes.listen(aiohttp_server)
    waiting = asyncio.create_task(wait_until_started(ops, 2.5 * PAUSE_SECONDS, clock))
    for _ in range(3):
        await pause_begins(clock)
        clock.advance(PAUSE_SECONDS)
    assert not (await waiting).good
    assert len(probes.asked) == 4


async def pause_begins(clock: FakeClock) -> None:
    """Let the question be answered: the next thing that waits is the pause after it."""
    async with asyncio.timeout(10):
        while clock.next_wake is None:  # noqa: ASYNC110 - the fake clock sets no event
            await asyncio.sleep(0)


async def test_waiting_until_it_is_warm_is_not_done_by_the_start_up_deadline(
    aiohttp_server: AiohttpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    ops = await Probes(200).listen(aiohttp_server)
    port = str(ops.port)
    assert await asyncio.to_thread(main, ["wait", "--ops-port", port]) == 0
    assert capsys.readouterr().err == "mc-sidecar: started without SOL, JUP, 1 more\n"
    assert await asyncio.to_thread(main, ["wait", "--warm", "--timeout", "0", "--ops-port", port]) == 1
    assert capsys.readouterr().err == "mc-sidecar: not warm: no answer yet for SOL, JUP, 1 more\n"


@pytest.mark.parametrize(("command", "path"), [("wait", "/startupz"), ("healthcheck", "/livez")])
async def test_command_exits_0_when_the_probe_is_good(
    command: str, path: str, aiohttp_server: AiohttpServer
) -> None:
    probes = Probes(200)
    ops = await probes.listen(aiohttp_server)
    assert await asyncio.to_thread(main, [command, "--ops-port", str(ops.port)]) == 0
    assert probes.asked == [path]


@pytest.mark.parametrize("arguments", [["wait", "--timeout", "0"], ["healthcheck"]])
async def test_command_exits_1_with_the_reason_otherwise(
    arguments: list[str], aiohttp_server: AiohttpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    ops = await Probes(503).listen(aiohttp_server)
    assert await asyncio.to_thread(main, [*arguments, "--ops-port", str(ops.port)]) == 1
    assert capsys.readouterr().err.startswith('mc-sidecar: {"ok": false, "popular_unanswered": 3')
