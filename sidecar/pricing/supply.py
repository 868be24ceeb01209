"""Which supply is in force (docs/rules.md: F2 to F4). Pure functions."""

from decimal import Decimal
from typing import Final

import msgspec

from sidecar.models import ChainSupply
from sidecar.pricing.ratios import EXACT, ONE, within
from sidecar.pricing.token_state import SourcedValue, TokenState
from sidecar.runtime.clock import Instant

REMEMBERED_SECONDS: Final = 24 * 3600.0
CHANGED_SECONDS: Final = 600.0
"""How long a supply that jumped keeps a market cap from high after it was taken into use."""
CURRENT_SECONDS: Final = 600.0
"""A source's total this much older than the chain's may be off by what was minted or burnt since."""
TOTAL_TOLERANCE: Final = Decimal("0.01")
GROSS_FACTOR: Final = Decimal("1.5")
"""What no minting or burning within a day explains."""
SMALL_SHARE: Final = Decimal("0.01")
"""A circulating supply under this share of the total may be a mistake."""
TINY_SHARE: Final = Decimal("0.0001")
"""One under this share is."""
CHAIN: Final = "solana_rpc"
PREFERRED: Final = "jupiter"


class EffectiveSupply(msgspec.Struct, frozen=True, kw_only=True):
    """The supplies a price is multiplied with, in whole tokens."""

    total: Decimal | None = None
    total_source: str | None = None
    circulating: Decimal | None = None
    circulating_source: str | None = None
    on_chain: bool = False
    """The total was read on chain in the last 24 hours."""
    contradicted: bool = False
    """The preferred source's own total is another one than the chain's."""
    changed: bool = False
    """A supply has jumped and is not in use yet, or not for long."""
    multiplier: Decimal = ONE
    """ScaledUiAmount's, in force on chain."""
    displayed: bool = True
    """The total, and the prices that it is multiplied with, are for displayed amounts: the multiplier is in it."""
    unit_known: bool = True
    """Whether that is known, where there is a multiplier."""
    slot: int | None = None
    """The slot that the total was read at."""

    @property
    def circulates_little(self) -> bool:
        """Whether so little of the total circulates that it may be a mistake."""
        known = self.total is not None and self.circulating is not None
        return known and (self.circulating or 0) < EXACT.multiply(self.total or ONE, SMALL_SHARE)

    @property
    def for_market_cap(self) -> Decimal | None:
        """The supply behind the market cap: circulating where known, else total; None when there is nothing."""
        return (self.total if self.circulating is None else self.circulating) or None


def is_remembered(received: Instant | None, now: Instant) -> bool:
    """Return whether something received then still counts."""
    return received is not None and now.monotonic - received.monotonic <= REMEMBERED_SECONDS


def effective_supply(state: TokenState, now: Instant) -> EffectiveSupply:
    """Return the supplies in force now."""
    supply = _total(state, now)
    circulating = circulating_in_use(state, now)
    if circulating is None or (supply.total is not None and supply.total <= 0):
        return supply
    tokens = circulating.value if supply.total is None else min(circulating.value, supply.total)
    return msgspec.structs.replace(supply, circulating=tokens, circulating_source=circulating.source)


def chain_in_use(state: TokenState, now: Instant) -> ChainSupply | None:
    """Return the supply read on chain while it counts: for a day, unless it cannot be this token's."""
    chain = state.chain
    if chain is None or not is_remembered(chain.received, now):
        return None
    is_other = None not in (chain.decimals, state.decimals) and chain.decimals != state.decimals
    return None if is_other or _is_impossible_sol(chain, state, now) else chain


def _is_impossible_sol(chain: ChainSupply, state: TokenState, now: Instant) -> bool:
    """Return whether SOL's supply, read once an hour, is another one altogether than the preferred source's."""
    said = state.source_total
    if chain.circulating is None or said is None or said.source != PREFERRED:
        return False
    return is_remembered(said.received, now) and not within(chain.total, said.value, GROSS_FACTOR)


def circulating_in_use(state: TokenState, now: Instant) -> SourcedValue | None:
    """Return the circulating supply that is known, in the units of now; it may be above the total."""
    chain = chain_in_use(state, now)
    if chain is not None and chain.circulating is not None:
        return SourcedValue(chain.circulating, CHAIN, chain.received)
    known = state.circulating
    return in_unit_of(known, chain, now) if known is not None and is_remembered(known.received, now) else None


