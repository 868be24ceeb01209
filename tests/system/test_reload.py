"""A process reloads its popular list."""

import asyncio
import signal
from pathlib import Path

from sidecar.config.settings import RefreshSettings
from sidecar.demo import Market, serve
from tests.service.reload.lists import FIRST, content
from tests.service.tokens import JUP, WIF
from tests.system.processes import Process, serving


async def in_series(process: Process, symbol: str) -> None:
    async with asyncio.timeout(15):
        while f'symbol="{symbol}"' not in await process.metrics():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def test_a_process_reloads_on_sighup_and_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "popular.yaml"
    path.write_text(content(FIRST))
    refresh = {"refresh": {"popular_seconds": RefreshSettings().popular_seconds}}
    async with serve(Market()) as urls, serving(tmp_path, urls, popular_file=str(path), **refresh) as process:
        await in_series(process, "BONK")
        path.write_text("tokens: 1")
        process.send(signal.SIGHUP)
        await process.event("popular list refused, the one before stays in force")
        metrics = await process.metrics()
        assert "mc_sidecar_config_last_reload_successful 0.0" in metrics
        assert 'symbol="BONK"' in metrics
        path.write_text(content({WIF: "CAT"}))
        process.send(signal.SIGHUP)
        await process.event("popular list in force")
        await in_series(process, "CAT")
        assert 'symbol="BONK"' not in await process.metrics()
        path.write_text(content({JUP: "JUP"}))
        assert (await process.event("popular list in force"))["joined"] == 1
        await in_series(process, "JUP")
        process.send(signal.SIGTERM)
        assert await process.ended() == 0
