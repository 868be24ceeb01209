"""What goes over the wire, for both clients: targets of requests, and what an answer means."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, Literal, NamedTuple, NoReturn, TypeVar
from urllib.parse import urlsplit

import msgspec

from sidecar.errors import (
    DeadlineExceededError,
    ForbiddenError,
    InvalidMintError,
    InvalidRequestError,
    McSidecarError,
    NotPricedError,
    OverloadedError,
    TooManyMintsError,
    UpstreamUnavailableError,
)
from sidecar.models import BatchResult, MarketCap

Set = Literal["popular", "tracked", "trending"]
"""The sets that are kept warm."""
T = TypeVar("T")

DEFAULT_URL: Final = "http://127.0.0.1:8765"
DEFAULT_TIMEOUT: Final = 3.0
"""Seconds; above the sidecar's own deadline of two, so that its answer is read."""
MINTS_A_REQUEST: Final = 1000
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""Half a character, as JSON may hold one: UTF-8 cannot."""
_UNIX: Final = "unix://"
_OK: Final = 200
_FIRST_SERVER_ERROR: Final = 500
_SHOWN_CHARS: Final = 200

_BY_CODE: Final[dict[str, type[McSidecarError]]] = {
    error.code: error
    for error in (
        *(InvalidRequestError, TooManyMintsError, ForbiddenError, NotPricedError, OverloadedError),
        *(UpstreamUnavailableError, DeadlineExceededError, McSidecarError),
    )
}


class SidecarUnreachableError(McSidecarError):
    """Nothing answers at the base URL, or what answers is no sidecar."""

    code, status, title = "sidecar_unreachable", 503, "Sidecar unreachable"


class Address(NamedTuple):
    """Where the sidecar listens."""

    url: str
    """Scheme, host and port; what is put before the target."""
    unix_socket: str | None


class Failure(msgspec.Struct):
    """Why one mint of several has no token."""

    code: str
    detail: str


class Batch(msgspec.Struct):
    """A batch as it is sent."""

    tokens: dict[str, MarketCap]
    errors: dict[str, Failure]


class _List(msgspec.Struct):
    tokens: list[MarketCap]


class _Problem(msgspec.Struct):
    code: str
    detail: str
    mint: str = ""


def address(base_url: str) -> Address:
    """Read a base URL: http://host:port or unix:///path. Raises ValueError for anything else."""
    if base_url.startswith(_UNIX) and base_url.removeprefix(_UNIX).startswith("/"):
        return Address("http://localhost", base_url.removeprefix(_UNIX))
    parts = urlsplit(base_url)
    if base_url.rstrip("/") != f"http://{parts.netloc}" or not parts.hostname or "@" in parts.netloc:
        raise ValueError(f"base_url must be http://host:port or unix:///path, not {base_url!r}")
    return Address(f"http://{parts.netloc}", None)


def in_requests(mints: Iterable[str], errors: dict[str, McSidecarError]) -> Iterator[bytes]:
    """Yield the bodies of the POSTs that ask for these mints, each of them once; what is no text is an error."""
    each = dict.fromkeys(mints)
    errors |= {mint: InvalidMintError(mint) for mint in each if _SURROGATE.search(mint)}
    rest = (mint for mint in each if mint not in errors)
    while part := list(islice(rest, MINTS_A_REQUEST)):
        yield msgspec.json.encode({"mints": part})


def read_token(status: int, retry_after: str | None, body: bytes) -> MarketCap:
    """Return the token that an answer holds, or raise what it says."""
    return read(MarketCap, status, retry_after, body)


def read_tokens(status: int, retry_after: str | None, body: bytes) -> list[MarketCap]:
    """Return the tokens of a list, or raise what the answer says."""
    return read(_List, status, retry_after, body).tokens


def read_batch(status: int, retry_after: str | None, body: bytes) -> BatchResult:
    """Return tokens and errors of a batch, or raise what the answer says."""
    return result(read(Batch, status, retry_after, body))


def result(batch: Batch) -> BatchResult:
    """Return a batch with its errors as they would be raised."""
    return BatchResult(
        batch.tokens, {mint: error_of(one.code, one.detail, mint) for mint, one in batch.errors.items()}
    )


def error_of(code: str, detail: str, mint: str, retry_after: float | None = None) -> McSidecarError:
    """Return the error that a code stands for; one that this version does not know is a plain McSidecarError."""
    if code == InvalidMintError.code:
        return InvalidMintError(mint)
    return _BY_CODE.get(code, McSidecarError)(detail, retry_after=retry_after)


def raise_problem(status: int, retry_after: str | None, body: bytes) -> NoReturn:
    """Raise what an answer other than 200 says."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise no_sidecar(f"status {status}", body) from error
    wait = float(retry_after) if retry_after and retry_after.isdecimal() else None
    if problem.code not in _BY_CODE and problem.code != InvalidMintError.code and status < _FIRST_SERVER_ERROR:
        raise InvalidRequestError(problem.detail)
    raise error_of(problem.code, problem.detail, problem.mint, wait)


def no_sidecar(what: str, body: bytes) -> SidecarUnreachableError:
    """Return the error for an answer that no sidecar gives."""
    return SidecarUnreachableError(f"no answer of a sidecar: {what}, {body[:_SHOWN_CHARS]!r}")


def unreachable(base_url: str, error: BaseException) -> SidecarUnreachableError:
    """Return the error for a request that was not answered."""
    why = "nothing came in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return SidecarUnreachableError(f"{base_url} does not answer: {why}")


def read(shape: type[T], status: int, retry_after: str | None, body: bytes) -> T:
    """Return an answer of this shape, or raise what it says."""
    if status != _OK:
        raise_problem(status, retry_after, body)
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise no_sidecar(str(error), body) from error
