"""What may happen to the token of a story, and to the sources that price it."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

from sidecar.demo import Fault, Source
from tests.running import WatchedMarket
from tests.stories.stage import TOKEN, Change

MINT: Final = TOKEN.mint
OFF: Final = Fault(kind="status", status=503)
GARBAGE: Final = Fault(kind="garbage")
PRICE: Final = TOKEN.price_usd


def price(usd: float) -> Change:
    """Let the truth be this price; sources without one of their own follow."""
    return lambda market: market.set_price(MINT, usd)


def says(source: Source, usd: float | None) -> Change:
    """Let one source say this price, or follow the truth again."""
    return lambda market: market.set_source_price(source, MINT, usd)


def liquidity(usd: float) -> Change:
    """Let the pool hold this much, in USD."""
    return lambda market: market.set_liquidity(MINT, usd)


def fault(source: Source, kind: Fault | None) -> Change:
    """Let a source fail, or work again."""
    return lambda market: market.faults.__setitem__(source, kind)


def forgotten(source: Source) -> Change:
    """Let a source leave the token out."""
    return lambda market: market.forget(source, MINT)


def together(*changes: Change) -> Change:
    """Do several things at the same moment."""

    def change(market: WatchedMarket) -> None:
        for one in changes:
            one(market)

    return change


def each(sources: Iterable[Source], kind: Fault | None) -> Change:
    """Let several sources fail, or work again."""
    return together(*(fault(source, kind) for source in sources))


def lagging(usd: float, old_usd: float, *sources: Source) -> Change:
    """Move the truth while some sources still say the old price."""
    return together(price(usd), *(says(source, old_usd) for source in sources))


def view(source: Source, mint: str = MINT, **changes: Any) -> Change:
    """Let a source have these fields of the token wrong, or with none be right again."""
    return lambda market: market.set_view(source, mint, **changes)


def supply(**supplies: Decimal | None) -> Change:
    """Let the truth be these supplies."""
    return lambda market: market.set_supply(MINT, **supplies)  # type: ignore[arg-type]


def unit(source: Source, raw: bool) -> Change:  # noqa: FBT001 - reads as a switch
    """Let a source price raw units, or displayed ones."""
    return lambda market: market.units.__setitem__(source, "raw" if raw else "displayed")


def stopped(*sources: Source) -> Change:
    """Let sources answer for ever with the prices and slots of a second ago: of before what happens now."""

    def change(market: WatchedMarket) -> None:
        for source in sources:
            market.stopped_at[source] = market.clock.time() - 1.0

    return change


def last_trade(market: WatchedMarket) -> None:
    market.last_trades[MINT] = market.clock.time()


def accounts_reversed(*, on: bool) -> Change:
    return lambda market: setattr(market, "accounts_reversed", on)
