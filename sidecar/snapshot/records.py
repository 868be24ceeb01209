"""What a snapshot holds: one JSON object a line, the first says when it was taken. The disk is no concern here."""

from decimal import Decimal
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from sidecar.errors import InvalidMintError
from sidecar.models import ChainSupply, MarketCap, Mint, parse_mint
from sidecar.pricing.token_state import SourcedValue, TokenState
from sidecar.pricing.volatility import PriceMotion
from sidecar.refresh.tracker import SLICES, Place, Wanted
from sidecar.runtime.clock import Instant
from sidecar.snapshot.file import SnapshotError
from sidecar.sources import wire

LONGEST_TEXT: Final = 64
"""No mint, symbol or name of a source is longer."""

Said = TypeVar("Said", ChainSupply, SourcedValue, PriceMotion)


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
    """How much one mint is wanted, as in `tracker.Wanted`."""

    mint: Mint
    place: Place
    requests: tuple[tuple[float, int], ...] = ()


class Snapshot(msgspec.Struct, frozen=True):
    """What was read back. `dropped` counts the lines that make no sense."""

    taken_at: Instant
    tokens: list[SavedToken]
    demands: list[SavedDemand]
    dropped: int = 0


class ClockRebase:
    """Moves the times of the process that wrote a snapshot into this one, `now`.

    `unknown_pause_seconds` is taken for the time in between when the wall clock was set back meanwhile.
    """

    def __init__(self, taken_at: Instant, now: Instant, unknown_pause_seconds: float) -> None:
        pause = now.unix - taken_at.unix
        self._taken_at = taken_at.monotonic
        self._pause = pause if pause >= 0 else unknown_pause_seconds
        self._now = now.monotonic

    def ago(self, then: float) -> float:
        """Return how many seconds ago a monotonic time of the other process is."""
        return self._pause + max(0.0, self._taken_at - then)

    def monotonic(self, then: float) -> float:
        """Return this process's monotonic time of then."""
        return self._now - self.ago(then)

    def wanted(self, demand: SavedDemand) -> Wanted:
        """Return a demand whose seconds count from now."""
        requests = tuple((ago + self._pause, count) for ago, count in demand.requests)
        return Wanted(demand.mint, demand.place, requests)

    def state(self, state: TokenState) -> TokenState:
        """Return facts whose times are this process's."""
        comparison = state.comparison
        if comparison is not None:
            comparison = replace(comparison, compared=self._instant(comparison.compared))
        return replace(
            state,
            chain=self._received(state.chain),
            chain_answered=self._instant(state.chain_answered),
            source_total=self._received(state.source_total),
            circulating=self._received(state.circulating),
            comparison=comparison,
            last_good=self._received(state.last_good),
            unpriced_since=self._instant(state.unpriced_since),
            motion=self._received(state.motion),
        )

    def _instant(self, then: Instant | None) -> Instant | None:
        return None if then is None else Instant(self.monotonic(then.monotonic), then.unix)

    def _received(self, said: Said | None) -> Said | None:
        return None if said is None else replace(said, received=self._instant(said.received))


Line = TakenAt | SavedToken | SavedDemand
_DECODER: Final[msgspec.json.Decoder[Line]] = msgspec.json.Decoder(Line)


def encode(line: Line) -> bytes:
    """Return one line."""
    return msgspec.json.encode(line) + b"\n"


def decode(content: bytes) -> Snapshot:
    """Return what the lines hold that makes sense. Raises SnapshotError without the first one."""
    lines = iter(content.splitlines())
    taken = _line(next(lines, b""))
    if not isinstance(taken, TakenAt):
        raise SnapshotError("it does not say when it was taken")
    tokens: list[SavedToken] = []
    demands: list[SavedDemand] = []
    dropped = 0
    for text in lines:
        line = _line(text)
        if isinstance(line, SavedToken) and _is_credible_token(line):
            tokens.append(line)
        elif isinstance(line, SavedDemand) and _is_credible_demand(line):
            demands.append(line)
        else:
            dropped += 1
    return Snapshot(taken.at, tokens, demands, dropped)


def _line(text: bytes) -> Line | None:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def _is_credible_token(token: SavedToken) -> bool:
    cap = token.cap
    return _is_mint(token.mint) and _is_sound(token) and (cap is None or _is_credible(cap, token.mint))


def _is_credible(cap: MarketCap, mint: Mint) -> bool:
    amounts = (cap.fdv_usd, cap.circulating_supply, cap.total_supply, cap.liquidity_usd, cap.timestamp)
    positive = cap.price_usd > 0 and cap.market_cap_usd > 0
    return cap.mint == mint and positive and all(amount is None or amount >= 0 for amount in amounts)


def _is_credible_demand(demand: SavedDemand) -> bool:
    counts = all(ago >= 0 and requests > 0 for ago, requests in demand.requests)
    return _is_mint(demand.mint) and counts and len(demand.requests) <= SLICES


def _is_mint(text: str) -> bool:
    try:
        parse_mint(text)
    except InvalidMintError:
        return False
    return True


def _is_sound(value: object) -> bool:
    """Tell whether every exact figure can be reckoned with and every text is short; a double is always finite."""
    if isinstance(value, Decimal):
        figure = wire.figure(value)
        return figure is not None and figure >= 0
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT
    if isinstance(value, msgspec.Struct):
        return all(_is_sound(getattr(value, field)) for field in value.__struct_fields__)
    return True
