from decimal import Decimal

import pytest

from sidecar.demo import SOURCES, Market, Token
from sidecar.demo.tokens import address_of
from sidecar.models import parse_mint
from tests.clock import FakeClock
from tests.demo.upstreams import JUP, SOL, UNKNOWN, USDC


def test_the_same_seed_makes_the_same_market_and_another_seed_another(clock: FakeClock) -> None:
    one, same, other = Market(3, 80, clock), Market(3, 80, clock), Market(4, 80, clock)
    assert one.tokens == same.tokens
    assert [one.price(mint) for mint in one.tokens] == [same.price(mint) for mint in same.tokens]
    assert len(set(one.tokens) & set(other.tokens)) == 13
    assert one.price(SOL) != other.price(SOL)


def test_a_larger_market_begins_with_the_smaller_one(clock: FakeClock) -> None:
    small, large = Market(3, 50, clock), Market(3, 90, clock)
    assert list(large.tokens.items())[:50] == list(small.tokens.items())
    assert len(large.tokens) == 90


def test_the_fixed_tokens_are_always_there(clock: FakeClock) -> None:
    assert len(Market(1, 0, clock).tokens) == 13


def test_every_mint_is_base58_of_32_bytes(market: Market) -> None:
    assert [parse_mint(mint) for mint in market.tokens] == list(market.tokens)


def test_prices_move_with_the_clock_alone_and_stay_within_their_range(market: Market, clock: FakeClock) -> None:
    first = market.price(SOL)
    assert market.price(SOL) == first
    explanation = set()
    for _ in range(200):
        clock.advance(600)
        explanation.add(market.price(SOL))
    assert len(explanation) == 200
    assert 128.4 * 0.95 < min(explanation) < max(explanation) < 128.4 * 1.06


def test_sources_differ_from_the_truth_by_less_than_one_percent_and_from_each_other(clock: FakeClock) -> None:
    market = Market(1, 60, clock)
    for mint in market.tokens:
        said = [market.source_price(source, mint) / market.price(mint) for source in SOURCES]
        assert all(0.99 < factor < 1.01 for factor in said)
        assert len(set(said)) == len(said)


def test_without_spread_every_source_says_the_truth(market: Market) -> None:
    assert market.source_price("dexscreener", JUP) == market.price(JUP)


def test_a_price_can_be_fixed_and_let_go(market: Market, clock: FakeClock) -> None:
    moving = market.price(JUP)
    market.set_price(JUP, 0.5)
    assert market.source_price("jupiter", JUP) == 0.5
    clock.advance(1000)
    assert market.price(JUP) == 0.5
    market.set_price(JUP, None)
    clock.advance(-1000)
    assert market.price(JUP) == moving


def test_one_source_can_be_stuck_on_a_price(market: Market) -> None:
    market.set_price(JUP, 0.5)
    market.set_source_price("dexscreener", JUP, 7.0)
    assert [market.source_price(source, JUP) for source in SOURCES] == [0.5, 7.0, 0.5, 0.5]
    market.set_source_price("dexscreener", JUP, None)
    assert market.source_price("dexscreener", JUP) == 0.5


def test_the_true_market_cap_is_price_times_circulating_supply_or_total_where_unknown(market: Market) -> None:
    market.set_price(JUP, 2.0)
    market.set_supply(JUP, total=Decimal(100), circulating=Decimal(40))
    assert market.market_cap(JUP) == 80.0
    market.set_supply(JUP, circulating=None)
    assert market.market_cap(JUP) == 200.0


def test_what_the_market_does_not_have_cannot_be_changed(market: Market) -> None:
    with pytest.raises(KeyError):
        market.set_price(UNKNOWN, 1.0)
    with pytest.raises(KeyError):
        market.forget("jupiter", UNKNOWN)


def test_a_token_can_be_added(market: Market) -> None:
    mint = address_of("added by a test")
    token = Token(
        mint=mint,
        symbol="NEW",
        name="New",
        decimals=6,
        price_usd=3.0,
        total_supply=Decimal(5),
        liquidity_usd=1e5,
        volatility=0.0,
    )
    market.add(token)
    assert market.market_cap(mint) == 15.0
    assert market.find("jupiter", mint) == token


