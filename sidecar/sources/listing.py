"""The sources there are. A new one is its own file and a line here."""

from typing import Final

from sidecar.sources.dexscreener import DexScreener
from sidecar.sources.geckoterminal import GeckoTerminal
from sidecar.sources.jupiter import Jupiter
from sidecar.sources.solana_rpc import SolanaRpc
from sidecar.sources.source import MarketSource, Source

SOURCES: Final[tuple[type[Source], ...]] = (
    Jupiter,
    DexScreener,
    GeckoTerminal,
    SolanaRpc,
)
BY_NAME: Final = {source.name: source for source in SOURCES}
MARKETS: Final = {source.name: source for source in SOURCES if issubclass(source, MarketSource)}
"""Those that give prices and trending lists, by name."""
