"""What `?explain=true` shows of the sources that a batch had no answer from."""

import pytest

from sidecar.config.settings import Settings, TrackingSettings
from sidecar.demo import Fault
from tests.running import Rig, WatchedMarket, running
from tests.service.tokens import BONK

QUIET = Settings(tracking=TrackingSettings(trending_tokens=0))
PRICE = 1e-5
OTHER = "agrees"
DOWN = Fault(kind="status", status=503)
Row = tuple[str, float | None, object, bool, str | None]


def bonk_stands_still(market: WatchedMarket) -> None:
    market.set_price(BONK, PRICE)


def rows(rig: Rig) -> list[Row]:
    """Return source, price, age in seconds, whether it was taken, and why not."""
    entry = rig.service.engine.cache.get(BONK)
    assert entry is not None
    now = rig.clock.monotonic()
    return [
        (row.source, row.price_usd, now - row.received_monotonic, row.taken, row.reason)
        for row in entry.explanation
    ]


async def test_a_source_keeps_its_quote_when_it_fails_leaves_the_token_out_or_is_not_asked() -> None:
    async with running(QUIET, prepare=bonk_stands_still) as rig:
        await rig.run_for(120)
        await rig.next_refresh()
        assert rows(rig) == [("jupiter", PRICE, 0, True, None), ("dexscreener", PRICE, 0, False, OTHER)]
        received = rig.clock.monotonic()

        rig.market.faults["jupiter"] = DOWN
        rig.market.forget("dexscreener", BONK)
        await rig.next_refresh()
        age = pytest.approx(rig.clock.monotonic() - received)
        assert rows(rig) == [
            ("jupiter", PRICE, age, False, "answered 503"),
            ("dexscreener", PRICE, age, False, "left out"),
            ("geckoterminal", PRICE, 0, True, None),
        ]

        rig.market.faults["jupiter"] = None
        rig.market.remember("dexscreener", BONK)
        assert await rig.run_until(lambda: rows(rig)[2][4] == "not asked since", 600)
        assert [(source, price, taken) for source, price, _, taken, _ in rows(rig)] == [
            ("jupiter", PRICE, True),
            ("dexscreener", PRICE, False),
            ("geckoterminal", PRICE, False),
        ]


async def test_a_source_that_has_never_priced_a_token_says_what_it_did_instead() -> None:
    def prepare(market: WatchedMarket) -> None:
        bonk_stands_still(market)
        market.faults["jupiter"] = DOWN
        market.forget("dexscreener", BONK)

    async with running(QUIET, prepare=prepare) as rig:
        await rig.settle()
        assert rows(rig) == [
            ("jupiter", None, 0, False, "answered 503"),
            ("dexscreener", None, 0, False, "left out"),
            ("geckoterminal", PRICE, 0, True, None),
        ]


async def test_the_quote_behind_a_value_that_is_served_on_stays_the_one_taken() -> None:
    async with running(QUIET, prepare=bonk_stands_still) as rig:
        await rig.run_for(120)
        await rig.next_refresh()
        received = rig.clock.monotonic()
        rig.market.faults["jupiter"] = DOWN
        rig.market.set_source_price("dexscreener", BONK, 100 * PRICE)
        rig.market.forget("geckoterminal", BONK)
        await rig.next_refresh()
        age = pytest.approx(rig.clock.monotonic() - received)
        assert rows(rig) == [
            ("jupiter", PRICE, age, True, None),
            ("dexscreener", 100 * PRICE, 0, False, "jump"),
            ("geckoterminal", None, 0, False, "left out"),
        ]
