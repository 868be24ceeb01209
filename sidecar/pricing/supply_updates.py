"""Taking over supplies from the chain and from quotes; one that jumps waits (docs/rules.md: F4)."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, TypeVar

from msgspec.structs import replace

from sidecar.models import ChainSupply, Quote
from sidecar.pricing.ratios import EXACT, SAME_FACTOR, within
from sidecar.pricing.supply import (
    PREFERRED,
    SMALL_SHARE,
    TINY_SHARE,
    chain_in_use,
    circulating_in_use,
    effective_supply,
    in_unit_of,
    is_confirmed,
    is_remembered,
)
from sidecar.pricing.token_state import SourcedValue, TokenState
from sidecar.runtime.clock import Instant

CONFIRMED_AFTER_SECONDS: Final = 60.0
"""A supply that jumped is taken into use when it is read again, the same, so much later."""
LAG_SECONDS: Final = 3600.0
"""A node that is further behind than this is not behind: the chain's slots have been counted anew."""

T = TypeVar("T", SourcedValue, ChainSupply)
Near = Callable[[T, T, Decimal], bool]


def take_chain(
    state: TokenState, supply: ChainSupply | None, *, slot: int | None, answered: Instant, jump_factor: Decimal
) -> tuple[TokenState, bool]:
    """Take over what the chain answered for a mint, None being no mint; also return whether it was refused."""
    state = replace(state, chain_answered=answered)
    if _is_behind(state, slot, answered):
        return state, True
    if supply is None:
        return replace(state, chain=None, chain_pending=None), False
    if None not in (supply.decimals, state.decimals) and supply.decimals != state.decimals:
        return state, True  # another mint's account
    used = chain_in_use(state, answered)
    chain, pending, changed = _held(used, state.chain_pending, supply, _near_on_chain, jump_factor)
    if changed and used is not None and _is_refuted(supply, used, state, answered):
        chain, pending, changed = used, state.chain_pending, False
    since = answered if changed else state.chain_changed
    return replace(state, chain=chain, chain_pending=pending, chain_changed=since), chain is not supply


def update_supplies(
    state: TokenState, quotes: Sequence[Quote], now: Instant, jump_factor: Decimal
) -> tuple[TokenState, list[str]]:
    """Take over supplies from quotes, the first source's last; also name the sources of refused figures."""
    refused: dict[str, None] = {}
    for quote in reversed(quotes):
        state, total_refused = _take_total(state, quote, now, jump_factor)
        state, circulating_refused = _take_circulating(state, quote, now, jump_factor)
        if total_refused or circulating_refused:
            refused[quote.source] = None
    return state, list(refused)


def _is_refuted(supply: ChainSupply, used: ChainSupply, state: TokenState, now: Instant) -> bool:
    """Return whether the preferred source speaks for the supply in use and against one read again and again."""
    return is_confirmed(used, state, now) is True and is_confirmed(supply, state, now) is False


def _is_behind(state: TokenState, slot: int | None, answered: Instant) -> bool:
    reads = [read for read in (state.chain, state.chain_pending) if read is not None and read.slot is not None]
    return slot is not None and any(
        slot < (read.slot or 0) and answered.monotonic - read.received.monotonic <= LAG_SECONDS for read in reads
    )


def _held(
    used: T | None, pending: T | None, new: T, near: Near[T], jump_factor: Decimal
) -> tuple[T, T | None, bool]:
    """Return what is in use now, what waits to be, and whether a jump was taken into use."""
    if used is None or near(used, new, jump_factor):
        return new, None, False
    if pending is None or not near(pending, new, SAME_FACTOR):
        return used, new, False
    if new.received.monotonic - pending.received.monotonic < CONFIRMED_AFTER_SECONDS:
        return used, pending, False
    return new, None, True


