"""Whatever an upstream sends, a parser raises our errors only and lets no senseless figure through."""

import copy
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import SchemaError, UpstreamError
from sidecar.models import USDC, ChainSupply, Parsed, Quote, parse_mint
from sidecar.runtime.clock import Instant
from sidecar.sources import dexscreener, geckoterminal, jupiter, solana_rpc
from sidecar.sources.mint_account import SPL_2022_PROGRAM, SPL_PROGRAM, read_supply
from tests.sources.accounts import account, extended, mint_bytes, scaled
from tests.sources.helpers import ALPHA, BETA, RECEIVED
from tests.sources.test_dexscreener import pair
from tests.sources.test_geckoterminal import pool, token
from tests.sources.test_jupiter import row
from tests.sources.test_solana_rpc import answer

Parse = Callable[[bytes, Instant], Parsed[Any]]
Path = tuple[str | int, ...]

WANTED = frozenset({ALPHA, BETA})
SOURCES: Final[dict[str, tuple[Parse, Any]]] = {
    "jupiter quotes": (partial(jupiter.parse_quotes, WANTED), [row(), row(BETA)]),
    "jupiter trending": (jupiter.parse_trending, [row(), row(BETA)]),
    "dexscreener quotes": (partial(dexscreener.parse_quotes, WANTED), [pair(), pair(BETA, ALPHA)]),
    "dexscreener legacy": (partial(dexscreener.parse_quotes, WANTED), {"pairs": [pair(), pair(BETA, ALPHA)]}),
    "dexscreener boosts": (dexscreener.parse_boosts, [{"chainId": "solana", "tokenAddress": ALPHA}]),
    "geckoterminal quotes": (
        partial(geckoterminal.parse_quotes, WANTED),
        {"data": [token(pools=["p"]), token(BETA)], "included": [pool("p", ALPHA, USDC)]},
    ),
    "geckoterminal trending": (geckoterminal.parse_trending, {"data": [pool("p", ALPHA, USDC)]}),
    "accounts": (
        partial(solana_rpc.parse_supplies, [ALPHA, BETA]),
        answer([account(), account(extended(scaled(1.5, 2.0, 9)), SPL_2022_PROGRAM)]),
    ),
    "sol supply": (solana_rpc.parse_sol_supply, answer({"total": 7_000_000_000, "circulating": 6_000_000_000})),
}

every_source = pytest.mark.parametrize(("parse", "good"), SOURCES.values(), ids=SOURCES.keys())
awkward = st.sampled_from(
    [
        *("NaN", "sNaN", "-Infinity", "1e41", "1e-41", "1e999", "1e99999999999999999999", "-0", "", " ", "٣"),
        *(0, -1, 10**400, True, 1e308, float("nan"), float("-inf"), "9" * 500, "\ud800", ALPHA, [[]], {"usd": {}}),
    ]
)
anything = st.recursive(
    awkward | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def assert_figure(figure: Decimal | None) -> None:
    assert figure is None or (figure.is_finite() and -40 <= figure.adjusted() <= 40)


def assert_quote(quote: Quote) -> None:
    assert quote.mint in WANTED
    for figure in (quote.price_usd, quote.liquidity_usd, quote.total_supply, quote.circulating_supply):
        assert_figure(figure)
    assert quote.liquidity_usd is None or quote.liquidity_usd >= 0
    assert quote.total_supply is None or quote.total_supply > 0
    assert quote.symbol is None or (quote.symbol.isprintable() and 1 <= len(quote.symbol) <= 32)


def assert_supply(supply: ChainSupply | None) -> None:
    if supply is None:
        return
    assert_figure(supply.total)
    assert supply.total >= 0
    assert supply.circulating is None or 0 < supply.circulating <= supply.total
    for multiplier in (supply.scaled.multiplier, supply.scaled.next_multiplier) if supply.scaled else ():
        assert_figure(multiplier)
        assert multiplier > 0


def assert_sound(value: object) -> None:
    """Check a parser's result, whichever it is."""
    if isinstance(value, dict):
        for mint, item in value.items():
            assert mint in WANTED
            assert_quote(item) if isinstance(item, Quote) else assert_supply(item)
    elif isinstance(value, list):
        assert [parse_mint(mint) for mint in value] == list(dict.fromkeys(value))
    else:
        assert isinstance(value, ChainSupply)
        assert_supply(value)


def check(parse: Parse, body: bytes) -> None:
    try:
        parsed = parse(body, RECEIVED)
    except (SchemaError, UpstreamError):
        return
    assert parsed.unreadable >= 0
    assert_sound(parsed.value)


def paths(value: object, here: Path = ()) -> Iterator[Path]:
    """Walk the way to every value inside a payload."""
    yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*here, key))


def changed(payload: Any, path: Path, value: object) -> Any:
    """Return a copy of the payload with another value at a path."""
    if not path:
        return value
    result = copy.deepcopy(payload)
    inner = result
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return result


def to_json(value: object) -> bytes:
    return json.dumps(value).encode()


@every_source
def test_a_good_answer_is_read_whole(parse: Parse, good: Any) -> None:
    parsed = parse(to_json(good), RECEIVED)
    assert parsed.unreadable == 0
    assert parsed.value
    assert_sound(parsed.value)


@every_source
@given(body=st.binary(max_size=200))
def test_any_bytes_at_all(parse: Parse, good: Any, body: bytes) -> None:
    del good
    check(parse, body)


@every_source
@given(value=anything)
def test_any_json_at_all(parse: Parse, good: Any, value: object) -> None:
    check(parse, to_json(value))
    check(parse, to_json([value, good]))


@every_source
@given(data=st.data(), value=anything)
def test_a_good_answer_with_one_value_replaced(
    parse: Parse, good: Any, data: st.DataObject, value: object
) -> None:
    path = data.draw(st.sampled_from(list(paths(good))))
    check(parse, to_json(changed(good, path, value)))


@every_source
@given(at=st.integers(0, 10**6), byte=st.binary(max_size=3))
def test_a_good_answer_with_some_bytes_overwritten(parse: Parse, good: Any, at: int, byte: bytes) -> None:
    body = to_json(good)
    at %= len(body)
    check(parse, body[:at] + byte + body[at + 1 :])


@given(
    owner=st.sampled_from([SPL_PROGRAM, SPL_2022_PROGRAM]),
    head=st.binary(min_size=82, max_size=82) | st.just(mint_bytes()),
    rest=st.binary(max_size=150),
)
def test_any_account_data_at_all(owner: str, head: bytes, rest: bytes) -> None:
    for data in (head, head + rest, extended(rest, base=head)):
        try:
            supply = read_supply(owner, data, RECEIVED)
        except SchemaError:
            continue
        assert_supply(supply)
