"""What is allowed in the settings and still will not work."""

from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from sidecar.config.redaction import MASK
from sidecar.config.settings import Settings
from sidecar.config.source_settings import KeyedSourceSettings, effective_rpm
from sidecar.runtime.disk import answer_of
from sidecar.sources.listing import MARKETS

REDIS_OPTIONS: Final = frozenset(
    {"db", "ssl_ca_certs", "ssl_cert_reqs", "ssl_check_hostname", "ssl_certfile", "ssl_keyfile"}
)
"""What the query of `fleet.redis_url` may say."""


def warnings(settings: Settings) -> list[str]:
    """Return a line for each thing that will not work here, without secrets. Looks at the disk."""
    path, redis_url = settings.snapshot.path, settings.fleet.redis_url
    return [
        *([] if path is None else _no_folder(settings, Path(path).parent)),
        *([] if redis_url is None else no_fleet(redis_url)),
        *_more_than_the_budget_carries(settings),
    ]


def has_fleet(settings: Settings) -> bool:
    """Return whether a fleet is wanted and its Redis client is installed."""
    return settings.fleet.redis_url is not None and find_spec("redis") is not None


def _more_than_the_budget_carries(settings: Settings) -> list[str]:
    """Compare the calls that all tracked tokens need with those that the first source's budget leaves for them."""
    name, refresh, tokens = settings.pricing.sources[0], settings.refresh, settings.tracking.max_tokens
    source, its_settings = MARKETS[name], getattr(settings.sources, name)
    has_key = isinstance(its_settings, KeyedSourceSettings) and bool(
        its_settings.api_key or its_settings.api_key_file
    )
    rpm = effective_rpm(source, its_settings, has_key=has_key)
    batches, popular = ceil(tokens / source.batch_size), ceil(len(settings.popular) / source.batch_size)
    needed = 60 * (batches / refresh.tracked_seconds + popular / refresh.popular_seconds)
    left = rpm - rpm // 5  # what is kept for misses: see upstreams.budget
    if needed <= left:
        return []
    text = f"{tokens} tokens need {needed:.0f} calls a minute of {name}, {left} of its {rpm} are left for them"
    return [f"tracking.max_tokens: {text}: they are refreshed later than refresh.tracked_seconds says"]


def no_fleet(redis_url: str) -> list[str]:
    """Return why there will be no fleet, as far as that is known without connecting."""
    if find_spec("redis") is None:
        return ["fleet.redis_url: the Redis client is not installed: pip install 'mc-sidecar[fleet]'; no fleet"]
    unknown = {name for name, _ in parse_qsl(urlsplit(redis_url).query)} - REDIS_OPTIONS
    options = ", ".join(sorted(REDIS_OPTIONS))
    return [f"fleet.redis_url: its query may only have {options}; no fleet"] if unknown else []


def _no_folder(settings: Settings, folder: Path) -> list[str]:
    try:
        there = answer_of(folder.is_dir)
    except OSError:
        there = False
    shown = MASK if "snapshot.path" in settings.from_environment else folder
    return [] if there else [f"snapshot.path: there is no folder {shown}, so no snapshot can be written"]
