"""The simulated market: what is true of each token now, what each source says of it, and what goes wrong."""

import collections
import math
import random
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from sidecar.demo.faults import Fault
from sidecar.demo.limits import RateLimit, SlidingWindow, Verdict
from sidecar.demo.prices import Wave, bias
from sidecar.demo.token_factory import build_universe
from sidecar.demo.tokens import SOURCES, Source, Token
from sidecar.models import WRAPPED_SOL, Mint
from sidecar.runtime.clock import Clock, SystemClock

_LOG_LENGTH: Final = 10_000
_TRENDING_LENGTH: Final = 120
_TRENDING_SECONDS: Final = 600
_SLOTS_PER_SECOND: Final = 2.5
_SLOT_AT_UNIX_0: Final = -4_040_000_000
_NEVER: Final = float("inf")

DemoUnit = Literal["displayed", "raw"]
_DISPLAYED: Final[Mapping[Source, DemoUnit]] = dict.fromkeys(SOURCES, "displayed")


class LoggedCall(NamedTuple):
    """One request that a source got."""

    source: Source
    name: str
    """The route below the source's base URL, or the JSON-RPC method."""
    mints: tuple[str, ...]


class Market:
    """A few hundred tokens (at most about 10,000), the same for the same seed, whose prices move with the clock.

    `price` is the truth. A source differs from it by at most `spread` (a fraction; 0 makes all agree exactly),
    if nothing else is set. Everything may be changed while a server answers from the market. Methods that take a
    mint raise KeyError for one that the market does not have.
    """

    def __init__(
        self, seed: int = 1, tokens: int = 300, clock: Clock | None = None, *, spread: float = 0.003
    ) -> None:
        universe = build_universe(seed, tokens)
        self.seed = seed
        self.clock: Clock = SystemClock() if clock is None else clock
        self.tokens: dict[str, Token] = dict(universe.tokens)
        self.calls: dict[Source, int] = dict.fromkeys(SOURCES, 0)
        self.log: collections.deque[LoggedCall] = collections.deque(maxlen=_LOG_LENGTH)
        self.faults: dict[Source, Fault | None] = dict.fromkeys(SOURCES)
        self.rate_limits: dict[Source, RateLimit | None] = dict.fromkeys(SOURCES)
        self.jupiter_keys: frozenset[str] | None = None
        """When set, any other `x-api-key` gets 401; none at all is the keyless tier."""
        self.latency_seconds = 0.0
        """Before every answer, on the market's clock."""
        self.units: dict[Source, DemoUnit] = {**_DISPLAYED, "geckoterminal": "raw"}
        """What a source prices one of, where a token has a ScaledUiAmount. DexScreener's is not documented."""
        self.lag_seconds: dict[Source, float] = dict.fromkeys(SOURCES, 0.0)
        """How far behind the truth a source's prices and slots are."""
        self.stopped_at: dict[Source, float] = {}
        """Unix times from which on a source answers with the prices and the slots of then."""
        self.last_trades: dict[str, float] = {}
        """Unix times of the last trade of mints that are traded no more; Jupiter goes on with that price."""
        self.accounts_reversed = False
        """The RPC answers with the accounts in the wrong order."""
        self.pools_withheld = False
        """GeckoTerminal answers without the tokens' pools."""
        self._unix_of_monotonic_0 = self.clock.time() - self.clock.monotonic()
        self._spread = spread
        self._views: dict[tuple[Source, str], dict[str, Any]] = {}
        self._forgotten: set[tuple[Source, str]] = set(universe.forgotten)
        self._waves: dict[str, Wave] = {}
        self._prices: dict[str, list[tuple[float, float | None]]] = {}
        self._source_prices: dict[tuple[Source, str], float] = {}
        self._trending: dict[Source, tuple[Mint, ...]] = {}
        self._windows: dict[Source, SlidingWindow] = {}
        self._dice = random.Random(seed)

    @property
    def slot(self) -> int:
        """The chain's slot now: a wall clock that is set does not move it."""
        return _slot_at(self._unix_of_monotonic_0 + self.clock.monotonic())

    def source_slot(self, source: Source, mint: str = "") -> int:
        """Return the slot of what a source says now, of a mint or of anything."""
        return self.slot - int((self.clock.time() - self._source_time(source, mint)) * _SLOTS_PER_SECOND)

    def price(self, mint: str, unix: float | None = None) -> float:
        """Return the true price now or at a Unix time, in USD for one whole displayed token."""
        token, at = self.tokens[mint], self.clock.time() if unix is None else unix
        fixes = reversed(self._prices.get(token.mint, ()))
        fixed = next((usd for since, usd in fixes if unix is None or since <= unix), None)
        if fixed is not None:
            return fixed
        return token.price_usd * math.exp(token.volatility * self._wave(token).at(at))

    def market_cap(self, mint: str) -> float:
        """Return the truth in USD: price times circulating supply, or times the total where that is unknown."""
        token = self.tokens[mint]
        supply = token.total_supply if token.circulating_supply is None else token.circulating_supply
        return self.price(mint) * float(supply * token.supply_multiplier(self.clock.time()))

    def source_price(self, source: Source, mint: str) -> float:
        """Return what a source thinks the price of a displayed token is, in USD."""
        stuck = self._source_prices.get((source, mint))
        if stuck is not None:
            return stuck
        behind = self._source_time(source, mint)
        true_price = self.price(mint, None if behind == self.clock.time() else behind)
        return true_price * bias(f"{self.seed}:{source}:{mint}", self._spread)

    def quoted_price(self, source: Source, mint: str) -> float:
        """Return the price as the source sends it, for one token in the unit that it prices."""
        token, unit = self.tokens[mint], self.units[source]
        if token.scaled is None:
            return self.source_price(source, mint)
        own = self.source_price(source, mint)
        displayed_as_raw = token.priced_unscaled or unit == "displayed"
        return own if displayed_as_raw else own * float(token.scaled.at(self.clock.time()))

    def find(self, source: Source, mint: str) -> Token | None:
        """Return the token as the source has it, if it answers for it in the request at hand."""
        if (source, mint) in self._forgotten or self._omits(source, mint):
            return None
        token, changes = self.tokens.get(mint), self._views.get((source, mint))
        return token if token is None or changes is None else msgspec.structs.replace(token, **changes)

    def trending(self, source: Source) -> tuple[Mint, ...]:
        """Return the mints that the source shows as trending, best first; another choice every ten minutes."""
        if (fixed := self._trending.get(source)) is not None:
            return fixed
        window = int(self.clock.time() // _TRENDING_SECONDS)
        alive = [
            token.mint for token in self.tokens.values() if token.liquidity_usd is None or token.liquidity_usd > 1
        ]
        chosen = random.Random(f"{self.seed}:{source}:{window}").sample(alive, min(_TRENDING_LENGTH, len(alive)))
        return (WRAPPED_SOL, *(mint for mint in chosen if mint != WRAPPED_SOL))

    def set_price(self, mint: str, usd: float | None) -> None:
        """Fix the true price, in USD; None lets it move again."""
        self._prices.setdefault(self._known(mint), []).append((self.clock.time(), usd))

    def set_source_price(self, source: Source, mint: str, usd: float | None) -> None:
        """Fix what one source says, in USD: a bad tick, an old price; None lets it follow the truth."""
        key = (source, self._known(mint))
        if usd is None:
            self._source_prices.pop(key, None)
        else:
            self._source_prices[key] = usd

    def set_view(self, source: Source, mint: str, **changes: Any) -> None:
        """Let a source have these fields of the token wrong, and no others; none at all: let it be right again."""
        self._views[source, self._known(mint)] = changes

    def set_liquidity(self, mint: str, usd: float | None) -> None:
        """Set the main pool's liquidity in USD; None makes it a bonding curve, which tells none."""
        self.add(msgspec.structs.replace(self.tokens[mint], liquidity_usd=usd))

    def set_supply(
        self,
        mint: str,
        *,
        total: Decimal | UnsetType = UNSET,
        circulating: Decimal | UnsetType | None = UNSET,
    ) -> None:
        """Set the supplies in whole tokens; circulating None: no source knows it."""
        token = self.tokens[mint]
        if total is not UNSET:
            token = msgspec.structs.replace(token, total_supply=total)
        if circulating is not UNSET:
            token = msgspec.structs.replace(token, circulating_supply=circulating)
        self.add(token)

    def set_trending(self, source: Source, mints: tuple[Mint, ...] | None) -> None:
        """Fix a source's trending list; None lets it change by itself again."""
        if mints is None:
            self._trending.pop(source, None)
        else:
            self._trending[source] = mints

    def add(self, token: Token) -> None:
        """Put a token on the market, or another one in its place."""
        self.tokens[token.mint] = token

    def forget(self, source: Source, mint: str) -> None:
        """Make a source leave the mint out of its answers; the RPC answers null for its account."""
        self._forgotten.add((source, self._known(mint)))

    def remember(self, source: Source, mint: str) -> None:
        """Undo `forget`."""
        self._forgotten.discard((source, self._known(mint)))

    def record(self, source: Source, name: str, mints: tuple[str, ...]) -> None:
        """Count a request, whatever becomes of it."""
        self.calls[source] += 1
        self.log.append(LoggedCall(source, name, mints))

    def admit(self, source: Source) -> Verdict | None:
        """Hold a request against the source's rate limit; None when none is switched on."""
        limit = self.rate_limits[source]
        if limit is None:
            return None
        window = self._windows.get(source)
        if window is None or window.limit is not limit:
            window = self._windows[source] = SlidingWindow(limit)
        return window.admit(self.clock.monotonic())

    def draw_fault(self, source: Source) -> Fault | None:
        """Return the fault that hits the request at hand; one that omits mints is left to `find`."""
        fault = self.faults[source]
        if fault is None or (fault.kind != "omit" and self._dice.random() >= fault.probability):
            return None
        return fault

    def _omits(self, source: Source, mint: str) -> bool:
        fault = self.faults[source]
        if fault is None or fault.kind != "omit" or (fault.mints and mint not in fault.mints):
            return False
        return self._dice.random() < fault.probability

    def _source_time(self, source: Source, mint: str) -> float:
        """Return the Unix time of what a source says now."""
        times = [self.clock.time() - self.lag_seconds[source], self.stopped_at.get(source, _NEVER)]
        if source == "jupiter":
            times.append(self.last_trades.get(mint, _NEVER))
        return min(times)

    def _known(self, mint: str) -> Mint:
        return self.tokens[mint].mint

    def _wave(self, token: Token) -> Wave:
        rhythm = token.rhythm or token.mint
        if (wave := self._waves.get(rhythm)) is None:
            wave = self._waves[rhythm] = Wave(f"{self.seed}:{rhythm}")
        return wave


def _slot_at(unix: float) -> int:
    return _SLOT_AT_UNIX_0 + int(unix * _SLOTS_PER_SECOND)
