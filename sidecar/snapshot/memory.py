"""What is in memory, as the lines of a snapshot, and back."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Final, NamedTuple

from msgspec.structs import replace

from sidecar.cache.cache import Entry, MarketCapCache
from sidecar.cache.publisher import Publisher
from sidecar.models import Mint
from sidecar.pricing.supply import is_remembered
from sidecar.pricing.token_state import TokenState
from sidecar.refresh.token_states import TokenStates
from sidecar.refresh.tracker import Tracker
from sidecar.runtime.aio import yielding
from sidecar.runtime.clock import Clock, Instant, now
from sidecar.snapshot.records import ClockRebase, SavedDemand, SavedToken, Snapshot, TakenAt, encode

BYTES_PER_TOKEN: Final = 3072
BYTES_PER_DEMAND: Final = 512
"""More than a line takes, as long as no supply has hundreds of digits; what does not fit is left out."""
LINES_AT_A_TIME: Final = 100
"""How much is done between two turns of the event loop: about half a millisecond's work."""


class Memory(NamedTuple):
    """The parts of the service that a snapshot is of."""

    cache: MarketCapCache
    token_states: TokenStates
    tracker: Tracker
    publisher: Publisher
    symbols: Mapping[Mint, str]
    """Of the popular list."""
    pin_tracked: Callable[[], None]
    tracked_changed: Callable[[], None]
    clock: Clock


def lines(memory: Memory) -> Iterator[bytes]:
    """Yield the lines of a snapshot, what matters most first. Each is true of the moment when it is made."""
    cache, token_states, symbols = memory.cache, memory.token_states, memory.symbols
    yield encode(TakenAt(now(memory.clock)))
    for mint, place, requests in memory.tracker.wanted():
        symbol = symbols.get(mint, "") if place == "popular" else ""
        yield encode(SavedDemand(mint=mint, place=place, requests=requests, symbol=symbol))
    for mint in cache.mints():
        if (entry := cache.peek(mint)) is not None:
            state = token_states.get(mint)
            yield encode(SavedToken(mint=mint, received=entry.received, cap=entry.cap, state=state))
    for mint in token_states:
        state = token_states.get(mint)
        if cache.peek(mint) is None and state is not None:
            yield encode(SavedToken(mint=mint, state=state))


async def content(memory: Memory, max_bytes: int) -> list[bytes]:
    """Return the lines that fit, made a few at a time: requests are answered meanwhile."""
    parts: list[bytes] = []
    size, left = 0, lines(memory)
    async for part in yielding(iter(lambda: b"".join(islice(left, LINES_AT_A_TIME)), b""), 1):
        size += len(part)
        if size > max_bytes:
            break
        parts.append(part)
    return parts


async def take_back(memory: Memory, snapshot: Snapshot, unknown_pause_seconds: float) -> None:
    """Put into memory what a snapshot holds, as far as it is not too old; a few at a time."""
    rebase = ClockRebase(snapshot.taken_at, now(memory.clock), unknown_pause_seconds)
    memory.tracker.restore([rebase.wanted(demand) for demand in snapshot.demands])
    memory.pin_tracked()  # before the values come, so that none pushes out a tracked one
    async for token in yielding(snapshot.tokens, LINES_AT_A_TIME):
        _take_back_token(memory, token, rebase)
    memory.tracked_changed()


def _take_back_token(memory: Memory, token: SavedToken, rebase: ClockRebase) -> None:
    at = now(memory.clock)
    if token.state is not None and _says_something(state := rebase.state(token.state), at):
        memory.token_states.put(token.mint, state)
    received = rebase.monotonic(token.received)
    if token.cap is None or at.monotonic - received > memory.cache.max_stale_seconds:
        return
    symbol = memory.symbols.get(token.mint, token.cap.symbol)
    memory.publisher.publish(Entry(replace(token.cap, symbol=symbol), received, ()))


def _says_something(state: TokenState, at: Instant) -> bool:
    """Return whether anything in it is less than a day old; the rest follows from the next answers."""
    received = [one.received for one in (state.chain, state.source_total, state.circulating) if one is not None]
    return any(is_remembered(one, at) for one in (state.chain_answered, *received))
