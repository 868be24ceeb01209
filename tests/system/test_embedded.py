"""An application that embeds the service and knows nothing of logging."""

import subprocess
import sys

APPLICATION = """
import asyncio
from sidecar import Settings, McSidecarError, start_precache_service, stop_precache_service
from sidecar.config.source_settings import KeyedSourceSettings, SourceSettings, SourcesSettings

closed = SourceSettings(base_url="http://127.0.0.1:1/hidden-path")
sources = SourcesSettings(
    jupiter=KeyedSourceSettings(base_url=closed.base_url),
    dexscreener=closed, geckoterminal=closed, solana_rpc=closed,
)

async def main():
    service = await start_precache_service(Settings(sources=sources))
    try:
        await service.get("So11111111111111111111111111111111111111112")
    except McSidecarError:
        pass
    await stop_precache_service()

asyncio.run(main())
"""


def test_without_any_logging_set_up_it_reads_which_source_fails() -> None:
    told = subprocess.run([sys.executable, "-c", APPLICATION], capture_output=True, text=True, check=True)  # noqa: S603
    assert "upstream failing: jupiter" in told.stderr.splitlines()
    assert "hidden" not in told.stderr
