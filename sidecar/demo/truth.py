"""What is true of the simulated market's tokens at any moment, whatever the sources say of them."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from sidecar.demo.prices import Wave
from sidecar.demo.tokens import Token
from sidecar.models import Mint
from sidecar.runtime.clock import Clock

SLOTS_PER_SECOND: Final = 2.5
_SLOT_AT_UNIX_0: Final = -4_040_000_000


class Truth:
    """Tokens with prices that move with the clock, the same way for the same seed.

    Methods that take a mint raise KeyError for one that is not there.
    """

    def __init__(self, seed: int, tokens: Mapping[str, Token], clock: Clock) -> None:
        self.seed = seed
        self.clock = clock
        self.tokens: dict[str, Token] = dict(tokens)
        self._unix_of_monotonic_0 = clock.time() - clock.monotonic()
        self._waves: dict[str, Wave] = {}
        self._prices: dict[str, list[tuple[float, float | None]]] = {}

    @property
    def slot(self) -> int:
        """The chain's slot now: a wall clock that is set does not move it."""
        return _slot_at(self._unix_of_monotonic_0 + self.clock.monotonic())

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

    def set_price(self, mint: str, usd: float | None) -> None:
        """Fix the true price, in USD; None lets it move again."""
        self._prices.setdefault(self._known(mint), []).append((self.clock.time(), usd))

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

    def add(self, token: Token) -> None:
        """Put a token on the market, or another one in its place."""
        self.tokens[token.mint] = token

    def _known(self, mint: str) -> Mint:
        return self.tokens[mint].mint

    def _wave(self, token: Token) -> Wave:
        rhythm = token.rhythm or token.mint
        if (wave := self._waves.get(rhythm)) is None:
            wave = self._waves[rhythm] = Wave(f"{self.seed}:{rhythm}")
        return wave


def _slot_at(unix: float) -> int:
    return _SLOT_AT_UNIX_0 + int(unix * SLOTS_PER_SECOND)
