"""GeckoTerminal: price, liquidity and supply of 30 mints in one call, and trending pools. All figures are strings.

Its `market_cap_usd` is not read: it may be above the fully diluted value (other chains), null or "0.0".
"""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Final

import msgspec
from msgspec.json import Decoder

from sidecar.models import TRUSTED_QUOTE_MINTS, WRAPPED_SOL, Mint, Parsed, Priority, Quote
from sidecar.runtime.clock import Instant
from sidecar.sources import wire
from sidecar.sources.source import MarketSource

NAME: Final = "geckoterminal"
_ID_PREFIX: Final = "solana_"
_ACCEPT: Final = "application/json;version=20230302"


class _Ref(msgspec.Struct):
    """Points to another object; a mint's is `solana_<mint>`."""

    id: str


class _One(msgspec.Struct):
    data: _Ref


class _Many(msgspec.Struct):
    data: list[_Ref] | None = None


class _Day(msgspec.Struct):
    """USD traded in 24 hours."""

    h24: Decimal | None = None


class _Attributes(msgspec.Struct):
    """A token's figures; money in USD. `normalized_total_supply` is in whole tokens, before any multiplier."""

    address: str
    symbol: str | None = None
    decimals: msgspec.Raw = wire.NULL
    price_usd: Decimal | None = None
    total_reserve_in_usd: Decimal | None = None
    normalized_total_supply: Decimal | None = None
    volume_usd: msgspec.Raw = wire.NULL


class _TokenPools(msgspec.Struct):
    top_pools: _Many | None = None


class _Token(msgspec.Struct):
    attributes: _Attributes
    relationships: _TokenPools | None = None

    def pool_ids(self) -> list[str]:
        """Return the ids of the token's top pools, each once, none when they are not said."""
        pools = self.relationships.top_pools if self.relationships else None
        return list(dict.fromkeys(ref.id for ref in pools.data or [])) if pools else []


class _Sides(msgspec.Struct):
    base_token: _One
    quote_token: _One


class _PoolFigures(msgspec.Struct):
    """USD on both sides of a pool."""

    reserve_in_usd: Decimal | None = None


class _Pool(msgspec.Struct):
    id: str
    relationships: _Sides
    attributes: _PoolFigures | None = None

    def reserve(self) -> Decimal | None:
        """Return the USD in the pool, None when unknown."""
        return wire.liquidity(self.attributes.reserve_in_usd if self.attributes else None)


class _BaseSide(msgspec.Struct):
    base_token: _One


class _TrendingPool(msgspec.Struct):
    relationships: _BaseSide


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw]
    included: list[msgspec.Raw] | None = None


_ANSWER: Final = Decoder(_Answer)
_TOKEN: Final = Decoder(_Token)
_POOL: Final = Decoder(_Pool)
_DAY: Final = Decoder(_Day)
_TRENDING_POOL: Final = Decoder(_TrendingPool)


class GeckoTerminal(MarketSource):
    """Prices by `tokens/multi`, fashion by `trending_pools`; the base URL holds the API version."""

    name = NAME
    base_url = "https://api.geckoterminal.com/api/v2"
    requests_per_minute = 30
    batch_size = 30
    gives_totals = True

    async def quotes(
        self, mints: Sequence[Mint], priority: Priority, expected: Collection[Mint] = ()
    ) -> Parsed[dict[Mint, Quote]]:
        """Ask for at most 30 mints. Raises UpstreamError."""
        path = f"/networks/solana/tokens/multi/{','.join(mints)}"
        parse = wire.expecting(expected, partial(parse_quotes, frozenset(mints)))
        return await self._api.get(path, {"include": "top_pools"}, parse, priority, {"Accept": _ACCEPT})

    async def trending(self, priority: Priority) -> Parsed[list[Mint]]:
        """Return the base tokens of the pools trending over the last hour. Raises UpstreamError."""
        params = {"duration": "1h", "page": "1"}
        path = "/networks/solana/trending_pools"
        return await self._api.get(path, params, parse_trending, priority, {"Accept": _ACCEPT})


def parse_quotes(wanted: Collection[Mint], body: bytes, received: Instant) -> Parsed[dict[Mint, Quote]]:
    """Read the rows of the wanted mints.

    Raises SchemaError when the answer is no object with a list of rows.
    """
    answer = wire.decode_answer(_ANSWER, body)
    pools = wire.read_rows(answer.included or [], _POOL, lambda pool: pool)
    by_id = {pool.id: pool for pool in pools.value}
    tokens = wire.read_rows(answer.data, _TOKEN, partial(_quote, wanted, by_id, received))
    quotes = wire.first_of_each(tokens.value, lambda quote: quote.mint)
    return Parsed(quotes, tokens.unreadable + pools.unreadable)


def parse_trending(body: bytes, _received: Instant) -> Parsed[list[Mint]]:
    """Read the mints of the pools' base tokens in their order, each once.

    Raises SchemaError when the answer is no object with a list of rows.
    """
    answer = wire.decode_answer(_ANSWER, body)
    rows = wire.read_rows(
        answer.data, _TRENDING_POOL, lambda pool: wire.mint(_mint_text(pool.relationships.base_token))
    )
    return Parsed(list(dict.fromkeys(rows.value)), rows.unreadable)


def _quote(wanted: Collection[Mint], pools: Mapping[str, _Pool], received: Instant, token: _Token) -> Quote | None:
    said = token.attributes
    mint = Mint(said.address)
    if mint not in wanted:
        return None
    liquidity, trusted = _liquidity(token, [pools[pool] for pool in token.pool_ids() if pool in pools])
    # What is wrapped on Solana is not SOL's supply.
    supply = None if mint == WRAPPED_SOL else wire.total_supply(said.normalized_total_supply)
    return Quote(
        source=NAME,
        mint=mint,
        received=received,
        price_usd=wire.price(said.price_usd),
        liquidity_usd=liquidity,
        claimed_liquidity_usd=wire.liquidity(said.total_reserve_in_usd),
        unit="raw",
        symbol=wire.symbol(said.symbol),
        decimals=wire.decimals(said.decimals),
        total_supply=supply,
        trusted=trusted,
        volume_24h_usd=wire.liquidity((wire.optional(_DAY, said.volume_usd) or _Day()).h24),
    )


def _liquidity(token: _Token, pools: Sequence[_Pool]) -> tuple[Decimal | None, bool]:
    """Return the USD that hold the price, and whether they are trusted.

    The reported total adds up all pools, and whoever makes a token also makes the price of its junk pool: next to
    a trusted pool only trusted ones count. With no trusted pool to look at the total is not trusted.
    """
    mint = Mint(token.attributes.address)
    reported = wire.liquidity(token.attributes.total_reserve_in_usd)
    trusted = [pool for pool in pools if _other_side(mint, pool) in TRUSTED_QUOTE_MINTS]
    if not trusted:
        return reported, False
    known = [reserve for pool in trusted if (reserve := pool.reserve()) is not None]
    return (sum(known, Decimal()) if known else None), True


def _other_side(mint: Mint, pool: _Pool) -> str:
    base, quote = (_mint_text(side) for side in (pool.relationships.base_token, pool.relationships.quote_token))
    return quote if base == mint else base


def _mint_text(side: _One) -> str:
    return side.data.id.removeprefix(_ID_PREFIX)
