"""The gauges that are read when they are scraped, and those that only the settings decide."""

from collections.abc import Iterator
from functools import partial
from typing import get_args

from sidecar.metrics.labels import Tier
from sidecar.models import Confidence, MarketCap, Mint
from sidecar.service.wiring import Engine
from sidecar.upstreams.budget import Budget


def watch(engine: Engine) -> None:
    """Let the gauges of an engine's metrics show its state at each scrape."""
    metrics, refresh = engine.metrics, engine.settings.refresh
    metrics.cache_entries.set_function(lambda: len(engine.cache))
    for tier in get_args(Tier):
        metrics.tracked_tokens.labels(tier).set_function(partial(engine.tracker.size, tier))
    metrics.tokens_by_confidence.labels_seen = partial(_confidences, engine)
    metrics.popular_below_high.labels_seen = partial(_kept_from_high, engine)
    metrics.popular_unpriced.set_function(partial(_popular_unpriced, engine))
    for name, upstream in engine.upstreams.items():
        metrics.budget_limit.labels(name).set_function(partial(_limit, upstream.budget))
        metrics.budget_used.labels(name).set_function(upstream.budget.used_ratio)
    for source in engine.settings.pricing.sources:
        metrics.pricing_source.labels(source).set(1)
    intervals = {
        "popular": refresh.popular_seconds,
        "tracked": refresh.tracked_seconds,
        "trending": refresh.trending_seconds,
        "stats": refresh.stats_seconds,
    }
    for loop, seconds in intervals.items():
        metrics.refresh_interval.labels(loop).set(seconds)
    engine.publisher.listen(partial(_show_popular, engine))


def _show_popular(engine: Engine, mint: Mint, cap: MarketCap | None) -> None:
    """Keep the series of a popular token at what was published."""
    if (symbol := engine.symbols.get(mint)) is None:
        return
    if cap is None:
        engine.metrics.forget_token(mint, symbol)
    else:
        engine.metrics.token_market_cap.labels(mint, symbol).set(cap.market_cap_usd)
        engine.metrics.token_updated.labels(mint, symbol).set(cap.timestamp)


def _limit(budget: Budget) -> int:
    return budget.requests_per_minute


def _confidences(engine: Engine) -> Iterator[Confidence]:
    return (entry.cap.confidence for entry in engine.cache.tracked_entries())


def _kept_from_high(engine: Engine) -> Iterator[str]:
    for mint in engine.tracker.popular:
        if (entry := engine.cache.get(mint)) is not None:
            yield from entry.cap.confidence_reasons


def _popular_unpriced(engine: Engine) -> int:
    return sum(engine.cache.get(mint) is None for mint in engine.tracker.popular)
