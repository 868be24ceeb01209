"""DexScreener: a price per pair for 30 mints in one call, and the boosted tokens.

Its `marketCap` and `fdv` are not read: the first may be another chain's, and jumps when a circulating supply
becomes known.
"""

from collections.abc import Collection, Iterator, Sequence
from decimal import Context, Decimal
from functools import partial
from typing import Final

import msgspec
from msgspec.json import Decoder

from sidecar.models import TRUSTED_QUOTE_MINTS, Mint, Parsed, Priority, Quote
from sidecar.runtime.clock import Instant
from sidecar.sources import wire
from sidecar.sources.source import MarketSource

NAME: Final = "dexscreener"
_CHAIN: Final = "solana"
_EXACT: Final = Context(prec=80)


class _Base(msgspec.Struct):
    address: str
    symbol: str | None = None


class _Other(msgspec.Struct):
    address: str | None = None


class _Liquidity(msgspec.Struct):
    """USD in the pool, and the tokens on its quote side. The object is missing on bonding curves."""

    usd: Decimal | None = None
    quote: Decimal | None = None


class _Day(msgspec.Struct):
    """A figure over 24 hours: USD traded, or the change of the price in percent."""

    h24: Decimal | None = None


class _Pair(msgspec.Struct, rename="camel"):
    """One pool. Every figure describes the base token; `priceUsd` is missing when the quote token has no price."""

    chain_id: str
    base_token: _Base
    quote_token: _Other | None = None
    price_usd: Decimal | None = None
    price_native: msgspec.Raw = wire.NULL
    """The price in quote tokens."""
    liquidity: _Liquidity | None = None
    volume: msgspec.Raw = wire.NULL
    price_change: msgspec.Raw = wire.NULL


class _Legacy(msgspec.Struct):
    """The envelope of `/latest/dex/tokens`; no match is null there, and [] in the bare list."""

    pairs: list[msgspec.Raw] | None


class _Boost(msgspec.Struct, rename="camel"):
    chain_id: str
    token_address: str


_PAIRS: Final[Decoder[list[msgspec.Raw] | _Legacy]] = Decoder(list[msgspec.Raw] | _Legacy)
_PAIR: Final = Decoder(_Pair)
_DAY: Final = Decoder(_Day)
_FIGURE: Final[Decoder[Decimal | None]] = Decoder(Decimal | None)
_BOOST: Final = Decoder(_Boost)


class DexScreener(MarketSource):
    """Prices by `/tokens/v1/solana`, fashion by the boosts: it has no list of trending tokens."""

    name = NAME
    base_url = "https://api.dexscreener.com"
    requests_per_minute = 300
    batch_size = 30
    gives_totals = False

    async def quotes(
        self, mints: Sequence[Mint], priority: Priority, expected: Collection[Mint] = ()
    ) -> Parsed[dict[Mint, Quote]]:
        """Ask for at most 30 mints. Raises UpstreamError."""
        parse = wire.expecting(
            expected, partial(parse_quotes, frozenset(mints), dead_below_usd=self._min_liquidity_usd)
        )
        return await self._api.get(f"/tokens/v1/{_CHAIN}/{','.join(mints)}", {}, parse, priority)

    async def trending(self, priority: Priority) -> Parsed[list[Mint]]:
        """Return the Solana tokens with the most boosts, first rank first. Raises UpstreamError."""
        return await self._api.get("/token-boosts/top/v1", {}, parse_boosts, priority)


