"""Lenient typed decoding of what upstreams send.

A row in which a field we read has the wrong type, or the price is no figure, is unreadable: it is counted, and
the other rows are used. Numbers may be JSON numbers or strings, and stay the exact decimal of their text. A price
of 0 or less is passed on for valuation to refuse; other figures that make no sense are None, which is unknown.
Nothing NaN, infinite, or too large or small to reckon with gets through.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow, Subnormal
from typing import Final, TypeVar

from msgspec import Raw
from msgspec.json import Decoder

from sidecar.errors import InvalidMintError, SchemaError
from sidecar.models import Mint, Parsed, Quote, parse_mint
from sidecar.runtime.clock import Instant
from sidecar.sources.mending import mend

Number = Decimal | None
"""A JSON number or a numeric string; null and absent are None."""

MOST_ITEMS: Final = 100_000
"""Commas in an answer; 900 pairs of DexScreener have 35,000."""
MAX_ROWS: Final = 1000
"""Rows of one answer that are looked at; the largest we ask for has 100."""

FEWEST_EXPECTED: Final = 5
"""With fewer tokens known to be priced, leaving most of them out is an answer."""

_FIGURES: Final = Context(prec=400, Emin=-40, Emax=40, traps=[Inexact, Overflow, Subnormal, InvalidOperation])
"""What can be reckoned with; one call of it is four times as fast as looking at digits and exponent."""
_SYMBOL_CHARS: Final = 32
_PERCENT: Final = 100
_SLOTS: Final = 2**63
_BYTE: Final = 256
_REASON_CHARS: Final = 200
_ROWS: Final = Decoder(list[Raw])
_WHOLE: Final[Decoder[int | None]] = Decoder(int | None)
NULL: Final = Raw(b"null")
"""What stands for a field that is absent and is read by `optional`."""

Quotes = Callable[[bytes, Instant], Parsed[dict[Mint, Quote]]]

K = TypeVar("K")
R = TypeVar("R")
T = TypeVar("T")


def decode(decoder: Decoder[T], data: bytes | Raw) -> T:
    """Decode JSON into the decoder's type.

    Raises SchemaError for anything else: other bytes, another type, bad UTF-8, nesting too deep to follow.
    """
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError) as error:
        raise SchemaError(str(error)[:_REASON_CHARS]) from error


def decode_answer(decoder: Decoder[T], body: bytes) -> T:
    """Decode a whole answer; a row that is no JSON is `false` in it.

    Raises SchemaError as `decode` does, and for more items than any answer has: each would be an object.
    """
    if body.count(b",") > MOST_ITEMS:
        raise SchemaError(f"more than {MOST_ITEMS} items")
    try:
        return decode(decoder, body)
    except SchemaError:
        if (mended := mend(body)) == body:
            raise
        return decode(decoder, mended)


def optional(decoder: Decoder[T], data: Raw) -> T | None:
    """Decode what a row is good without: anything that does not fit the type is None, which is unknown."""
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError):
        return None


def rows(body: bytes) -> list[Raw]:
    """Split an answer that is a JSON list into its rows, undecoded.

    Raises SchemaError when it is no list.
    """
    return decode_answer(_ROWS, body)


def read_rows(raws: Sequence[Raw], row: Decoder[R], read: Callable[[R], T | None]) -> Parsed[list[T]]:
    """Decode and read the rows one by one, at most MAX_ROWS of them; the answer's order is kept.

    `read` returns None for a row that does not concern us and raises SchemaError for one it cannot read.
    """
    kept: list[T] = []
    unreadable = 0
    for raw in raws[:MAX_ROWS]:
        try:
            item = read(decode(row, raw))
        except SchemaError:
            unreadable += 1
            continue
        if item is not None:
            kept.append(item)
    return Parsed(kept, unreadable)


def expecting(expected: Collection[Mint], parse: Quotes) -> Quotes:
    """Return a parser which also raises SchemaError where most of the `expected` mints have no price.

    A source that leaves out what it priced a minute ago has failed; a few tokens may end (F10).
    """

    def checked(body: bytes, received: Instant) -> Parsed[dict[Mint, Quote]]:
        answer = parse(body, received)
        priced = {mint for mint, quote in answer.value.items() if quote.price_usd is not None}
        missing = sum(mint not in priced for mint in expected)
        if len(expected) >= FEWEST_EXPECTED and 2 * missing > len(expected):
            raise SchemaError(f"{missing} of {len(expected)} tokens that were priced before are left out")
        return answer

    return checked


def figure(number: Number) -> Decimal | None:
    """Return a number that can be reckoned with: finite, at most 400 digits, 0 or in size from 1e-40 to 1e41."""
    if number is None or not number.is_finite():
        return None
    if not number:
        return Decimal(0)
    try:
        return _FIGURES.plus(number)
    except DecimalException:
        return None


def price(number: Number) -> Decimal | None:
    """Return a price as it was said, None when none was.

    Raises SchemaError for one that is no figure.
    """
    said = figure(number)
    if said is None and number is not None:
        raise SchemaError("a price is not a figure")
    return said


def liquidity(number: Number) -> Decimal | None:
    """Return a liquidity, 0 included (a drained pool); a negative one says nothing."""
    said = figure(number)
    return None if said is None or said < 0 else said


def ratio(percent: Number) -> Decimal | None:
    """Return percent as a ratio; a price cannot fall by more than all of it."""
    said = figure(percent)
    return None if said is None or said < -_PERCENT else said / _PERCENT


def slot(data: Raw) -> int | None:
    """Return a slot; what is no positive whole number says nothing."""
    return _within(1, _SLOTS, optional(_WHOLE, data))


def decimals(data: Raw) -> int | None:
    """Return how many decimals a mint has, a byte; anything else says nothing."""
    return _within(0, _BYTE, optional(_WHOLE, data))


def _within(least: int, below: int, number: int | None) -> int | None:
    return number if number is not None and least <= number < below else None


def total_supply(number: Number) -> Decimal | None:
    """Return a total supply; 0 and less are how some sources write unknown."""
    said = figure(number)
    return None if said is None or said <= 0 else said


def symbol(text: str | None) -> str | None:
    """Return at most 32 printable characters of a symbol; it is written by whoever made the token."""
    if text is None:
        return None
    # The head is enough: what is left out here would not be shown anyway.
    head = text[: 4 * _SYMBOL_CHARS]
    printable = head if head.isprintable() else "".join(char for char in head if char.isprintable())
    return printable.strip()[:_SYMBOL_CHARS] or None


def mint(text: str) -> Mint:
    """Return the mint, case kept.

    Raises SchemaError when the text is none.
    """
    try:
        return parse_mint(text)
    except InvalidMintError as error:
        raise SchemaError(error.detail) from error


def first_of_each(items: Iterable[T], key: Callable[[T], K]) -> dict[K, T]:
    """Map each key to the first item that has it, in order."""
    firsts: dict[K, T] = {}
    for item in items:
        firsts.setdefault(key(item), item)
    return firsts
