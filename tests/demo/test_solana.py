import base64
import struct
from decimal import Decimal
from typing import Any

import pytest

from sidecar.demo import Market
from sidecar.demo.accounts import lamports
from sidecar.demo.tokens import LEGACY_PROGRAM, TOKEN_2022_PROGRAM
from tests.clock import FakeClock
from tests.demo.upstreams import BONK, PYUSD, SOL, STSOL, UNKNOWN, USDC, WETH, Upstreams

ENCODING = {"encoding": "base64"}


def supply_of(account: Any) -> tuple[int, int]:
    """Read raw supply and decimals of a base64 account."""
    data = account_data(account)
    supply, decimals, initialized = struct.unpack_from("<QBB", data, 36)
    assert initialized == 1
    return supply, decimals


def account_data(account: Any) -> bytes:
    text, encoding = account["data"]
    assert encoding == "base64"
    data = base64.b64decode(text, validate=True)
    assert account["space"] == len(data)
    return data


def extensions_of(account: Any) -> dict[int, bytes]:
    data, found, offset = account_data(account), {}, 166
    assert data[82:166] == bytes(83) + b"\x01"
    while offset < len(data):
        kind, size = struct.unpack_from("<HH", data, offset)
        found[kind] = data[offset + 4 : offset + 4 + size]
        offset += 4 + size
    assert offset == len(data)
    return found


async def accounts(upstreams: Upstreams, *mints: str) -> Any:
    return (await upstreams.rpc("getMultipleAccounts", list(mints), ENCODING))["result"]["value"]


async def test_accounts_keep_the_order_asked_and_are_null_where_there_is_none(upstreams: Upstreams) -> None:
    weth, none, bonk, again, stsol = await accounts(upstreams, WETH, UNKNOWN, BONK, WETH, STSOL)
    assert none is None
    assert supply_of(weth) == (4_187_790_331_245, 8)
    assert supply_of(bonk) == (8_799_331_022_755_418_207, 5)
    assert again == weth
    assert supply_of(stsol) == (74_310_220_118_734, 9)
    assert (bonk["owner"], bonk["space"], bonk["rentEpoch"]) == (LEGACY_PROGRAM, 82, 2**64 - 1)


async def test_an_answer_has_the_id_of_its_request_and_the_slot(market: Market, upstreams: Upstreams) -> None:
    answer = await upstreams.rpc("getMultipleAccounts", [USDC])
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", 5)
    assert answer["result"]["context"] == {"apiVersion": "3.1.11", "slot": market.slot}


async def test_wrapped_sols_mint_says_zero_and_get_supply_the_truth(upstreams: Upstreams) -> None:
    [sol] = await accounts(upstreams, SOL)
    assert supply_of(sol) == (0, 9)
    value = (await upstreams.rpc("getSupply", {"excludeNonCirculatingAccountsList": True}))["result"]["value"]
    assert value == {
        "total": 631_122_767_318_204_511,
        "circulating": 583_094_795_120_447_903,
        "nonCirculating": 48_027_972_197_756_608,
        "nonCirculatingAccounts": [],
    }


async def test_the_accounts_that_do_not_circulate_are_listed_unless_excluded(upstreams: Upstreams) -> None:
    value = (await upstreams.rpc("getSupply"))["result"]["value"]
    assert len(value["nonCirculatingAccounts"]) == 119


async def test_pyusd_is_a_token_2022_mint_with_many_extensions(upstreams: Upstreams) -> None:
    [account] = await accounts(upstreams, PYUSD)
    assert (account["owner"], account["space"]) == (TOKEN_2022_PROGRAM, 866)
    sizes = {kind: len(value) for kind, value in extensions_of(account).items()}
    assert sizes == {3: 32, 12: 32, 1: 108, 4: 65, 16: 129, 14: 64, 18: 64, 19: 174}
    assert supply_of(account) == (705_512_098_664_031, 6)


