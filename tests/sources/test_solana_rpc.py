import base64
from decimal import Decimal
from typing import Any

import pytest

from sidecar.errors import SchemaError, UpstreamError
from sidecar.models import ChainSupply, Priority
from sidecar.sources.mint_account import SPL_2022_PROGRAM
from sidecar.sources.solana_rpc import SolanaRpc, parse_sol_supply, parse_supplies
from tests.sources.accounts import account, extended, mint_bytes, scaled
from tests.sources.helpers import ALPHA, BETA, DEEP, GAMMA, RECEIVED, FakeUpstream, encode

MINTS = [ALPHA, BETA, GAMMA]
DATA = base64.b64encode(mint_bytes()).decode()


def answer(value: object) -> dict[str, Any]:
    context = {"apiVersion": "3.1.11", "slot": 410000000}
    return {"jsonrpc": "2.0", "id": 1, "result": {"context": context, "value": value}}


def test_accounts_are_read_in_the_order_of_the_request() -> None:
    accounts = [account(mint_bytes(15, 1)), None, account(extended(scaled(2.0, 2.0, 0)), SPL_2022_PROGRAM)]
    parsed = parse_supplies(MINTS, encode(answer(accounts)), RECEIVED)
    totals = {mint: supply and str(supply.total) for mint, supply in parsed.value.items()}
    assert (totals, parsed.unreadable) == ({ALPHA: "1.5", BETA: None, GAMMA: "1234.567890"}, 0)
    slots = [supply and (supply.decimals, supply.slot) for supply in parsed.value.values()]
    assert (slots, parsed.slot) == ([(1, 410000000), None, (6, 410000000)], 410000000)
    third = parsed.value[GAMMA]
    assert third is not None
    assert third.scaled is not None
    assert third.scaled.at(RECEIVED.unix) == 2


@pytest.mark.parametrize("context", [None, {}, 7, {"slot": None}, {"slot": "x"}, {"slot": -5}])
def test_an_answer_without_a_slot_is_read_all_the_same(context: object) -> None:
    body = answer([account()])
    body["result"]["context"] = context
    parsed = parse_supplies([ALPHA], encode(body), RECEIVED)
    assert (parsed.value[ALPHA] is None, parsed.slot) == (False, None)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(7, id="a number"),
        pytest.param({}, id="no fields"),
        pytest.param(account(owner=None), id="no owner"),  # type: ignore[arg-type]
        pytest.param(account(data=None) | {"data": None}, id="no data"),
        pytest.param(account() | {"data": {"program": "spl-token", "parsed": {}}}, id="jsonParsed, not asked for"),
        pytest.param(account() | {"data": [DATA, "base64+zstd"]}, id="another encoding"),
        pytest.param(account() | {"data": [DATA]}, id="no encoding"),
        pytest.param(account() | {"data": [DATA[:4] + "!" + DATA[4:], "base64"]}, id="no base64"),
        pytest.param(account() | {"data": ["é", "base64"]}, id="no ASCII"),
        pytest.param(account(space=866), id="data cut off"),
        pytest.param(account(extended(scaled(0.0, 1.0, 0)), SPL_2022_PROGRAM), id="a multiplier of zero"),
    ],
)
def test_an_unreadable_account_is_neither_a_supply_nor_no_mint(bad: object) -> None:
    parsed = parse_supplies([ALPHA, BETA], encode(answer([bad, None])), RECEIVED)
    assert (parsed.value, parsed.unreadable) == ({BETA: None}, 1)


@pytest.mark.parametrize("count", [0, 2, 4])
def test_another_number_of_accounts_than_asked_for_is_a_schema_error(count: int) -> None:
    with pytest.raises(SchemaError, match=f"{count} accounts for 3 mints"):
        parse_supplies(MINTS, encode(answer([None] * count)), RECEIVED)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"jsonrpc":"2.0","id":1,"result":null}',
        b'{"result":{"value":null}}',
        b'{"result":{"value":{}}}',
        b'{"error":7}',
        b'{"error":{"code":[]}}',
        b'{"result":' + DEEP,
    ],
)
def test_another_shape_is_a_schema_error(body: bytes) -> None:
    with pytest.raises(SchemaError):
        parse_supplies(MINTS, body, RECEIVED)
    with pytest.raises(SchemaError):
        parse_sol_supply(body, RECEIVED)


