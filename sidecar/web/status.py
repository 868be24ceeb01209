"""What `/status`, the page and its events say: version, sources, loops, tracked tokens. Nothing is secret."""

import platform
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sidecar.models import Mint, Priority
from sidecar.refresh.loop import Loop
from sidecar.runtime.version import __version__
from sidecar.service.service import PreCacheService
from sidecar.service.wiring import Engine
from sidecar.upstreams.upstream import Upstream

Row = dict[str, Any]

_NOT_SHOWN: Final = frozenset({"age_seconds", "stale", "cached"})
"""What changes with time alone: `timestamp` says it."""


def overview(service: PreCacheService) -> Row:
    """Return everything but the tokens and the settings."""
    return {
        "version": __version__,
        "python": platform.python_version(),
        "started_at": service.health.started_unix,
        "now": service.clock.time(),
        "statistics": service.get_stats(),
        "popular_list": service.popular.status(),
        "sources": {name: _source(one) for name, one in service.engine.upstreams.items()},
        "loops": {name: _loop(loop) for name, loop in service.health.loops.items()},
        "fleet": service.fleet_status(),
        "fresh_seconds": service.settings.cache.fresh_seconds,
    }


def tiers(engine: Engine) -> dict[Mint, str]:
    """Return every tracked mint with its tier."""
    tracker = engine.tracker
    return {mint: tier for tier in ("popular", "requested", "trending") for mint in tracker.tier(tier)}


def token_row(engine: Engine, mint: Mint, tier: str) -> Row:
    """Return what is known of a tracked token; without a price only that it is tracked, and why it has none."""
    refresh = engine.settings.refresh
    row: Row = {
        "mint": mint,
        "symbol": engine.symbols.get(mint),
        "tier": tier,
        "requests": engine.tracker.requests(mint),
        "interval_seconds": refresh.popular_seconds if tier == "popular" else refresh.tracked_seconds,
    }
    entry = engine.cache.get(mint)
    if entry is None:
        return {**row, "market_cap_usd": None, "reason": engine.cache.unpriced_reason(mint)}
    cap: Mapping[str, Any] = msgspec.structs.asdict(entry.cap)
    return row | {name: value for name, value in cap.items() if name not in _NOT_SHOWN}


def _source(upstream: Upstream) -> Row:
    return {
        "circuit": upstream.breaker.state,
        "last_error": upstream.outcomes.last_error,
        "last_success": upstream.outcomes.last_success_unix,
        "requests_per_minute": upstream.budget.requests_per_minute,
        "budget_used_ratio": round(upstream.budget.used_ratio(), 4),
        "retry_in_seconds": round(upstream.retry_in(Priority.MISS), 3),
    }


def _loop(loop: Loop) -> Row:
    return {
        "last_run": loop.last_run_unix,
        "last_success": loop.last_success_unix,
        "last_failed": loop.last_failed,
        "last_seconds": loop.last_seconds,
        "overdue_seconds": max(0.0, round(loop.overdue_seconds(), 3)),
    }
