"""Popular lists in a file, and what a service made of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.config.popular import load_popular
from sidecar.config.settings import Settings, TrackingSettings
from sidecar.models import Mint
from tests.clock import UNIX_START
from tests.running import Rig
from tests.service.tokens import BONK, SOL

FIRST = {SOL: "SOL", BONK: "BONK"}


def content(tokens: Mapping[Mint, str]) -> str:
    return yaml.safe_dump({"tokens": [{"mint": mint, "symbol": symbol} for mint, symbol in tokens.items()]})


def settings_for(path: Path, **tracking: Any) -> Settings:
    tracked = TrackingSettings(**{"max_tokens": 20, **tracking})
    return Settings(popular_path=path, popular=load_popular(path, 20), tracking=tracked)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "sidecar.service.reload"]


def series(rig: Rig) -> dict[str, str]:
    """Return mint and symbol of the popular tokens' series, which both metrics have."""
    found = [
        {sample.labels["mint"]: sample.labels["symbol"] for sample in family.samples}
        for family in rig.service.registry.collect()
        if family.name in {"mc_sidecar_token_market_cap_usd", "mc_sidecar_token_updated_timestamp_seconds"}
    ]
    assert found[0] == found[1]
    return found[0]


async def look_twice(rig: Rig) -> None:
    """Let the watcher see the same content two times, as it does within two seconds."""
    for _ in range(2):
        await rig.service.popular.look()
    await rig.settle()


def reloaded(rig: Rig) -> tuple[float, float]:
    name = "config_last_reload_success"
    return rig.metric(f"{name}ful"), rig.metric(f"{name}_timestamp_seconds") - UNIX_START
