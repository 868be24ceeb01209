"""The typed settings. Every key of `config/sidecar.yaml` is an attribute of the same name here.

The text under an attribute gives its unit and the reason for its default. `file` loads them, `validation` says
which of them contradict each other.
"""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sidecar.config.kinds import (
    FileMode,
    FilePath,
    HostName,
    Interval,
    Lifetime,
    LogFormat,
    LogLevel,
    MarketName,
    Namespace,
    Pause,
    Port,
    RedisUrl,
    Usd,
)
from sidecar.config.popular import POPULAR, PopularToken
from sidecar.config.redaction import masked
from sidecar.config.section import Section
from sidecar.config.source_settings import SourcesSettings


class ApiSettings(Section, frozen=True, kw_only=True):
    """The listener for the application."""

    host: HostName = "localhost"
    """`localhost` is 127.0.0.1 and ::1, whichever exist: out of reach from outside the pod."""
    port: Port = 8765
    """0: any free port. Not 8080: containers of a pod share one port space."""
    unix_socket: FilePath | None = None
    """Path of a Unix socket to listen on instead of host and port; at most 107 bytes."""
    unix_socket_mode: FileMode = "0666"
    """Permissions of the socket. Any user of the pod may ask: containers often run as different ones."""
    allowed_hosts: Annotated[tuple[HostName, ...], Meta(max_length=100)] = ()
    """Names allowed in the Host header besides the loopback ones; any port."""
    allow_non_loopback: bool = False
    """Must be true to listen on anything but loopback: there is no authentication."""
    deadline_seconds: Annotated[float, Meta(ge=0.05, le=60)] = 2.0
    """How long a request waits for an upstream at most."""
    max_connections: Annotated[int, Meta(ge=1, le=65_536)] = 512
    """Open connections at a time; bounds memory."""
    max_streams: Annotated[int, Meta(ge=1, le=4_096)] = 64
    """Open event streams at a time, which do not count as connections; bounds memory."""


class OpsSettings(Section, frozen=True, kw_only=True):
    """The listener for the kubelet and Prometheus. Read-only."""

    host: HostName | None = None
    """null: all addresses, both families; probes and scrapes come to the pod's address."""
    port: Port = 9765
    """0: any free port."""


class RefreshSettings(Section, frozen=True, kw_only=True):
    """How often what is fetched."""

    popular_seconds: Interval = 60.0
    """Between refreshes of the popular list."""
    tracked_seconds: Interval = 300.0
    """Between refreshes of every other tracked token."""
    trending_seconds: Interval = 600.0
    """Between readings of the trending lists."""
    stats_seconds: Interval = 300.0
    """Between log lines with the statistics."""
    supply_seconds: Interval = 300.0
    """Between readings of a token's supply on chain; supplies change slowly."""
    sol_supply_seconds: Interval = 3600.0
    """Between readings of SOL's supply: getSupply is expensive for the node."""
    max_concurrent: Annotated[int, Meta(ge=1, le=100)] = 5
    """Upstream calls at a time."""
    startup_deadline_seconds: Annotated[float, Meta(ge=0, le=50)] = 10.0
    """When start-up counts as done although some popular token was not answered; a startupProbe allows 60 s."""
    target_uncertainty: Annotated[float, Meta(ge=0.0005, le=1)] | None = 0.01
    """A wanted token less certain than this is refreshed early; 0.01 is 1 %. null: never early."""
    early_share: Annotated[float, Meta(ge=0, le=0.8)] = 0.2
    """How much of each source's budget early refreshes may take; 0.2 is 20 %."""


class TrackingSettings(Section, frozen=True, kw_only=True):
    """Which tokens are kept warm."""

    max_tokens: Annotated[int, Meta(ge=1, le=10_000)] = 100
    """Popular, requested and trending tokens together. 100 fit one upstream call."""
    min_requests: Annotated[int, Meta(ge=1, le=1_000)] = 5
    """Requests within the window after which a token is kept warm."""
    trending_tokens: Annotated[int, Meta(ge=0, le=10_000)] = 50
    """Trending tokens at most, on places that are free."""
    window_seconds: Lifetime = 3600.0
    """How long a request counts."""


class CacheSettings(Section, frozen=True, kw_only=True):
    """How long a value lives."""

    max_entries: Annotated[int, Meta(ge=100, le=1_000_000)] = 10_000
    """Values in memory; bounds memory."""
    fresh_seconds: Lifetime = 360.0
    """When a value is called stale: an interval and a slow upstream after its refresh."""
    max_stale_seconds: Lifetime = 3600.0
    """When a stale value is no longer served."""
    negative_seconds: Interval = 60.0
    """How long it is remembered that no source prices a token."""


