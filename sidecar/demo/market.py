"""The simulated market: what each source says of the tokens now, and what goes wrong."""

import collections
import random
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from sidecar.demo.faults import Fault
from sidecar.demo.limits import RateLimit, SlidingWindow, Verdict
from sidecar.demo.prices import bias
from sidecar.demo.token_factory import build_universe
from sidecar.demo.tokens import SOURCES, Source, Token
from sidecar.demo.truth import SLOTS_PER_SECOND, Truth
from sidecar.models import WRAPPED_SOL, Mint
from sidecar.runtime.clock import Clock, SystemClock

_LOG_LENGTH: Final = 10_000
_TRENDING_LENGTH: Final = 120
_TRENDING_SECONDS: Final = 600
_NEVER: Final = float("inf")

DemoUnit = Literal["displayed", "raw"]
_DISPLAYED: Final[Mapping[Source, DemoUnit]] = dict.fromkeys(SOURCES, "displayed")


class LoggedCall(NamedTuple):
    """One request that a source got."""

    source: Source
    name: str
    """The route below the source's base URL, or the JSON-RPC method."""
    mints: tuple[str, ...]


class Market(Truth):
    """The tokens as the sources see them: a few hundred (at most about 10,000), the same for the same seed.

    A source differs from it by at most `spread` (a fraction; 0 makes all agree exactly),
    if nothing else is set. Everything may be changed while a server answers from the market. Methods that take a
    mint raise KeyError for one that the market does not have.
    """

    def __init__(
        self, seed: int = 1, tokens: int = 300, clock: Clock | None = None, *, spread: float = 0.003
    ) -> None:
        universe = build_universe(seed, tokens)
        super().__init__(seed, universe.tokens, SystemClock() if clock is None else clock)
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
        self._spread = spread
        self._views: dict[tuple[Source, str], dict[str, Any]] = {}
        self._forgotten: set[tuple[Source, str]] = set(universe.forgotten)
        self._source_prices: dict[tuple[Source, str], float] = {}
        self._trending: dict[Source, tuple[Mint, ...]] = {}
        self._windows: dict[Source, SlidingWindow] = {}
        self._dice = random.Random(seed)

    def source_slot(self, source: Source, mint: str = "") -> int:
        """Return the slot of what a source says now, of a mint or of anything."""
        return self.slot - int((self.clock.time() - self._source_time(source, mint)) * SLOTS_PER_SECOND)

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

    def set_trending(self, source: Source, mints: tuple[Mint, ...] | None) -> None:
        """Fix a source's trending list; None lets it change by itself again."""
        if mints is None:
            self._trending.pop(source, None)
        else:
            self._trending[source] = mints

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