def _near_on_chain(one: ChainSupply, other: ChainSupply, factor: Decimal) -> bool:
    if one.circulating is not None and other.circulating is not None:
        return within(one.total, other.total, factor) and within(one.circulating, other.circulating, factor)
    return within(one.total, other.total, factor)


def _near(one: SourcedValue, other: SourcedValue, factor: Decimal) -> bool:
    return within(one.value, other.value, factor)


def _take_total(state: TokenState, quote: Quote, now: Instant, jump_factor: Decimal) -> tuple[TokenState, bool]:
    state = _with_decimals(state, quote, now)
    if not _may_replace_total(state.source_total, quote, now) or quote.total_supply is None:
        return state, False
    value = _known(quote.total_supply, state)
    new, used = SourcedValue(value, quote.source, quote.received), state.source_total
    if used is not None and used.source == new.source and is_remembered(used.received, now):
        used = in_unit_of(used, chain_in_use(state, now), now)
    else:
        used = None
    total, pending, changed = _held(used, state.source_total_pending, new, _near, jump_factor)
    circulating = quote.circulating_supply
    if changed and circulating is not None and circulating > EXACT.multiply(new.value, SAME_FACTOR):
        total, pending = used or new, state.source_total_pending  # more cannot circulate, however often it is said
    is_taken = total is new
    known = new if is_taken else state.source_total
    return replace(state, source_total=known, source_total_pending=pending), not is_taken


def _known(value: Decimal, state: TokenState) -> Decimal:
    """Return the total that is remembered where it is the same number: most tokens' are, and are kept once so."""
    if state.chain is not None and state.chain.total == value:
        return state.chain.total
    total = state.source_total
    return value if total is None or total.value != value else total.value


def _with_decimals(state: TokenState, quote: Quote, now: Instant) -> TokenState:
    """Take over decimals once; others only where the chain says so too."""
    if quote.decimals is None:
        return state
    chain = state.chain if state.chain is not None and is_remembered(state.chain.received, now) else None
    if state.decimals is None or (chain is not None and chain.decimals == quote.decimals):
        return replace(state, decimals=quote.decimals)
    return state


def _may_replace_total(known: SourcedValue | None, quote: Quote, now: Instant) -> bool:
    if quote.total_supply is None or quote.total_supply <= 0:
        return False
    if known is None or known.source != PREFERRED or quote.source == PREFERRED:
        return True
    return not is_remembered(known.received, now)


def _take_circulating(
    state: TokenState, quote: Quote, now: Instant, jump_factor: Decimal
) -> tuple[TokenState, bool]:
    """Take over a circulating supply that is positive and at most 1 % above the total."""
    if quote.circulating_supply is None:
        return state, False
    new = SourcedValue(_known(quote.circulating_supply, state), quote.source, quote.received)
    total = effective_supply(state, now).total
    if new.value <= 0 or (total is not None and new.value > EXACT.multiply(total, SAME_FACTOR)):
        return state, True
    last = state.circulating
    used = None if last is None else circulating_in_use(state, now)
    if used is None and (last is None or not _near(last, new, jump_factor)):
        used = _stand_in(new, total)
    if used is not None and total is not None and total > 0:
        used = replace(used, value=min(used.value, total))
    circulating, pending, changed = _held(used, state.circulating_pending, new, _near, jump_factor)
    if changed and total is not None and new.value < EXACT.multiply(total, TINY_SHARE):
        circulating, pending, changed = used or new, state.circulating_pending, False  # however often it is said
    is_taken = circulating is new
    since = new.received if changed else state.circulating_changed
    state = replace(
        state, circulating=new if is_taken else last, circulating_pending=pending, circulating_changed=since
    )
    return state, not is_taken


def _stand_in(new: SourcedValue, total: Decimal | None) -> SourcedValue | None:
    """Measure a circulating supply that is news against the total where it is next to nothing of it."""
    if total is None or new.value >= EXACT.multiply(total, SMALL_SHARE):
        return None
    return SourcedValue(total, new.source, new.received)