def parse_quotes(
    wanted: Collection[Mint], body: bytes, received: Instant, *, dead_below_usd: Decimal = Decimal(100)
) -> Parsed[dict[Mint, Quote]]:
    """Read one quote per wanted mint, from the best of its pairs; those with less USD in the pool come last.

    Raises SchemaError when the answer is neither a list of pairs nor the legacy object.
    """
    answer = wire.decode_answer(_PAIRS, body)
    raws = answer.pairs or [] if isinstance(answer, _Legacy) else answer
    rows = wire.read_rows(raws, _PAIR, partial(_quotes, wanted, received))
    # The sort is stable: of equally good pairs the one listed first stays first.
    rank = partial(_rank, dead_below_usd)
    quotes = sorted((quote for pair in rows.value for quote in pair), key=rank, reverse=True)
    return Parsed(wire.first_of_each(quotes, lambda quote: quote.mint), rows.unreadable)


def parse_boosts(body: bytes, _received: Instant) -> Parsed[list[Mint]]:
    """Read the boosted mints of Solana in their order, each once.

    Raises SchemaError when the answer is no list.
    """
    rows = wire.read_rows(wire.rows(body), _BOOST, _boosted)
    return Parsed(list(dict.fromkeys(rows.value)), rows.unreadable)


def _boosted(row: _Boost) -> Mint | None:
    return wire.mint(row.token_address) if row.chain_id == _CHAIN else None


def _quotes(wanted: Collection[Mint], received: Instant, pair: _Pair) -> list[Quote] | None:
    """Make the quotes of the wanted mints in a pair: a price for its base token, a mark for its quote token."""
    if pair.chain_id != _CHAIN:
        return None
    sides = (*_base_side(wanted, received, pair), *_quote_side(wanted, received, pair))
    return list(sides) or None


def _base_side(wanted: Collection[Mint], received: Instant, pair: _Pair) -> Iterator[Quote]:
    mint = Mint(pair.base_token.address)
    if mint in wanted:
        yield Quote(
            source=NAME,
            mint=mint,
            received=received,
            price_usd=wire.price(pair.price_usd),
            liquidity_usd=_counted_liquidity(pair),
            claimed_liquidity_usd=_claimed_liquidity(pair),
            unit="unknown",
            symbol=wire.symbol(pair.base_token.symbol),
            trusted=pair.quote_token is not None and pair.quote_token.address in TRUSTED_QUOTE_MINTS,
            volume_24h_usd=wire.liquidity((wire.optional(_DAY, pair.volume) or _Day()).h24),
            price_change_24h=wire.ratio((wire.optional(_DAY, pair.price_change) or _Day()).h24),
        )


def _counted_liquidity(pair: _Pair) -> Decimal | None:
    """Return twice what the quote side is worth, or less where the pair says less (F5).

    The base side is priced by the pool itself: whoever makes a token can put any number of it there.
    """
    claimed, tokens = _claimed_liquidity(pair), wire.liquidity(pair.liquidity.quote if pair.liquidity else None)
    usd, native = wire.price(pair.price_usd), wire.figure(wire.optional(_FIGURE, pair.price_native))
    if claimed is None or tokens is None or usd is None or usd <= 0 or native is None or native <= 0:
        return claimed
    return min(claimed, _EXACT.divide(_EXACT.multiply(2 * tokens, usd), native))


def _claimed_liquidity(pair: _Pair) -> Decimal | None:
    return wire.liquidity(pair.liquidity.usd if pair.liquidity else None)


def _quote_side(wanted: Collection[Mint], received: Instant, pair: _Pair) -> Iterator[Quote]:
    address = pair.quote_token.address if pair.quote_token else None
    if address is not None and address in wanted:
        yield Quote(
            source=NAME,
            mint=Mint(address),
            received=received,
            price_usd=None,
            liquidity_usd=None,
            quote_side=True,
        )


def _rank(dead_below_usd: Decimal, quote: Quote) -> tuple[bool, bool, bool, bool, Decimal]:
    """Order a mint's quotes: its own pair, with a price, in a pool not known to be dead, trusted, the deepest."""
    depth = Decimal(-1) if quote.liquidity_usd is None else quote.liquidity_usd
    alive = not 0 <= depth < dead_below_usd
    return not quote.quote_side, quote.price_usd is not None, alive, quote.trusted, depth
