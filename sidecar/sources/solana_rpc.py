"""Solana JSON-RPC: supplies straight from the chain. Errors come in HTTP 200 too."""

import binascii
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.json import Decoder

from sidecar.errors import Outcome, SchemaError, UpstreamError
from sidecar.models import ChainSupply, Mint, Parsed, Priority
from sidecar.runtime.clock import Instant
from sidecar.sources import wire
from sidecar.sources.mint_account import read_supply
from sidecar.sources.source import Source

NAME: Final = "solana_rpc"
_SOL_DECIMALS: Final = 9
_DETAIL_CHARS: Final = 200
_TOO_MANY_REQUESTS: Final = "429"
_CLIENT_ERRORS: Final = frozenset({"-32600", "-32601", "-32602"})
"""Invalid request, unknown method, invalid params: asking again does not help."""


class _Error(msgspec.Struct):
    """A JSON-RPC error; providers add codes of their own, some as text."""

    code: int | str | None = None
    message: str | None = None


class _Envelope(msgspec.Struct):
    result: msgspec.Raw | UnsetType = UNSET
    error: msgspec.Raw | UnsetType = UNSET


class _Context(msgspec.Struct):
    """Where the chain was when the node answered."""

    slot: msgspec.Raw = wire.NULL


class _Accounts(msgspec.Struct):
    value: list[msgspec.Raw]
    context: msgspec.Raw = wire.NULL


class _Account(msgspec.Struct):
    """An account; its data comes with the name of its encoding."""

    owner: str
    data: tuple[str, str]
    space: int | None = None


class _Lamports(msgspec.Struct):
    total: Decimal
    circulating: Decimal


class _Supply(msgspec.Struct):
    value: _Lamports
    context: msgspec.Raw = wire.NULL


_ENVELOPE: Final = Decoder(_Envelope)
_ERROR: Final[Decoder[_Error | str | None]] = Decoder(_Error | str | None)
_ACCOUNTS: Final = Decoder(_Accounts)
_ACCOUNT: Final[Decoder[_Account | None]] = Decoder(_Account | None)
_SUPPLY: Final = Decoder(_Supply)
_CONTEXT: Final = Decoder(_Context)


class SolanaRpc(Source):
    """Supplies by `getMultipleAccounts` and `getSupply`, at commitment finalized."""

    name = NAME
    base_url = "https://api.mainnet.solana.com"
    requests_per_minute = 240
    """The public node allows 40 of one method in 10 s."""
    timeout_seconds = 10.0
    supply_batch_size: Final = 100
    """How many mints one call may ask for."""

    async def supplies(self, mints: Sequence[Mint], priority: Priority) -> Parsed[dict[Mint, ChainSupply | None]]:
        """Read the supplies of between 1 and `supply_batch_size` mints in one call.

        None: the chain answered, and it is no mint. A mint that is missing could not be read.
        Raises UpstreamError.
        """
        # Whole accounts: a dataSlice would cut off the extensions, where the UI multiplier lives.
        request = _request("getMultipleAccounts", list(mints), {"encoding": "base64", "commitment": "finalized"})
        return await self._api.post(request, partial(parse_supplies, mints), priority)

    async def sol_supply(self, priority: Priority) -> Parsed[ChainSupply]:
        """Read SOL's supply, which wrapped SOL's mint does not tell; a heavy scan for the node: ask rarely.

        Raises UpstreamError.
        """
        request = _request("getSupply", {"commitment": "finalized", "excludeNonCirculatingAccountsList": True})
        return await self._api.post(request, parse_sol_supply, priority)


def parse_supplies(
    mints: Sequence[Mint], body: bytes, received: Instant
) -> Parsed[dict[Mint, ChainSupply | None]]:
    """Read the accounts, which come in the order of the request; a mint with an unreadable account is left out.

    Raises SchemaError when the answer has another shape or length, UpstreamError when it is a JSON-RPC error.
    """
    answer = wire.decode(_ACCOUNTS, _result(body))
    raws, slot = answer.value, _slot(answer.context)
    if len(raws) != len(mints):
        raise SchemaError(f"{len(raws)} accounts for {len(mints)} mints")
    supplies: dict[Mint, ChainSupply | None] = {}
    unreadable = 0
    for mint, raw in zip(mints, raws, strict=True):
        try:
            supplies[mint] = _supply(raw, received, slot)
        except SchemaError:
            unreadable += 1
    return Parsed(supplies, unreadable, slot)


def parse_sol_supply(body: bytes, received: Instant) -> Parsed[ChainSupply]:
    """Read lamports as SOL.

    Raises SchemaError for another shape or figures that cannot be, UpstreamError when it is a JSON-RPC error.
    """
    answer = wire.decode(_SUPPLY, _result(body))
    lamports, slot = answer.value, _slot(answer.context)
    total, circulating = _sol(lamports.total), _sol(lamports.circulating)
    if circulating > total:
        raise SchemaError("more SOL circulates than there is")
    supply = ChainSupply(
        received=received, total=total, circulating=circulating, decimals=_SOL_DECIMALS, slot=slot
    )
    return Parsed(supply, slot=slot)


def _slot(context: msgspec.Raw) -> int | None:
    known = wire.optional(_CONTEXT, context)
    return None if known is None else wire.slot(known.slot)


def _request(method: str, *params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def _result(body: bytes) -> msgspec.Raw:
    envelope = wire.decode_answer(_ENVELOPE, body)
    if envelope.error is not UNSET and (error := wire.decode(_ERROR, envelope.error)) is not None:
        raise _upstream_error(error)
    if envelope.result is UNSET:
        raise SchemaError("neither a result nor an error")
    return envelope.result


def _upstream_error(error: _Error | str) -> UpstreamError:
    code, message = (error.code, error.message) if isinstance(error, _Error) else (None, error)
    text = "".join(char for char in (message or "")[:_DETAIL_CHARS] if char.isprintable())
    return UpstreamError(NAME, _outcome(str(code)), f"JSON-RPC error {code}: {text}"[:_DETAIL_CHARS])


def _outcome(code: str) -> Outcome:
    if code == _TOO_MANY_REQUESTS:
        return "rate_limited"
    return "http_4xx" if code in _CLIENT_ERRORS else "http_5xx"


def _supply(raw: msgspec.Raw, received: Instant, slot: int | None) -> ChainSupply | None:
    account = wire.decode(_ACCOUNT, raw)
    return None if account is None else read_supply(account.owner, _data(account), received, slot=slot)


def _data(account: _Account) -> bytes:
    text, encoding = account.data
    if encoding != "base64":
        raise SchemaError("account data is not in base64")
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise SchemaError("account data is no base64") from error
    if account.space not in (None, len(data)):
        raise SchemaError("account data is cut off")
    return data


def _sol(lamports: Decimal) -> Decimal:
    figure = wire.figure(lamports)
    if figure is None or figure <= 0 or figure != figure.to_integral_value():
        raise SchemaError("lamports are no positive whole number")
    return figure.scaleb(-_SOL_DECIMALS)
