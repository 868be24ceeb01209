"""Prices of a token with a ScaledUiAmount, in the supply's unit (docs/rules.md: F2). Pure."""

from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from sidecar.models import Quote
from sidecar.pricing.ratios import EXACT, ONE, within
from sidecar.pricing.supply import PREFERRED, EffectiveSupply, chain_in_use, multiplier_at
from sidecar.pricing.token_state import SourcedValue, TokenState
from sidecar.runtime.clock import Instant


def in_supply_unit(
    quotes: Sequence[Quote], supply: EffectiveSupply, last: SourcedValue | None, agreement_factor: Decimal
) -> list[Quote]:
    """Return the quotes with prices in the supply's unit; a unit that cannot be told stays `unknown`.

    `last`: the last good price, in that unit, None without a fresh one.
    """
    if supply.multiplier == ONE:
        return [replace(quote, unit="displayed") if quote.unit == "unknown" else quote for quote in quotes]
    preferred = next((quote.price_usd for quote in quotes if quote.source == PREFERRED), None)
    known = [preferred, None if last is None else last.value]
    references = [price for price in known if price is not None and _is_price(price)]
    return [_converted(quote, supply, references, agreement_factor) for quote in quotes]


def price_now(
    price: SourcedValue | None, state: TokenState, supply: EffectiveSupply, now: Instant
) -> SourcedValue | None:
    """Return a price of before as it would be now that another multiplier may be in force."""
    if price is None or not supply.displayed:
        return price
    chain = chain_in_use(state, now)
    then, current = multiplier_at(chain, price.received), multiplier_at(chain, now)
    if then == current:
        return price
    return replace(price, value=EXACT.divide(EXACT.multiply(price.value, then), current))


def _is_price(price: Decimal) -> bool:
    return price.is_finite() and price > 0


def _converted(
    quote: Quote, supply: EffectiveSupply, references: Sequence[Decimal], agreement_factor: Decimal
) -> Quote:
    price = quote.price_usd
    if price is None or not _is_price(price) or quote.unit == "displayed":
        return quote
    factor = EXACT.divide(ONE, supply.multiplier) if supply.displayed else ONE
    if quote.unit == "raw":
        return replace(quote, price_usd=EXACT.multiply(price, factor), unit="displayed")
    other = factor if supply.displayed else supply.multiplier
    likely = _likely_price((price, EXACT.multiply(price, other)), references, agreement_factor)
    return quote if likely is None else replace(quote, price_usd=likely, unit="displayed")


def _likely_price(
    candidates: Sequence[Decimal], references: Sequence[Decimal], agreement_factor: Decimal
) -> Decimal | None:
    """Return the candidate that agrees with the references; None where it agrees with none, or each with another.

    A source's move by just the multiplier is no proof of another's unit.
    """
    near = [[price for price in candidates if within(price, known, agreement_factor)] for known in references]
    told = [prices for prices in near if prices]
    agreeing = [price for price in candidates if told and all(price in prices for prices in told)]
    first = next((known for known, prices in zip(references, near, strict=True) if prices), None)
    if first is None or not agreeing:
        return None
    return min(agreeing, key=lambda price: max(price, first) / min(price, first))
