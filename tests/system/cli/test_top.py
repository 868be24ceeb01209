"""`mc-sidecar top` as a process of its own, in a terminal and out of one."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.system.cli.process import FREE_PORTS, TIMEOUT_SECONDS, started


async def test_it_lives_in_a_terminal_until_interrupted_and_bears_a_reader_that_has_had_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    config = tmp_path / "sidecar.yaml"
    config.write_text("refresh: {popular_seconds: 1}\n")  # a reader that is gone is noticed with the next change
    async with (
        started("demo", *FREE_PORTS, "--config", str(config)) as process,
        asyncio.timeout(3 * TIMEOUT_SECONDS),
    ):
        _, ops = await process.listening()
        command = [sys.executable, "-m", "sidecar", "top", "--ops-port", ops.rpartition(":")[2]]
        terminal, end = os.openpty()
        interruptible = ("env", "--default-signal=INT")  # what a shell starts in the background ignores it
        top = await asyncio.create_subprocess_exec(*interruptible, *command, stdout=end, stderr=end)
        shown, loop = bytearray(), asyncio.get_running_loop()
        try:
            loop.add_reader(terminal, lambda: shown.extend(os.read(terminal, 4096)))  # a full one holds `top` up
            while b"SOL" not in shown:  # noqa: ASYNC110 - what a process writes is waited for
                await asyncio.sleep(0.01)
            top.send_signal(signal.SIGINT)
            code = await top.wait()
        finally:
            loop.remove_reader(terminal)
            if top.returncode is None:
                top.kill()
        head = await asyncio.create_subprocess_shell(
            f"{' '.join(command)} | head -1", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        output, errors = await head.communicate()
        os.close(terminal)
        os.close(end)

    assert code == 0
    assert output.startswith(b"mc-sidecar ")
    assert errors == b""
