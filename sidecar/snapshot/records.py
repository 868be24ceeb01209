"""What a snapshot holds: one JSON object a line, the first says when it was taken. The disk is no concern here.

A fleet's members send each other the same record of a token.
"""

from decimal import Decimal
from math import isclose
from typing import Any, Final, NamedTuple, TypeVar, get_args

import msgspec

from sidecar.config.popular import PopularToken, is_symbol
from sidecar.models import ConfidenceReason, MarketCap, Mint, is_mint
from sidecar.pricing.grading import LARGEST_CAP_USD
from sidecar.pricing.token_state import TokenState
from sidecar.refresh.demand import SLICES, Place, Wanted
from sidecar.runtime.clock import Instant
from sidecar.snapshot.file import SnapshotError
from sidecar.sources import wire
from sidecar.sources.listing import MARKETS

LONGEST_TEXT: Final = 64
"""No mint, symbol or name of a source is longer."""
_ALWAYS_SOUND: Final = (float, int, bool, type(None), Instant)
_REASONS: Final = frozenset(get_args(ConfidenceReason))
PRODUCT_TOLERANCE: Final = 1e-9
"""How far a market cap may be from price times supply."""


AnyStruct = TypeVar("AnyStruct", bound=msgspec.Struct)


class TakenAt(msgspec.Struct, frozen=True, tag="taken"):
    """When the snapshot was taken, on both clocks: ages are told by the one, the pause since by the other."""

    at: Instant


class SavedToken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="token"):
    """What is in memory of one token. Its monotonic times are those of the process that wrote it."""

    mint: Mint
    received: float = 0.0
    """Monotonic time of the answer behind the price; means nothing without `cap`."""
    cap: MarketCap | None = None
    state: TokenState | None = None


class SavedDemand(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="demand"):
    """How much one mint is wanted, as in `demand.Wanted`; `requests`: how many seconds ago, how many."""

    mint: Mint
    place: Place
    requests: tuple[tuple[float, int], ...] = ()
    symbol: str = ""
    """The one in the popular list; empty for a mint that is not in it."""


class Snapshot(NamedTuple):
    """What was read back."""

    taken_at: Instant
    tokens: list[SavedToken]
    demands: list[SavedDemand]
    dropped: int
    """How many lines make no sense."""

    @property
    def popular(self) -> list[PopularToken]:
        """The popular list that was in force."""
        return [PopularToken(one.mint, one.symbol) for one in self.demands if one.symbol]


class ClockRebase:
    """Moves the times of the process that wrote a record into this one.

    `unknown_pause_seconds` is taken for the time in between when the wall clock was set back meanwhile.
    """

    def __init__(self, taken_at: Instant, now: Instant, unknown_pause_seconds: float) -> None:
        pause = now.unix - taken_at.unix
        self._pause = pause if pause >= 0 else unknown_pause_seconds
        self._latest = now.monotonic - self._pause
        self._shift = self._latest - taken_at.monotonic

    def monotonic(self, then: float) -> float:
        """Return this process's monotonic time of then; nothing is newer than the record."""
        return min(self._latest, then + self._shift)

    def wanted(self, demand: SavedDemand) -> Wanted:
        """Return a demand with its seconds counted from now."""
        requests = tuple((ago + self._pause, count) for ago, count in demand.requests)
        return Wanted(demand.mint, demand.place, requests)

    def state(self, state: TokenState) -> TokenState:
        """Return what is remembered of a token with this process's times."""
        return self._moved(state)

    def _moved(self, struct: AnyStruct) -> AnyStruct:
        changes: dict[str, Any] = {}
        for name in struct.__struct_fields__:
            value = getattr(struct, name)
            if isinstance(value, Instant):
                changes[name] = Instant(self.monotonic(value.monotonic), value.unix)
            elif isinstance(value, msgspec.Struct):
                changes[name] = self._moved(value)
            elif isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
                changes[name] = tuple(map(self._moved, value))
        return msgspec.structs.replace(struct, **changes) if changes else struct


Line = TakenAt | SavedToken | SavedDemand
_DECODER: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)


def encode(line: Line) -> bytes:
    """Return one line."""
    return msgspec.json.encode(line) + b"\n"


def decode(content: bytes) -> Snapshot:
    """Return what the lines hold that makes sense. Raises SnapshotError without the first one."""
    taken, *lines = map(_line, content.splitlines() or [b""])
    if not isinstance(taken, TakenAt):
        raise SnapshotError("it does not say when it was taken")
    tokens = [line for line in lines if isinstance(line, SavedToken) and is_credible_token(line)]
    demands = [line for line in lines if isinstance(line, SavedDemand) and _is_credible_demand(line)]
    return Snapshot(taken.at, tokens, demands, len(lines) - len(tokens) - len(demands))


def is_credible_token(token: SavedToken) -> bool:
    """Return whether the figures of a record, written by another process, make sense and agree with each other."""
    cap = token.cap
    return is_mint(token.mint) and _is_sound(token) and (cap is None or _is_credible(cap, token.mint))


def _line(text: bytes) -> Line | None:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def _is_credible(cap: MarketCap, mint: Mint) -> bool:
    amounts = (cap.fdv_usd, cap.circulating_supply, cap.total_supply, cap.liquidity_usd, cap.timestamp)
    return (
        cap.mint == mint
        and cap.source in MARKETS
        and cap.price_usd > 0
        and 0 < cap.market_cap_usd <= float(LARGEST_CAP_USD)
        and (cap.sources_agreeing or 0) <= len(MARKETS)
        and _REASONS.issuperset(cap.confidence_reasons)
        and all(slot is None or slot >= 0 for slot in (cap.price_slot, cap.supply_slot))
        and all(amount is None or amount >= 0 for amount in amounts)
        and _is_consistent(cap)
    )


def _is_consistent(cap: MarketCap) -> bool:
    """Return whether each figure has its source and follows from the others."""
    total, circulating = cap.total_supply, cap.circulating_supply
    supply = circulating if cap.basis == "circulating" else total
    fdv = None if total is None else cap.price_usd * total
    return (
        supply is not None
        and _is_same(cap.market_cap_usd, cap.price_usd * supply)
        and (cap.fdv_usd is None if fdv is None else cap.fdv_usd is not None and _is_same(cap.fdv_usd, fdv))
        and (total is None) == (cap.supply_source is None)
        and (circulating is None) == (cap.circulating_source is None)
        and (total is None or circulating is None or circulating <= total * (1 + PRODUCT_TOLERANCE))
    )


def _is_same(figure: float, product: float) -> bool:
    return isclose(figure, product, rel_tol=PRODUCT_TOLERANCE)


def _is_credible_demand(demand: SavedDemand) -> bool:
    counts = all(ago >= 0 and requests > 0 for ago, requests in demand.requests)
    named = is_symbol(demand.symbol) if demand.place == "popular" else not demand.symbol
    return is_mint(demand.mint) and counts and len(demand.requests) <= SLICES and named


def _is_sound(value: object) -> bool:
    """Return whether each exact figure can be reckoned with and each text is short; a double is always finite."""
    if isinstance(value, Decimal):
        figure = wire.figure(value)
        return figure is not None and figure >= 0
    if isinstance(value, str):
        return 0 < len(value) <= LONGEST_TEXT
    if isinstance(value, msgspec.Struct):
        parts = [getattr(value, field) for field in value.__struct_fields__]
        return all(_is_sound(part) for part in parts if not isinstance(part, _ALWAYS_SOUND))
    return True
