"""The settings that the sidecars of the benchmark run with: as shipped, but for what each one says."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

REFRESH_SECONDS: Final = 5.0
"""How often all 10,000 tokens are refreshed while latency is measured: sixty times as often as shipped."""
UNLIMITED_RPM: Final = 100_000
MANY: Final = 10_000
SIDECAR: Final = "mc-sidecar"
"""Its name among the contestants."""


def write_settings(
    path: Path, base_urls: Mapping[str, str], api_port: int, ops_port: int, more: Mapping[str, Any]
) -> Path:
    """Write a settings file; JSON is YAML. Returns its path."""
    sources = {name: {"base_url": url, **more.get("source", {})} for name, url in base_urls.items()}
    sections = {name: section for name, section in more.items() if name != "source"}
    settings = {"api": {"port": api_port}, "ops": {"port": ops_port}, "sources": sources, **sections}
    path.write_text(json.dumps(settings))
    return path


SHIPPED: Final[Mapping[str, Any]] = {}
"""100 tracked tokens, nothing changed."""
CACHED: Final[Mapping[str, Any]] = {"source": {"requests_per_minute": UNLIMITED_RPM}}
"""As shipped, 10,000 tokens in memory of which 100 are tracked; only the budgets are lifted to get them there."""
TRACKED: Final[Mapping[str, Any]] = {
    "source": {"requests_per_minute": UNLIMITED_RPM},
    "tracking": {"max_tokens": MANY, "min_requests": 1},
    "cache": {"max_entries": MANY + 1000, "fresh_seconds": 60},
    "refresh": {"tracked_seconds": REFRESH_SECONDS, "popular_seconds": REFRESH_SECONDS},
}
"""10,000 tracked tokens, all refreshed every REFRESH_SECONDS."""