async def test_scaled_ui_amount_holds_both_multipliers_and_when_they_change(
    market: Market, clock: FakeClock, upstreams: Upstreams
) -> None:
    token = next(t for t in market.tokens.values() if t.scaled is not None and not t.priced_unscaled)
    assert token.scaled is not None
    now = token.scaled.multiplier
    [account] = await accounts(upstreams, token.mint)
    _, multiplier, starts, following = struct.unpack("<32sdqd", extensions_of(account)[25])
    assert (multiplier, starts, following) == (float(now), 1_900_000_000, float(2 * now))
    assert supply_of(account) == (int(token.total_supply * 10**8), 8)
    [row] = await upstreams.search([token.mint])
    assert row["totalSupply"] == float(token.total_supply * now)
    clock.advance(1_900_000_000 - clock.time())
    [row] = await upstreams.search([token.mint])
    assert row["totalSupply"] == float(token.total_supply * now * 2)


async def test_some_sources_ignore_the_multiplier(market: Market, upstreams: Upstreams) -> None:
    token = next(t for t in market.tokens.values() if t.scaled is not None and t.priced_unscaled)
    [row] = await upstreams.search([token.mint])
    assert row["totalSupply"] == float(token.total_supply)


async def test_interest_bearing_has_its_52_bytes(market: Market, upstreams: Upstreams) -> None:
    token = next(t for t in market.tokens.values() if t.extensions and t.extensions[0][0] == 10)
    [account] = await accounts(upstreams, token.mint)
    _, since, rate_before, updated, rate = struct.unpack("<32sqhqh", extensions_of(account)[10])
    assert (since, updated) == (1_780_000_000, 1_780_000_000)
    assert 100 <= rate == rate_before < 600


async def test_curve_mints_belong_to_either_program(market: Market, upstreams: Upstreams) -> None:
    curves = [token.mint for token in market.tokens.values() if token.launchpad is not None]
    found = await accounts(upstreams, *curves)
    assert {account["owner"] for account in found} == {LEGACY_PROGRAM, TOKEN_2022_PROGRAM}
    assert {supply_of(account) for account in found} == {(10**15, 6)}


async def test_a_supply_that_was_set_is_on_chain(market: Market, upstreams: Upstreams) -> None:
    market.set_supply(USDC, total=Decimal("12.5"))
    [account] = await accounts(upstreams, USDC)
    assert supply_of(account) == (12_500_000, 6)


async def test_a_forgotten_account_is_null(market: Market, upstreams: Upstreams) -> None:
    market.forget("solana_rpc", USDC)
    assert await accounts(upstreams, USDC, BONK) != [None, None]
    assert (await accounts(upstreams, USDC, BONK))[0] is None


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("getMultipleAccounts", [[USDC] * 101], -32602),
        ("getMultipleAccounts", [["notamint"]], -32602),
        ("getMultipleAccounts", [[5]], -32602),
        ("getMultipleAccounts", [USDC], -32602),
        ("getMultipleAccounts", [], -32602),
        ("getMultipleAccounts", [[USDC], {"encoding": "jsonParsed"}], -32602),
        ("getMultipleAccounts", [[None]], -32602),
        ("getBlock", [1], -32601),
    ],
)
async def test_errors_are_json_rpc_errors(upstreams: Upstreams, method: str, params: list[Any], code: int) -> None:
    answer = await upstreams.rpc(method, *params)
    assert (answer["error"]["code"], answer["id"]) == (code, 5)
    assert "result" not in answer


async def test_a_hundred_accounts_are_answered(upstreams: Upstreams) -> None:
    assert len(await accounts(upstreams, *[USDC] * 100)) == 100


async def test_what_is_no_request_is_told_apart_from_what_is_no_json(upstreams: Upstreams) -> None:
    assert (await upstreams.post(b"{"))["error"]["code"] == -32700
    assert (await upstreams.post([{"jsonrpc": "2.0", "id": 1, "method": "getSupply"}]))["error"]["code"] == -32600


async def test_calls_are_logged_by_method(market: Market, upstreams: Upstreams) -> None:
    await accounts(upstreams, USDC, BONK)
    await upstreams.rpc("getSupply")
    assert [call[1:] for call in market.log] == [
        ("getMultipleAccounts", (USDC, BONK)),
        ("getSupply", ()),
    ]


def test_an_unknown_supply_of_sol_is_no_lamports() -> None:
    assert (lamports(None), lamports(Decimal("1.5"))) == (0, 1_500_000_000)


async def test_accounts_can_come_in_the_wrong_order(market: Market, upstreams: Upstreams) -> None:
    right = await accounts(upstreams, USDC, BONK)
    market.accounts_reversed = True
    assert await accounts(upstreams, USDC, BONK) == right[::-1]