@pytest.mark.parametrize(
    ("error", "outcome", "detail"),
    [
        ({"code": -32602, "message": "Too many inputs"}, "http_4xx", "JSON-RPC error -32602: Too many inputs"),
        ({"code": -32600, "message": "x"}, "http_4xx", "JSON-RPC error -32600: x"),
        ({"code": -32601, "message": "x"}, "http_4xx", "JSON-RPC error -32601: x"),
        ({"code": 429, "message": "slow down"}, "rate_limited", "JSON-RPC error 429: slow down"),
        ({"code": "429"}, "rate_limited", "JSON-RPC error 429: "),
        (
            {"code": -32005, "message": "Node is behind", "data": {"numSlotsBehind": None}},
            "http_5xx",
            "JSON-RPC error -32005: Node is behind",
        ),
        ({"code": -32016, "message": "x"}, "http_5xx", "JSON-RPC error -32016: x"),
        ({"message": "a\nb\x1b[31m"}, "http_5xx", "JSON-RPC error None: ab[31m"),
        ("over capacity", "http_5xx", "JSON-RPC error None: over capacity"),
        ({"code": 1, "message": "y" * 5000}, "http_5xx", "JSON-RPC error 1: " + "y" * 182),
    ],
)
def test_a_json_rpc_error_is_an_upstream_error(error: object, outcome: str, detail: str) -> None:
    body = encode({"jsonrpc": "2.0", "id": 1, "error": error})
    for parse in (lambda: parse_supplies(MINTS, body, RECEIVED), lambda: parse_sol_supply(body, RECEIVED)):
        with pytest.raises(UpstreamError) as caught:
            parse()
        assert (caught.value.source, caught.value.outcome, caught.value.detail) == ("solana_rpc", outcome, detail)


def test_an_error_of_null_is_none() -> None:
    parsed = parse_supplies([ALPHA], encode(answer([None]) | {"error": None}), RECEIVED)
    assert parsed.value == {ALPHA: None}


def lamports(total: object, circulating: object) -> bytes:
    return encode(answer({"total": total, "circulating": circulating, "nonCirculatingAccounts": []}))


@pytest.mark.parametrize("total", [631_122_767_123_456_789, "631122767123456789"])
def test_the_supply_of_sol_is_exact(total: object) -> None:
    parsed = parse_sol_supply(lamports(total, 583_094_795_000_000_001), RECEIVED)
    assert parsed.value == ChainSupply(
        received=RECEIVED,
        total=Decimal("631122767.123456789"),
        circulating=Decimal("583094795.000000001"),
        decimals=9,
        slot=410000000,
    )


@pytest.mark.parametrize(
    ("total", "circulating"),
    [(10, 11), (0, 0), (10, 0), (10, -1), (-5, -6), ("NaN", 1), (10.5, 1), ("1e60", 1), (None, 1), (10, None)],
)
def test_a_supply_of_sol_that_cannot_be_is_a_schema_error(total: object, circulating: object) -> None:
    with pytest.raises(SchemaError):
        parse_sol_supply(lamports(total, circulating), RECEIVED)


async def test_supplies_are_whole_accounts_in_one_call() -> None:
    upstream = FakeUpstream(answer([None, account()]))
    parsed = await SolanaRpc(upstream.as_upstream()).supplies([ALPHA, BETA], Priority.MISS)
    assert [mint for mint, supply in parsed.value.items() if supply] == [BETA]
    options = {"encoding": "base64", "commitment": "finalized"}
    assert [(encode(asked.payload), asked.priority) for asked in upstream.asked] == [
        (
            encode(
                {"jsonrpc": "2.0", "id": 1, "method": "getMultipleAccounts", "params": [[ALPHA, BETA], options]}
            ),
            Priority.MISS,
        )
    ]


async def test_the_supply_of_sol_is_asked_without_the_list_of_accounts() -> None:
    upstream = FakeUpstream(answer({"total": 5_000_000_000, "circulating": 4_000_000_000}))
    parsed = await SolanaRpc(upstream.as_upstream()).sol_supply(Priority.POPULAR)
    assert (str(parsed.value.total), str(parsed.value.circulating)) == ("5.000000000", "4.000000000")
    options = {"commitment": "finalized", "excludeNonCirculatingAccountsList": True}
    assert [encode(asked.payload) for asked in upstream.asked] == [
        encode({"jsonrpc": "2.0", "id": 1, "method": "getSupply", "params": [options]})
    ]
