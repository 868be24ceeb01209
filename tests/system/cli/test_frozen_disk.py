"""The end of a process does not wait for a disk."""

import asyncio
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.system.cli.process import FREE_PORTS, Process, started

FROZEN = """
import os, sys, time
from pathlib import Path

def frozen(*_):
    if Path(sys.argv[1]).exists():
        time.sleep(1000)

{spoil}
sys.argv[1:] = sys.argv[2:]
from sidecar.__main__ import main
raise SystemExit(main())
"""
SPOILS = {
    "snapshot": "sync = os.fsync; os.fsync = lambda fd: (frozen(), sync(fd))",
    "popular list": "import os as o; fstat = o.fstat; o.fstat = lambda fd: (frozen(), fstat(fd))[1]",
}


@pytest.mark.parametrize("what", SPOILS)
async def test_a_disk_that_freezes_does_not_keep_the_process_from_ending(tmp_path: Path, what: str) -> None:
    """A patched system call stands for the mount: to freeze a real one takes a machine of its own."""
    ice = tmp_path / "ice"
    (tmp_path / "popular.yaml").write_text("tokens: []")
    file = tmp_path / "sidecar.yaml"
    file.write_text(
        f"snapshot: {{path: {tmp_path}/snapshot, interval_seconds: 0.2}}\nshutdown: {{drain_seconds: 1}}\n"
    )
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FROZEN.format(spoil=SPOILS[what]), str(ice)),
        *("demo", *FREE_PORTS, "--config", str(file)),
        stderr=asyncio.subprocess.PIPE,
    )
    process = Process(child)
    try:
        await process.listening()
        ice.touch()
        await asyncio.sleep(0.5)
        child.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.5)
        began = time.monotonic()
        assert await process.end(signal.SIGTERM) == 0
        assert time.monotonic() - began < 3
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
async def test_signals_that_mean_nothing_are_ignored(number: signal.Signals) -> None:
    async with started("demo", *FREE_PORTS) as process:
        await process.listening()
        process.child.send_signal(number)
        await asyncio.sleep(0.1)
        assert process.child.returncode is None
        assert await process.end(signal.SIGTERM) == 0
