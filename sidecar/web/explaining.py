"""What `?explain=true` adds: every quote, every supply, and what was made of each (F13)."""

from collections.abc import Iterable
from typing import Any

from sidecar.models import Mint
from sidecar.pricing.explain import QuoteExplanation, explain_supplies
from sidecar.runtime.clock import now
from sidecar.service.memory_lookups import LookupHit
from sidecar.service.service import PreCacheService


def explanation(service: PreCacheService, found: LookupHit) -> dict[str, Any]:
    """Return the members that a token gets."""
    quotes = explained_quotes(service, found.entry.explanation, found.entry.cap.price_usd)
    return {"quotes": quotes, "supplies": explained_supplies(service, found.entry.cap.mint)}


def unpriced_explanation(service: PreCacheService, mint: str) -> dict[str, Any]:
    """Return the members that the problem of a mint without a price gets."""
    rows = service.engine.cache.unpriced_explanation(Mint(mint))
    return {"quotes": explained_quotes(service, rows), "supplies": explained_supplies(service, Mint(mint))}


def explained_quotes(
    service: PreCacheService, rows: Iterable[QuoteExplanation], served_usd: float | None = None
) -> list[dict[str, Any]]:
    """Return each source's quote, and how far it is from the price that is served."""
    monotonic = service.clock.monotonic()
    return [
        {
            "source": row.source,
            "price_usd": row.price_usd,
            "distance": None if row.price_usd is None or not served_usd else row.price_usd / served_usd - 1.0,
            "liquidity_usd": row.liquidity_usd,
            "claimed_liquidity_usd": row.claimed_liquidity_usd,
            "age_seconds": round(monotonic - row.received_monotonic, 3),
            "taken": row.taken,
            "reason": row.reason,
        }
        for row in rows
    ]


def explained_supplies(service: PreCacheService, mint: Mint) -> list[dict[str, Any]]:
    """Return the supplies that are known, in use or not."""
    state = service.engine.token_states.get(mint)
    moment = now(service.clock)
    return [
        {
            "kind": row.kind,
            "source": row.source,
            "tokens": row.tokens,
            "multiplier": row.multiplier,
            "slot": row.slot,
            "age_seconds": round(moment.monotonic - row.received_monotonic, 3),
            "taken": row.taken,
            "reason": row.reason,
        }
        for row in ([] if state is None else explain_supplies(state, moment))
    ]
