"""The simulated truth: random walks with jumps, and which mints are asked for. The same for every policy."""

from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sidecar.demo import Source, Token
from sidecar.demo.tokens import address_of
from sidecar.models import Mint
from tests.clock import FakeClock
from tests.running import WatchedMarket

YEAR_SECONDS: Final = 365.25 * 86_400
WARM_UP_SECONDS: Final = 1_800
"""Five changes at the longest interval are 25 minutes."""
MEASURED_SECONDS: Final = 3_600
SECONDS: Final = WARM_UP_SECONDS + MEASURED_SECONDS
REQUESTS_PER_SECOND: Final = 50


class Kind(NamedTuple):
    """How tokens of a kind move."""

    name: str
    volatility: float
    """Annual: the standard deviation of the logarithm of the price."""
    jump: float
    """The standard deviation of a jump."""


KINDS: Final = (
    *(Kind("wild", 5.0, 0.1), Kind("major", 0.6, 0.01)),
    *(Kind("stable", 0.02, 0.0), Kind("lively", 1.5, 0.03)),
)
"""In turn along the ranks of demand: the most requested token is a wild one, the next a major."""
JUMPS_PER_HOUR: Final = 0.25


class Truth(NamedTuple):
    """The prices of each second and the requests of each second. Tokens are numbered by demand, from 0."""

    mints: list[Mint]
    prices: NDArray[np.float32]
    """By token and second: the logarithm, counted from the price at the start."""
    requests: NDArray[np.int32]
    """By second: the tokens asked for."""
    demand: NDArray[np.float64]
    """By token: its share of all requests."""


def truth(tokens: int, seed: int = 1) -> Truth:
    """Make a market of so many tokens, with Zipf-shaped demand."""
    dice = np.random.default_rng(seed)
    kinds = [KINDS[number % len(KINDS)] for number in range(tokens)]
    step = np.array([kind.volatility for kind in kinds])[:, None] / np.sqrt(YEAR_SECONDS)
    size = np.array([kind.jump for kind in kinds])[:, None]
    prices = np.empty((tokens, SECONDS + 1), dtype=np.float32)
    for start in range(0, tokens, 500):  # whole, it would take a gigabyte
        rows = slice(start, start + 500)
        shape = (len(step[rows]), SECONDS + 1)
        moves = step[rows] * dice.standard_normal(shape)
        jumps = dice.random(shape) < JUMPS_PER_HOUR / 3600
        moves += jumps * size[rows] * dice.standard_normal(shape)
        prices[rows] = np.cumsum(moves, axis=1)
    demand = 1.0 / np.arange(1, tokens + 1)
    demand /= demand.sum()
    requests = dice.choice(tokens, (SECONDS, REQUESTS_PER_SECOND), p=demand).astype(np.int32)
    mints = [address_of(f"freshness {number}") for number in range(tokens)]
    return Truth(mints, prices, requests, demand)


class TruthMarket(WatchedMarket):
    """The upstreams, which say what is true in the second in which they are asked."""

    def __init__(self, clock: FakeClock, truth: Truth) -> None:
        super().__init__(clock, tokens=13)
        self._truth = truth
        self._start_unix = clock.time()
        self._number = {mint: number for number, mint in enumerate(truth.mints)}
        for source in ("jupiter", "dexscreener", "geckoterminal"):
            self.set_trending(_source(source), ())
        for number, mint in enumerate(truth.mints):
            self.add(_token(number, mint))

    def price(self, mint: str, unix: float | None = None) -> float:
        """Return the true price of this second, or of another."""
        if (number := self._number.get(Mint(mint))) is None:
            return super().price(mint, unix)
        second = min(SECONDS, int((self.clock.time() if unix is None else unix) - self._start_unix))
        return self.tokens[mint].price_usd * float(np.exp(self._truth.prices[number, second]))


def _source(name: str) -> Source:
    return name  # type: ignore[return-value]


def _token(number: int, mint: Mint) -> Token:
    supply = Decimal(1_000_000_000)
    return Token(
        mint=mint,
        symbol=f"T{number}",
        name=f"Token {number}",
        decimals=6,
        price_usd=0.05,
        total_supply=supply,
        circulating_supply=supply,
        liquidity_usd=4_000_000.0,
    )
