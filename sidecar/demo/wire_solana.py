"""Solana JSON-RPC: HTTP 200 for its errors too, null for accounts that do not exist, lamports as integers."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from sidecar.demo.accounts import lamports, mint_account
from sidecar.demo.market import Market
from sidecar.demo.tokens import Token
from sidecar.demo.wire import Call
from sidecar.errors import InvalidMintError
from sidecar.models import WRAPPED_SOL, parse_mint

ACCOUNTS_LIMIT: Final = 100
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
_RENT_EPOCH: Final = 2**64 - 1
_NON_CIRCULATING_ACCOUNTS: Final = 119
_API_VERSION: Final = "3.1.11"

Params = list[Any]


class RpcError(Exception):
    """A JSON-RPC error object in place of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Request(msgspec.Struct):
    jsonrpc: str
    method: str
    id: str | int | None = None
    params: Params = []


def parse_request(market: Market, body: bytes) -> Call:
    """Read a request body. What is wrong with it shows in the answer, as a JSON-RPC error."""
    try:
        request = msgspec.json.decode(body, type=_Request)
    except msgspec.ValidationError:
        return Call(
            "solana_rpc", "invalid", (), lambda: _error(None, RpcError(INVALID_REQUEST, "Invalid request"))
        )
    except msgspec.DecodeError:
        return Call("solana_rpc", "invalid", (), lambda: _error(None, RpcError(PARSE_ERROR, "Parse error")))
    return Call("solana_rpc", request.method, _named_mints(request.params), lambda: _answer(market, request))


def _named_mints(params: Params) -> tuple[str, ...]:
    first = params[0] if params else None
    named = first if isinstance(first, list) else [first]
    return tuple(mint for mint in named if isinstance(mint, str))


def _answer(market: Market, request: _Request) -> dict[str, Any]:
    method = _METHODS.get(request.method, _unknown_method)
    try:
        return {"jsonrpc": "2.0", "result": method(market, request.params), "id": request.id}
    except RpcError as error:
        return _error(request.id, error)


def _error(request_id: str | int | None, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": {"code": error.code, "message": error.message}, "id": request_id}


def _with_context(market: Market, value: object) -> dict[str, Any]:
    return {"context": {"apiVersion": _API_VERSION, "slot": market.source_slot("solana_rpc")}, "value": value}


def _get_multiple_accounts(market: Market, params: Params) -> dict[str, Any]:
    match params:
        case [list(keys)] | [list(keys), dict()] if len(keys) <= ACCOUNTS_LIMIT:
            pass
        case [list(keys), *_]:
            raise RpcError(INVALID_PARAMS, f"Too many inputs provided; max {ACCOUNTS_LIMIT}")
        case _:
            raise RpcError(INVALID_PARAMS, "Invalid params: invalid type, expected a sequence")
    if _config(params).get("encoding", "base64") != "base64":
        raise RpcError(INVALID_PARAMS, "Invalid params: only base64 is simulated")
    accounts = [_account(_find(market, key)) for key in keys]
    return _with_context(market, accounts[::-1] if market.accounts_reversed else accounts)


def _get_supply(market: Market, params: Params) -> dict[str, Any]:
    sol = market.find("solana_rpc", WRAPPED_SOL) or market.tokens[WRAPPED_SOL]
    total, circulating = lamports(sol.total_supply), lamports(sol.circulating_supply)
    left_out = _config([None, *params]).get("excludeNonCirculatingAccountsList") is True
    accounts = [] if left_out else [str(WRAPPED_SOL)] * _NON_CIRCULATING_ACCOUNTS
    figures = {"total": total, "circulating": circulating, "nonCirculating": total - circulating}
    return _with_context(market, {**figures, "nonCirculatingAccounts": accounts})


def _unknown_method(_: Market, __: Params) -> object:
    raise RpcError(METHOD_NOT_FOUND, "Method not found")


def _config(params: Params) -> dict[str, Any]:
    return params[1] if len(params) > 1 and isinstance(params[1], dict) else {}


def _find(market: Market, key: object) -> Token | None:
    if not isinstance(key, str):
        raise RpcError(INVALID_PARAMS, "Invalid params: invalid type, expected a string")
    try:
        return market.find("solana_rpc", parse_mint(key))
    except InvalidMintError as error:
        raise RpcError(INVALID_PARAMS, "Invalid param: Invalid") from error


def _account(token: Token | None) -> dict[str, Any] | None:
    if token is None:
        return None
    data = mint_account(token)
    return {
        "data": [base64.b64encode(data).decode(), "base64"],
        "executable": False,
        "lamports": 1_461_600,
        "owner": token.owner,
        "rentEpoch": _RENT_EPOCH,
        "space": len(data),
    }


_METHODS: Final[Mapping[str, Callable[[Market, Params], object]]] = {
    "getMultipleAccounts": _get_multiple_accounts,
    "getSupply": _get_supply,
}
