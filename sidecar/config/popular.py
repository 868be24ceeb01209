"""The popular list: the tokens that are warm from start to end."""

from functools import partial
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from sidecar.config.reading import Reading
from sidecar.config.yaml_file import MAX_BYTES, parse_yaml, unreadable
from sidecar.errors import SettingsError
from sidecar.models import USDC, USDT, WRAPPED_SOL, Mint, is_mint
from sidecar.runtime.disk import answer_of, read_regular

_MAX_SYMBOL_CHARS: Final = 32


def is_symbol(text: str) -> bool:
    """Return whether a text may be the symbol of a popular token."""
    return 0 < len(text) <= _MAX_SYMBOL_CHARS and text.isprintable()


class PopularToken(msgspec.Struct, frozen=True):
    """A token of the popular list and the symbol it has in metrics."""

    mint: Annotated[Mint, Meta(extra={"allowed": "a mint (base58 of 32 bytes)", "check": is_mint})]
    symbol: Annotated[
        str,
        Meta(extra={"allowed": f"a string of 1 to {_MAX_SYMBOL_CHARS} printable characters", "check": is_symbol}),
    ]


class _PopularFile(msgspec.Struct):
    tokens: Annotated[tuple[PopularToken, ...], Meta(extra={"allowed": "a list of mint and symbol"})]


POPULAR: Final = (
    PopularToken(WRAPPED_SOL, "SOL"),
    PopularToken(USDC, "USDC"),
    PopularToken(USDT, "USDT"),
    PopularToken(Mint("7vfCXTUXx5WJV5JADk17DUJ4ksgau7utNKj4b963voxs"), "WETH"),
    PopularToken(Mint("mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So"), "mSOL"),
    PopularToken(Mint("7dHbWXmci3dT8UFYWYZweBLXgycu7Y3iL6trKn1Y7ARj"), "stSOL"),
    PopularToken(Mint("DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263"), "BONK"),
    PopularToken(Mint("JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN"), "JUP"),
    PopularToken(Mint("EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm"), "WIF"),
    PopularToken(Mint("rndrizKT3MK1iimdxRdWabcF7Zg7AR5T4nud4EkHBof"), "RENDER"),
    PopularToken(Mint("HZ1JovNiVvGrGNiiYvEozEVgZ58xaU3RKwX8eACQBCt3"), "PYTH"),
)
"""The list when no file gives one; `config/popular.yaml` holds the same."""


def load_popular(path: Path, max_tokens: int) -> tuple[PopularToken, ...]:
    """Read and check a popular list. Raises SettingsError as `parse_popular` does, and when it cannot be read."""
    try:
        content = answer_of(partial(read_regular, path, MAX_BYTES + 1))
    except OSError as error:
        raise unreadable(path, error) from error
    return parse_popular(path, content, max_tokens)


def parse_popular(path: Path, content: bytes, max_tokens: int) -> tuple[PopularToken, ...]:
    """Check what the file of a popular list holds: `tokens`, a list of `mint` and `symbol`. It may be empty.

    Nothing in it is expanded: a symbol may begin with `$`. Raises SettingsError with every mistake in it, and
    TooManyRowsError when it is too long.
    """
    tree = parse_yaml(path, content, most_rows=max_tokens, limit="tokens: must be at most tracking.max_tokens")
    reading = Reading(environ=None)
    file = reading.section(_PopularFile, tree)
    tokens: dict[Mint, PopularToken] = {}
    for index, token in enumerate(file.tokens if file else ()):
        if token.mint in tokens:
            reading.mistakes.append(f"tokens[{index}].mint: is in the list already: {token.mint}")
        tokens[token.mint] = token
    if reading.mistakes:
        raise SettingsError([f"{path}: {mistake}" for mistake in reading.mistakes])
    return tuple(tokens.values())