def is_confirmed(chain: ChainSupply, state: TokenState, now: Instant) -> bool | None:
    """Return whether the preferred source's total speaks for a reading of the chain; None: it says nothing now."""
    said = _said_total(state, chain, now)
    if said is None or now.monotonic - said.received.monotonic > CURRENT_SECONDS:
        return None
    totals = (chain.total, EXACT.multiply(chain.total, multiplier_at(chain, now)))
    return any(within(said.value, total, GROSS_FACTOR) for total in totals)


def multiplier_at(chain: ChainSupply | None, moment: Instant) -> Decimal:
    """Return the multiplier in force on chain at a moment, 1 without any."""
    return ONE if chain is None or chain.scaled is None else chain.scaled.at(moment.unix)


def in_unit_of(known: SourcedValue, chain: ChainSupply | None, now: Instant) -> SourcedValue:
    """Return a source's supply as it would say it now that another multiplier is in force."""
    then, current = multiplier_at(chain, known.received), multiplier_at(chain, now)
    if then == current:
        return known
    return msgspec.structs.replace(known, value=EXACT.divide(EXACT.multiply(known.value, current), then))


def _total(state: TokenState, now: Instant) -> EffectiveSupply:
    chain = chain_in_use(state, now)
    if chain is not None:
        return _chain_total(chain, state, now)
    known = state.source_total
    changed = state.source_total_pending is not None or _changed(state, now)
    if known is None or not is_remembered(known.received, now):
        return EffectiveSupply(changed=changed)
    return EffectiveSupply(total=known.value, total_source=known.source, changed=changed)


def _chain_total(chain: ChainSupply, state: TokenState, now: Instant) -> EffectiveSupply:
    """Apply the UI multiplier in force, or not, as the preferred source's own total shows."""
    multiplier = multiplier_at(chain, now)
    said = _said_total(state, chain, now)
    scaled = chain.total if multiplier == ONE else EXACT.multiply(chain.total, multiplier)
    fits_scaled, fits_raw = (said is not None and _is_same(chain, said, total) for total in (scaled, chain.total))
    stated = _preferred_total(state.source_total, chain, now) or said
    displayed = multiplier == ONE or stated is None or _is_scaled(chain, stated, scaled)
    total = scaled if displayed else chain.total
    return EffectiveSupply(
        total=total,
        total_source=CHAIN,
        on_chain=True,
        contradicted=said is not None and not (fits_scaled if displayed else fits_raw),
        changed=_changed(state, now),
        multiplier=multiplier,
        displayed=displayed,
        unit_known=multiplier == ONE or fits_scaled or fits_raw,
        slot=chain.slot,
    )


def _said_total(state: TokenState, chain: ChainSupply, now: Instant) -> SourcedValue | None:
    """Return what the preferred source last said the total was, true or not, in the units of now."""
    return _preferred_total(state.source_total_pending or state.source_total, chain, now)


def _preferred_total(said: SourcedValue | None, chain: ChainSupply, now: Instant) -> SourcedValue | None:
    if said is None or said.source != PREFERRED or not is_remembered(said.received, now):
        return None
    return in_unit_of(said, chain, now)


def _is_scaled(chain: ChainSupply, stated: SourcedValue, scaled: Decimal) -> bool:
    """Return whether totals are for displayed amounts; a total that jumped decides that when it is in use."""
    return _is_same(chain, stated, scaled) or not _is_same(chain, stated, chain.total)


def _is_same(chain: ChainSupply, said: SourcedValue, total: Decimal) -> bool:
    """Return whether a source's total is the chain's; SOL's, in no mint account, is known less exactly."""
    is_current = chain.received.monotonic - said.received.monotonic <= CURRENT_SECONDS
    if is_current and chain.circulating is None:
        return abs(said.value - total) <= EXACT.multiply(total, TOTAL_TOLERANCE)
    return within(said.value, total, GROSS_FACTOR)


def _changed(state: TokenState, now: Instant) -> bool:
    if state.chain_pending is not None or state.circulating_pending is not None:
        return True
    changes = (moment for moment in (state.chain_changed, state.circulating_changed) if moment is not None)
    return any(now.monotonic - moment.monotonic <= CHANGED_SECONDS for moment in changes)