class PricingSettings(Section, frozen=True, kw_only=True):
    """Which price is believed."""

    sources: Annotated[tuple[MarketName, ...], Meta(min_length=1)] = ("jupiter", "dexscreener", "geckoterminal")
    """In order of preference; a source that is left out is not asked for prices."""
    min_liquidity_usd: Usd = 100.0
    """USD. A pool with less is dead and its price refused."""
    good_liquidity_usd: Usd = 10_000.0
    """USD. A pool with less is thin: its price is served with low confidence."""
    agreement_ratio: Annotated[float, Meta(gt=0, le=1)] = 0.05
    """How far two prices may differ and still agree; 0.05 is 5 %."""
    max_jump_ratio: Annotated[float, Meta(gt=0, le=100)] = 0.5
    """A larger change between two refreshes must be confirmed; 0.5 is 50 %."""


class TrendingSettings(Section, frozen=True, kw_only=True):
    """Where the trending tokens come from."""

    sources: tuple[MarketName, ...] = ("dexscreener", "jupiter", "geckoterminal")
    """Their lists are interleaved by rank; an empty list switches trending off."""


class FleetSettings(Section, frozen=True, kw_only=True):
    """One refresh shared by many sidecars."""

    redis_url: RedisUrl | None = None
    """The Redis or Valkey that the sidecars share; null: each refreshes for itself."""
    namespace: Namespace = "mc-sidecar"
    """Begins every key; sidecars with another one are another fleet."""
    lease_seconds: Annotated[float, Meta(ge=0.5, le=60)] = 5.0
    """After this a leader that is gone is replaced; it renews at a third of it, at least every 0.5 s."""


class SnapshotSettings(Section, frozen=True, kw_only=True):
    """What survives a restart."""

    path: FilePath | None = None
    """The file to write; null: none is written or read."""
    interval_seconds: Interval = 30.0
    """Between writes: what kill -9 loses at most."""


class ShutdownSettings(Section, frozen=True, kw_only=True):
    """What happens after SIGTERM."""

    linger_seconds: Pause = 0.0
    """How long requests are answered as before. A native sidecar is stopped after the application: none needed."""
    drain_seconds: Pause = 5.0
    """How long requests under way may still take; below Kubernetes' default grace of 30 s."""


class LogSettings(Section, frozen=True, kw_only=True):
    """The log on stderr."""

    level: LogLevel = "info"
    format: LogFormat = "json"
    """When it is left out: json, or console on a terminal."""


class FileSettings(Section, frozen=True, kw_only=True):
    """The keys of `sidecar.yaml`."""

    api: ApiSettings = ApiSettings()
    ops: OpsSettings = OpsSettings()
    popular_file: FilePath = "popular.yaml"
    """The tokens that are always warm; relative to the settings file."""
    refresh: RefreshSettings = RefreshSettings()
    tracking: TrackingSettings = TrackingSettings()
    cache: CacheSettings = CacheSettings()
    pricing: PricingSettings = PricingSettings()
    trending: TrendingSettings = TrendingSettings()
    sources: SourcesSettings = SourcesSettings()
    fleet: FleetSettings = FleetSettings()
    snapshot: SnapshotSettings = SnapshotSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    log: LogSettings = LogSettings()


class Settings(FileSettings, frozen=True, kw_only=True):
    """All the settings in effect; `Settings()` are the defaults."""

    popular: tuple[PopularToken, ...] = POPULAR
    """The list in `popular_file`, as read at start."""
    popular_path: Path | None = None
    """Where it was read from; None: the built-in list."""
    popular_mistakes: tuple[str, ...] = ()
    """Why the list at `popular_path` is not the one to start with; `popular` is the built-in one then."""
    written: frozenset[str] = frozenset()
    """Dotted keys that the file or a flag gave, whatever their value."""
    from_environment: frozenset[str] = frozenset()
    """Dotted keys with a value that came from `${VAR}`: it is secret."""
    environment_values: frozenset[str] = frozenset()
    """What those variables held, as far as it went into free text."""

    def __repr__(self) -> str:
        return f"Settings({redacted(self)!r})"


def redacted(settings: Settings) -> dict[str, Any]:
    """Return the keys of the file and their values in effect, as nested plain values without secrets."""
    tree = {name: msgspec.to_builtins(getattr(settings, name)) for name in FileSettings.__struct_fields__}
    return masked(tree, settings.from_environment)
