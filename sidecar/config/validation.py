"""What several settings together must keep to."""

from collections.abc import Iterator
from ipaddress import ip_address
from operator import attrgetter
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from sidecar.config.redaction import MASK, is_secret_name, is_url_name, origin
from sidecar.config.settings import Settings
from sidecar.config.yaml_file import shown

_MAX_SOCKET_PATH_BYTES: Final = 107
"""Bytes that Linux's sockaddr_un holds."""


class Contradiction(NamedTuple):
    """A mistake that no single setting makes."""

    keys: tuple[str, ...]
    """Dotted keys of the settings it follows from."""
    text: str


def contradictions(settings: Settings) -> list[Contradiction]:
    """Return what makes settings unusable although each is of its type and in its range."""
    return [
        *_urls(settings),
        *_listeners(settings),
        *_lifetimes(settings),
        *_amounts(settings),
        *_sources(settings),
    ]


def _contradiction(settings: Settings, key: str, must: str, *others: str) -> Contradiction:
    """Build the mistake of one key, naming the values of the others it depends on."""
    named = [f"{other} ({_shown(settings, other)})" for other in others]
    return Contradiction((key, *others), f"{key}: must {must.format(*named)}, not {_shown(settings, key)}")


def _shown(settings: Settings, key: str) -> str:
    value = attrgetter(key)(settings)
    if key in settings.from_environment or is_secret_name(key):
        return MASK
    if is_url_name(key) and value is not None:
        return origin(value)
    if isinstance(value, float):
        return f"{value:.15g}"
    return shown(list(value) if isinstance(value, tuple) else value)


def _urls(settings: Settings) -> Iterator[Contradiction]:
    for name, source in settings.sources.items():
        if origin(source.base_url) == MASK:
            yield _contradiction(settings, f"sources.{name}.base_url", "be an http or https URL with a host")
    redis_url = settings.fleet.redis_url
    if redis_url is not None and not _names_redis(redis_url):
        yield _contradiction(
            settings, "fleet.redis_url", "be a redis, rediss or unix URL with a host or a socket's path"
        )
    elif redis_url is not None and not _numbers_database(redis_url):
        yield _contradiction(settings, "fleet.redis_url", "have a database's number, or nothing, for a path")


def _names_redis(url: str) -> bool:
    if url.lower().startswith("unix:"):
        return urlsplit(url).path not in {"", "/"}
    return origin(url) != MASK


def _numbers_database(url: str) -> bool:
    database = urlsplit(url).path.strip("/")  # the client takes 0 for what is no number
    return url.lower().startswith("unix:") or not database or (database.isascii() and database.isdigit())


def _listeners(settings: Settings) -> Iterator[Contradiction]:
    api = settings.api
    if api.unix_socket is not None:
        if len(api.unix_socket.encode(errors="surrogatepass")) > _MAX_SOCKET_PATH_BYTES:
            yield _contradiction(settings, "api.unix_socket", f"be at most {_MAX_SOCKET_PATH_BYTES} bytes long")
        return
    if not api.allow_non_loopback and not is_loopback(api.host):
        must = "be loopback: a bind to anything but loopback or a Unix socket needs {}"
        yield _contradiction(settings, "api.host", must, "api.allow_non_loopback")
    if api.port == settings.ops.port != 0:
        yield _contradiction(settings, "ops.port", "differ from {}", "api.port")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a listener on this host name or address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _lifetimes(settings: Settings) -> Iterator[Contradiction]:
    refresh, cache = settings.refresh, settings.cache
    timeouts = {
        f"sources.{name}.timeout_seconds": source.timeout_seconds for name, source in settings.sources.items()
    }
    slowest = max(timeouts, key=timeouts.__getitem__)
    for key in ("popular_seconds", "tracked_seconds"):
        if cache.fresh_seconds <= getattr(refresh, key) + timeouts[slowest]:
            must = f"be above {{}} plus the longest source timeout ({_shown(settings, slowest)})"
            found = _contradiction(settings, "cache.fresh_seconds", must, f"refresh.{key}")
            yield found._replace(keys=(*found.keys, *timeouts))
    if cache.max_stale_seconds <= cache.fresh_seconds:
        yield _contradiction(settings, "cache.max_stale_seconds", "be above {}", "cache.fresh_seconds")


def _amounts(settings: Settings) -> Iterator[Contradiction]:
    pricing, tracking = settings.pricing, settings.tracking
    if pricing.good_liquidity_usd < pricing.min_liquidity_usd:
        yield _contradiction(settings, "pricing.good_liquidity_usd", "be at least {}", "pricing.min_liquidity_usd")
    if settings.cache.max_entries <= tracking.max_tokens:
        yield _contradiction(settings, "cache.max_entries", "be above {}", "tracking.max_tokens")
    if tracking.max_tokens < len(settings.popular):
        must = f"be at least the number of popular tokens ({len(settings.popular)})"
        yield _contradiction(settings, "tracking.max_tokens", must)


def _sources(settings: Settings) -> Iterator[Contradiction]:
    for key in ("pricing.sources", "trending.sources"):
        names = attrgetter(key)(settings)
        if len(set(names)) < len(names):
            yield _contradiction(settings, key, "name each source once")
    for name, source in settings.sources.keyed():
        if source.api_key and source.api_key_file:
            key = f"sources.{name}.api_key"
            yield _contradiction(settings, key, "be empty when {} is set", f"{key}_file")
