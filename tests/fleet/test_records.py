"""What members tell each other: every age is right on the other side, and nonsense is refused."""

from decimal import Decimal

import msgspec
import pytest

from sidecar.fleet.records import (
    LONGEST_BYTES,
    Failed,
    Message,
    Missed,
    NonsenseError,
    Requested,
    Trending,
    UnderWay,
    Unpriced,
    Value,
    decode_list,
    decode_to_leader,
    decode_to_members,
    encode,
    encode_list,
)
from sidecar.models import ChainSupply, MarketCap, Mint
from sidecar.pricing.explain import QuoteExplanation
from sidecar.pricing.token_state import SourcedValue, TokenState
from sidecar.runtime.clock import Instant
from tests.service.tokens import JUP, SOL, WIF

SENT = Instant(1_000.0, 5_000.0)
"""The sender's monotonic clock, and Redis's."""
RECEIVED = Instant(77.0, 5_002.0)
"""Two seconds later, by the reader's monotonic clock."""
CAP = MarketCap(
    mint=JUP,
    symbol="JUP",
    price_usd=0.5,
    market_cap_usd=500.0,
    basis="total",
    fdv_usd=500.0,
    circulating_supply=None,
    total_supply=1000.0,
    liquidity_usd=4_200_000.0,
    confidence="medium",
    source="jupiter",
    supply_source="solana_rpc",
    circulating_source=None,
    timestamp=4_990.0,
)
READ = Instant(985.0, 4_985.0)
STATE = TokenState(
    chain=ChainSupply(received=READ, total=Decimal(1000)),
    chain_answered=READ,
    last_good=SourcedValue(Decimal("0.5"), "jupiter", Instant(990.0, 4_990.0)),
)
QUOTE = QuoteExplanation(
    source="jupiter", price_usd=0.5, liquidity_usd=4_200_000.0, received_monotonic=990.0, taken=True, reason=None
)
TOKEN = Value(mint=JUP, received=990.0, cap=CAP, state=STATE, explanation=(QUOTE,))


def test_a_value_arrives_with_its_age_whatever_the_clocks_say() -> None:
    found = decode_to_members(encode(TOKEN, SENT), RECEIVED)
    assert isinstance(found, Value)
    assert found.cap == CAP
    assert RECEIVED.monotonic - found.received == 12.0
    assert RECEIVED.monotonic - found.explanation[0].received_monotonic == 12.0
    assert found.state is not None
    assert found.state.chain is not None
    assert RECEIVED.monotonic - found.state.chain.received.monotonic == 17.0
    assert found.state.last_good is not None
    assert RECEIVED.monotonic - found.state.last_good.received.monotonic == 12.0


@pytest.mark.parametrize(
    "message",
    [
        UnderWay((JUP, WIF)),
        Trending((JUP,)),
        Failed(mints=(JUP,), code="overloaded", detail="over its call budget", retry_after=7),
    ],
)
def test_what_the_leader_says_arrives_as_it_was_said(message: UnderWay | Trending | Failed) -> None:
    assert decode_to_members(encode(message, SENT), RECEIVED) == message


@pytest.mark.parametrize("message", [Missed("pod-a", (JUP, WIF)), Requested("pod-a", {JUP: 7})])
def test_what_a_follower_says_arrives_as_it_was_said(message: Missed | Requested) -> None:
    assert decode_to_leader(encode(message, SENT), RECEIVED) == message


NONSENSE: list[Message] = [
    msgspec.structs.replace(TOKEN, mint=Mint("not a mint")),
    msgspec.structs.replace(TOKEN, mint=SOL),
    msgspec.structs.replace(TOKEN, cap=None),
    msgspec.structs.replace(TOKEN, cap=msgspec.structs.replace(CAP, price_usd=-1.0)),
    msgspec.structs.replace(TOKEN, cap=msgspec.structs.replace(CAP, market_cap_usd=7.0)),
    msgspec.structs.replace(TOKEN, cap=msgspec.structs.replace(CAP, symbol="x" * 65)),
    msgspec.structs.replace(TOKEN, explanation=(QUOTE,) * 9),
    msgspec.structs.replace(TOKEN, explanation=(msgspec.structs.replace(QUOTE, reason="x" * 301),)),
    Unpriced(mint=Mint("no mint"), reason="nobody prices it", received=1.0),
    Unpriced(mint=JUP, reason="x" * 301, received=1.0),
    UnderWay((Mint("no mint"),)),
    UnderWay((JUP,) * 101),
    Failed(mints=(JUP,), code="overloaded", detail="x" * 301),
    Failed(mints=(JUP,), code="overloaded", detail="", retry_after=0),
    Failed(mints=(Mint("no mint"),), code="overloaded", detail=""),
]


@pytest.mark.parametrize("message", NONSENSE)
def test_nonsense_is_refused(message: Message) -> None:
    with pytest.raises(NonsenseError):
        decode_to_members(encode(message, SENT), RECEIVED)


@pytest.mark.parametrize(
    "message", [Missed("x" * 65, (JUP,)), Missed("pod", (Mint("no"),)), Requested("pod", {JUP: 0})]
)
def test_nonsense_of_a_follower_is_refused(message: Missed | Requested) -> None:
    with pytest.raises(NonsenseError):
        decode_to_leader(encode(message, SENT), RECEIVED)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\n",
        b"garbage",
        b"{}\n{}",
        b"[" * 10_000,
        encode(TOKEN, SENT) + b" " * LONGEST_BYTES,
        b'{"type":"taken","at":[1,2]}\n{"type":"later"}',
        b"\xff\n\xfe",
    ],
)
def test_what_cannot_be_read_is_refused(record: bytes) -> None:
    for decode in (decode_to_members, decode_to_leader):
        with pytest.raises(NonsenseError):
            decode(record, RECEIVED)


def test_a_record_from_the_future_is_refused() -> None:
    with pytest.raises(NonsenseError):
        decode_to_members(encode(TOKEN, SENT._replace(unix=RECEIVED.unix + 1.1)), RECEIVED)
    ahead = decode_to_members(encode(TOKEN, SENT._replace(unix=RECEIVED.unix + 0.9)), RECEIVED)
    assert isinstance(ahead, Value)


def test_a_popular_list_is_kept_sorted_and_checked() -> None:
    text = encode_list([WIF, JUP])
    assert decode_list(text.encode()) == tuple(sorted((JUP, WIF)))
    for bad in (b"", b"{}", b'{"type":"popular","mints":["no mint"]}'):
        with pytest.raises(NonsenseError):
            decode_list(bad)
