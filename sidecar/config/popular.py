"""The popular list: the tokens that are warm from start to end."""

from pathlib import Path
from typing import Any, Final

import msgspec

from sidecar.config.yaml_file import read_yaml, shown
from sidecar.errors import InvalidMintError, SettingsError
from sidecar.models import USDC, USDT, WRAPPED_SOL, Mint, parse_mint

_MAX_SYMBOL_CHARS: Final = 32
_KEYS: Final = {"mint", "symbol"}


class PopularToken(msgspec.Struct, frozen=True):
    """A token of the popular list and the symbol it has in metrics."""

    mint: Mint
    symbol: str


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
    """Read and check a popular list: `tokens`, a list of `mint` and `symbol`. It may be empty.

    Nothing in it is expanded: a symbol may begin with `$`. Raises SettingsError with every mistake in it.
    """
    tree = read_yaml(path)
    mistakes: list[str] = []
    tokens = _tokens(_rows(tree, max_tokens, mistakes), mistakes)
    if mistakes:
        raise SettingsError([f"{path}: {mistake}" for mistake in mistakes])
    return tokens


def _rows(tree: object, max_tokens: int, mistakes: list[str]) -> list[Any]:
    """Return the rows under `tokens`, as many as may be."""
    if not isinstance(tree, dict):
        mistakes.append(f"must be a mapping with the key tokens, not {shown(tree)}")
        return []
    mistakes += [f"{key}: unknown key; allowed here: tokens" for key in tree if key != "tokens"]
    rows = tree.get("tokens")
    if not isinstance(rows, list):
        mistakes.append(f"tokens: must be a list of mint and symbol, not {shown(rows)}")
        return []
    if len(rows) > max_tokens:
        mistakes.append(f"tokens: must be at most tracking.max_tokens ({max_tokens}), not {len(rows)}")
    return rows[:max_tokens]


def _tokens(rows: list[Any], mistakes: list[str]) -> tuple[PopularToken, ...]:
    tokens: dict[Mint, PopularToken] = {}
    for index, row in enumerate(rows):
        where = f"tokens[{index}]"
        token = _token(row, where, mistakes)
        if token and token.mint in tokens:
            mistakes.append(f"{where}.mint: is in the list already: {token.mint}")
        elif token:
            tokens[token.mint] = token
    return tuple(tokens.values())


def _token(row: Any, where: str, mistakes: list[str]) -> PopularToken | None:
    if not isinstance(row, dict):
        mistakes.append(f"{where}: must be a mapping of mint and symbol, not {shown(row)}")
        return None
    mistakes += [f"{where}.{key}: unknown key; allowed here: mint, symbol" for key in row if key not in _KEYS]
    mint, symbol = _mint(row.get("mint")), str(row.get("symbol"))
    if mint is None:
        mistakes.append(f"{where}.mint: must be a mint (base58 of 32 bytes), not {shown(row.get('mint'))}")
    named = is_symbol(row.get("symbol"))
    if not named:
        must = f"must be a string of 1 to {_MAX_SYMBOL_CHARS} printable characters"
        mistakes.append(f"{where}.symbol: {must}, not {shown(row.get('symbol'))}")
    return PopularToken(mint, symbol) if mint and named else None


def _mint(value: Any) -> Mint | None:
    if not isinstance(value, str):
        return None
    try:
        return parse_mint(value)
    except InvalidMintError:
        return None


def is_symbol(value: Any) -> bool:
    """Return whether a value is 1 to 32 printable characters."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_SYMBOL_CHARS and value.isprintable()
