"""The market cap that is served, from the quote that was chosen and the supplies in force. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from sidecar.models import Confidence, ConfidenceReason, MarketCap, Mint, Quote
from sidecar.pricing.agreement import verdict_stands
from sidecar.pricing.explain import as_float
from sidecar.pricing.ratios import EXACT
from sidecar.pricing.supply import PREFERRED, EffectiveSupply
from sidecar.pricing.token_state import Comparison
from sidecar.pricing.volatility import PriceMotion, fresh_uncertainty, hourly
from sidecar.runtime.clock import Instant


def market_cap(
    mint: Mint,
    quote: Quote,
    quotes: Sequence[Quote],
    supply: EffectiveSupply,
    confidence: tuple[Confidence, tuple[ConfidenceReason, ...]],
    *,
    comparison: Comparison | None,
    motion: PriceMotion | None,
    symbol: str | None,
    now: Instant,
) -> MarketCap:
    """Multiply the price of a quote, which has one, with the supplies; `quotes`: all of the refresh."""
    price, tokens = quote.price_usd or Decimal(), supply.for_market_cap or Decimal()
    last = comparison if verdict_stands(comparison, now) else None
    own_first = [quote, *quotes]
    cap, circulating = float(EXACT.multiply(price, tokens)), as_float(supply.circulating)
    fdv = None if supply.total is None else float(EXACT.multiply(price, supply.total))
    return MarketCap(
        mint=mint,
        symbol=symbol or quote.symbol,
        price_usd=float(price),
        market_cap_usd=cap,
        basis="total" if supply.circulating is None else "circulating",
        fdv_usd=cap if fdv == cap else fdv,  # the same number, kept once
        circulating_supply=circulating,
        total_supply=circulating if supply.total == supply.circulating else as_float(supply.total),
        liquidity_usd=as_float(quote.liquidity_usd),
        confidence=confidence[0],
        source=quote.source,
        supply_source=supply.total_source,
        circulating_source=supply.circulating_source,
        timestamp=quote.received.unix,
        confidence_reasons=confidence[1],
        sources_agreeing=None if last is None else last.agreeing,
        price_spread=None if last is None else last.spread,
        price_slot=quote.price_slot,
        supply_slot=supply.slot,
        volume_24h_usd=_first(one.volume_24h_usd for one in own_first),
        price_change_24h=_first(one.price_change_24h for one in own_first),
        verified=next((one.verified for one in quotes if one.source == PREFERRED), None),
        volatility=hourly(motion),
        uncertainty=fresh_uncertainty(motion, 0.0 if comparison is None else comparison.distance),
    )


def _first(figures: Iterable[Decimal | None]) -> float | None:
    return as_float(next((figure for figure in figures if figure is not None), None))