def test_a_source_forgets_and_remembers(market: Market) -> None:
    market.forget("jupiter", USDC)
    assert market.find("jupiter", USDC) is None
    assert market.find("dexscreener", USDC) is not None
    market.remember("jupiter", USDC)
    assert market.find("jupiter", USDC) is not None


def test_trending_changes_every_ten_minutes_or_when_told(market: Market, clock: FakeClock) -> None:
    first = market.trending("jupiter")
    clock.advance(599 - clock.time() % 600)
    assert market.trending("jupiter") == first
    clock.advance(1)
    assert market.trending("jupiter") != first
    market.set_trending("jupiter", (parse_mint(JUP),))
    assert market.trending("jupiter") == (JUP,)
    market.set_trending("jupiter", None)
    assert len(market.trending("jupiter")) > 50


def test_slots_advance_with_time(market: Market, clock: FakeClock) -> None:
    slot = market.slot
    clock.advance(4)
    assert market.slot == slot + 10


def test_the_log_is_bounded_and_the_count_is_not(market: Market) -> None:
    for _ in range(10_001):
        market.record("jupiter", "/tokens/v2/search", (SOL,))
    assert (market.calls["jupiter"], len(market.log)) == (10_001, 10_000)
    assert market.log[-1] == ("jupiter", "/tokens/v2/search", (SOL,))


def test_a_source_can_lag_and_can_stop_with_price_and_slot(market: Market, clock: FakeClock) -> None:
    market.set_price(JUP, 0.5)
    slot = market.slot
    clock.advance(60)
    market.set_price(JUP, 0.8)
    market.lag_seconds["dexscreener"] = 30.0
    assert [market.source_price(source, JUP) for source in ("jupiter", "dexscreener")] == [0.8, 0.5]
    assert (market.source_slot("jupiter"), market.source_slot("dexscreener")) == (slot + 150, slot + 75)
    market.stopped_at["jupiter"] = clock.time()
    clock.advance(60)
    market.set_price(JUP, 0.9)
    assert [market.source_price(source, JUP) for source in ("jupiter", "dexscreener")] == [0.8, 0.8]
    assert market.source_slot("jupiter") == slot + 150


def test_jupiter_goes_on_with_the_price_of_the_last_trade(market: Market, clock: FakeClock) -> None:
    market.set_price(JUP, 0.5)
    market.last_trades[JUP] = clock.time()
    slot = market.slot
    clock.advance(600)
    market.set_price(JUP, 0.8)
    assert (market.source_price("jupiter", JUP), market.source_slot("jupiter", JUP)) == (0.5, slot)
    assert market.source_price("dexscreener", JUP) == 0.8
    assert market.source_slot("jupiter", SOL) == slot + 1500


def test_one_source_can_have_a_token_wrong(market: Market) -> None:
    market.set_view("jupiter", JUP, liquidity_usd=5.0)
    seen = [
        token.liquidity_usd for token in (market.find("jupiter", JUP), market.find("dexscreener", JUP)) if token
    ]
    assert seen == [5.0, market.tokens[JUP].liquidity_usd]
    market.set_view("jupiter", JUP)
    assert market.find("jupiter", JUP) == market.tokens[JUP]


def test_geckoterminal_prices_raw_units_and_dexscreener_what_it_is_told_to(market: Market) -> None:
    scaled = [token for token in market.tokens.values() if token.scaled is not None]
    displayed = next(token for token in scaled if not token.priced_unscaled)
    unscaled = next(token for token in scaled if token.priced_unscaled)
    assert displayed.scaled is not None
    usd, multiplier = market.price(displayed.mint), float(displayed.scaled.multiplier)
    quoted = [
        market.quoted_price(source, displayed.mint) for source in ("jupiter", "dexscreener", "geckoterminal")
    ]
    assert quoted == [usd, usd, usd * multiplier]
    market.units["dexscreener"] = "raw"
    assert market.quoted_price("dexscreener", displayed.mint) == usd * multiplier
    assert market.quoted_price("geckoterminal", unscaled.mint) == market.price(unscaled.mint)
