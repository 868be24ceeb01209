"""What members of a fleet tell each other: when it was said, then one message, a line of JSON each.

A value travels as the snapshot's record and is checked as it is there. Ages are told in the sender's monotonic
time, the time since it was said in Redis's.
"""

from collections.abc import Iterable
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from sidecar.errors import InvalidMintError
from sidecar.models import Mint, parse_mint
from sidecar.pricing.explain import QuoteExplanation
from sidecar.pricing.token_state import TokenState
from sidecar.runtime.clock import Instant
from sidecar.snapshot.records import ClockRebase, SavedToken, TakenAt, is_credible_token

MOST_MINTS: Final = 100
"""In one message, but for lists."""
LONGEST_LIST: Final = 10_000
LONGEST_REASON: Final = 300
MOST_QUOTES: Final = 8
LONGEST_BYTES: Final = 512 * 1024
"""As much as the longest list takes; more is not even looked at."""
AHEAD_SECONDS: Final = 1.0
"""How far the sender's idea of Redis's time may be ahead; more is from the future, and nonsense."""

Text = Annotated[str, Meta(max_length=LONGEST_REASON)]
Member = Annotated[str, Meta(max_length=64)]
Quotes = Annotated[tuple[QuoteExplanation, ...], Meta(max_length=MOST_QUOTES)]
Mints = Annotated[tuple[Mint, ...], Meta(max_length=MOST_MINTS)]


class Value(SavedToken, frozen=True, kw_only=True, omit_defaults=True, tag="token"):
    """A market cap, and the quotes behind it: the snapshot's record with what `?explain=true` shows."""

    explanation: Quotes = ()


class Unpriced(msgspec.Struct, frozen=True, kw_only=True, tag="unpriced"):
    """No source prices a mint."""

    mint: Mint
    reason: Text
    received: float
    """Monotonic time when that was known."""
    explanation: Quotes = ()
    state: TokenState | None = None


class UnderWay(msgspec.Struct, frozen=True, tag="under_way"):
    """The leader asks the upstreams for mints that a member misses."""

    mints: Mints


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The leader could not get missed mints."""

    mints: Mints
    code: Literal["overloaded", "upstream_unavailable"]
    detail: Text
    retry_after: Annotated[int, Meta(ge=1, le=3600)] = 1


class Trending(msgspec.Struct, frozen=True, tag="trending"):
    """The leader's trending list, best first."""

    mints: Annotated[tuple[Mint, ...], Meta(max_length=LONGEST_LIST)]


class Popular(msgspec.Struct, frozen=True, tag="popular"):
    """A member's popular list, as it is kept in Redis."""

    mints: Annotated[tuple[Mint, ...], Meta(max_length=LONGEST_LIST)]


class Missed(msgspec.Struct, frozen=True, tag="missed"):
    """A member lacks mints that look-ups wait for."""

    member: Member
    mints: Mints


class Requested(msgspec.Struct, frozen=True, tag="requested"):
    """How often a member was asked for what since it last said so."""

    member: Member
    counts: Annotated[dict[Mint, Annotated[int, Meta(ge=1, le=10**12)]], Meta(max_length=MOST_MINTS)]


ToMembers = Value | Unpriced | UnderWay | Failed | Trending
ToLeader = Missed | Requested
Message = ToMembers | ToLeader
M = TypeVar("M", ToMembers, ToLeader)

_TAKEN: Final = msgspec.json.Decoder(TakenAt)
_TO_MEMBERS: Final[msgspec.json.Decoder[ToMembers]] = msgspec.json.Decoder(ToMembers)
_POPULAR: Final = msgspec.json.Decoder(Popular)
_TO_LEADER: Final[msgspec.json.Decoder[ToLeader]] = msgspec.json.Decoder(ToLeader)
_LIST: Final[msgspec.json.Decoder[tuple[Mint, ...]]] = msgspec.json.Decoder(
    Annotated[tuple[Mint, ...], Meta(max_length=LONGEST_LIST)]
)


class NonsenseError(Exception):
    """A record that makes no sense, or is from the future."""


def encode(message: Message, now: Instant) -> bytes:
    """Return a message as it travels, said now: monotonic as the sender has it, Unix as Redis has it."""
    return msgspec.json.encode(TakenAt(now)) + b"\n" + msgspec.json.encode(message)


def decode_to_members(record: bytes, now: Instant) -> ToMembers:
    """Return what the leader said, its times being this process's. Raises NonsenseError."""
    message, rebase = _decode(record, now, _TO_MEMBERS)
    if not isinstance(message, Value | Unpriced):
        return message
    return replace(
        message,
        received=rebase.monotonic(message.received),
        state=message.state and rebase.state(message.state),
        explanation=tuple(
            replace(quote, received_monotonic=rebase.monotonic(quote.received_monotonic))
            for quote in message.explanation
        ),
    )


def decode_to_leader(record: bytes, now: Instant) -> ToLeader:
    """Return what a follower said. Raises NonsenseError."""
    return _decode(record, now, _TO_LEADER)[0]


def encode_list(popular: Iterable[Mint]) -> str:
    """Return a popular list as it is kept in Redis."""
    return msgspec.json.encode(Popular(tuple(sorted(popular)))).decode()


def decode_list(text: bytes) -> tuple[Mint, ...]:
    """Return a popular list. Raises NonsenseError."""
    try:
        mints = _POPULAR.decode(text).mints
    except (ValueError, RecursionError) as error:
        raise NonsenseError("it is no list of mints") from error
    _check_mints(mints)
    return mints


def parsed(text: bytes) -> Mint | None:
    """Return a mint, None for what is none."""
    try:
        return parse_mint(text.decode("ascii", "replace"))
    except InvalidMintError:
        return None


def _decode(record: bytes, now: Instant, decoder: msgspec.json.Decoder[M]) -> tuple[M, ClockRebase]:
    if len(record) > LONGEST_BYTES:
        raise NonsenseError("it is too long")
    head, _, body = record.partition(b"\n")
    try:
        taken_at = _TAKEN.decode(head).at
        message = decoder.decode(body)
    except (ValueError, RecursionError) as error:
        raise NonsenseError("it cannot be read") from error
    if taken_at.unix > now.unix + AHEAD_SECONDS:
        raise NonsenseError("it is from the future")
    _check(message)
    return message, ClockRebase(taken_at, now, 0.0)


def _check(message: Message) -> None:
    match message:
        case Value():
            sound = message.cap is not None and is_credible_token(message) and _are_short(message.explanation)
        case Unpriced():
            token = SavedToken(mint=message.mint, state=message.state)
            sound = is_credible_token(token) and _are_short(message.explanation)
        case Requested():
            _check_mints(message.counts)
            return
        case _:
            _check_mints(message.mints)
            return
    if not sound:
        raise NonsenseError("a figure or a mint in it makes no sense")


def _are_short(quotes: Iterable[QuoteExplanation]) -> bool:
    return all(len(text or "") <= LONGEST_REASON for quote in quotes for text in (quote.source, quote.reason))


def _check_mints(mints: Iterable[Mint]) -> None:
    try:
        for mint in mints:
            parse_mint(mint)
    except InvalidMintError as error:
        raise NonsenseError("it names what is no mint") from error
