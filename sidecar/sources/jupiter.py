"""Jupiter tokens v2: price, liquidity and supplies of 100 mints in one call."""

from collections.abc import Collection, Sequence
from decimal import Decimal
from functools import partial
from typing import Final

import msgspec
from msgspec.json import Decoder

from sidecar.models import Mint, Parsed, Priority, Quote
from sidecar.runtime.clock import Instant
from sidecar.sources import wire
from sidecar.sources.source import MarketSource

NAME: Final = "jupiter"
_TRENDING_ROWS: Final = "100"


class _Day(msgspec.Struct, rename="camel"):
    """What happened in 24 hours: USD bought and sold, and the price's change in percent."""

    price_change: Decimal | None = None
    buy_volume: Decimal | None = None
    sell_volume: Decimal | None = None

    def volume(self) -> Decimal | None:
        """Return the USD traded, None when unknown."""
        sides = [wire.liquidity(side) for side in (self.buy_volume, self.sell_volume)]
        known = [side for side in sides if side is not None]
        return sum(known, Decimal()) if known else None


class _Row(msgspec.Struct, rename="camel"):
    """A MintInformation. What the source does not know is absent; supplies are in whole tokens."""

    id: str
    symbol: str | None = None
    decimals: msgspec.Raw = wire.NULL
    usd_price: Decimal | None = None
    liquidity: Decimal | None = None
    circ_supply: Decimal | None = None
    total_supply: Decimal | None = None
    price_block_id: msgspec.Raw = wire.NULL
    is_verified: msgspec.Raw = wire.NULL
    stats24h: msgspec.Raw = wire.NULL


class _Listed(msgspec.Struct):
    id: str


_ROW: Final = Decoder(_Row)
_LISTED: Final = Decoder(_Listed)
_DAY: Final = Decoder(_Day)
_YES: Final = Decoder(bool)


class Jupiter(MarketSource):
    """Prices by `/tokens/v2/search`, fashion by `/tokens/v2/toptrending`."""

    name = NAME
    base_url = "https://api.jup.ag"
    requests_per_minute = 30
    key_header = "x-api-key"
    keyed_requests_per_minute = 60
    batch_size = 100
    gives_totals = True

    async def quotes(
        self, mints: Sequence[Mint], priority: Priority, expected: Collection[Mint] = ()
    ) -> Parsed[dict[Mint, Quote]]:
        """Ask for at most 100 mints; the 101st would be dropped without a word. Raises UpstreamError."""
        parse = wire.expecting(expected, partial(parse_quotes, frozenset(mints)))
        return await self._api.get("/tokens/v2/search", {"query": ",".join(mints)}, parse, priority)

    async def trending(self, priority: Priority) -> Parsed[list[Mint]]:
        """Return the tokens trending over the last hour, first rank first. Raises UpstreamError."""
        return await self._api.get(
            "/tokens/v2/toptrending/1h", {"limit": _TRENDING_ROWS}, parse_trending, priority
        )


def parse_quotes(wanted: Collection[Mint], body: bytes, received: Instant) -> Parsed[dict[Mint, Quote]]:
    """Read the rows of the wanted mints; the search is fuzzy and may answer with others.

    Raises SchemaError when the answer is no list.
    """
    rows = wire.read_rows(wire.rows(body), _ROW, partial(_quote, wanted, received))
    quotes = wire.first_of_each(rows.value, lambda quote: quote.mint)
    slots = (quote.price_slot for quote in quotes.values() if quote.price_slot is not None)
    return Parsed(quotes, rows.unreadable, max(slots, default=None))


def parse_trending(body: bytes, _received: Instant) -> Parsed[list[Mint]]:
    """Read the mints in their order, each once.

    Raises SchemaError when the answer is no list.
    """
    rows = wire.read_rows(wire.rows(body), _LISTED, lambda row: wire.mint(row.id))
    return Parsed(list(dict.fromkeys(rows.value)), rows.unreadable)


def _quote(wanted: Collection[Mint], received: Instant, row: _Row) -> Quote | None:
    mint = Mint(row.id)
    if mint not in wanted:
        return None
    day = wire.optional(_DAY, row.stats24h) or _Day()
    return Quote(
        source=NAME,
        mint=mint,
        received=received,
        price_usd=wire.price(row.usd_price),
        liquidity_usd=wire.liquidity(row.liquidity),
        symbol=wire.symbol(row.symbol),
        decimals=wire.decimals(row.decimals),
        total_supply=wire.total_supply(row.total_supply),
        circulating_supply=wire.figure(row.circ_supply),
        price_slot=wire.slot(row.price_block_id),
        volume_24h_usd=day.volume(),
        price_change_24h=wire.ratio(day.price_change),
        verified=wire.optional(_YES, row.is_verified) or False,  # the key is absent where the answer is no
    )
