"""One file per upstream: its URLs, its parser, the models it yields. They do not import each other."""

from collections.abc import Collection, Sequence
from typing import Protocol

from sidecar.models import ChainSupply, Mint, Parsed, Priority, Quote


class PriceSource(Protocol):
    """An upstream that prices mints."""

    @property
    def name(self) -> str:
        """The name in settings, metrics and answers."""

    @property
    def batch_size(self) -> int:
        """How many mints one call may ask for; the upstreams drop the rest without a word."""

    async def quotes(
        self, mints: Sequence[Mint], priority: Priority, expected: Collection[Mint] = ()
    ) -> Parsed[dict[Mint, Quote]]:
        """Ask for between 1 and `batch_size` mints in one call.

        A mint that is missing was left out by the source, or its row is among the unreadable ones. `expected`:
        those of the mints that the source priced when it was last asked for them.
        Raises UpstreamError, also for an answer that leaves out more than half of five or more expected mints.
        """


class TrendingSource(Protocol):
    """An upstream that says which mints are in fashion."""

    @property
    def name(self) -> str:
        """The name in settings and metrics."""

    async def trending(self, priority: Priority) -> Parsed[list[Mint]]:
        """Return its list, first rank first, each mint once; SOL and stablecoins may be on it.

        Raises UpstreamError.
        """


class SupplySource(Protocol):
    """An upstream that reads supplies on chain."""

    @property
    def name(self) -> str:
        """The name in settings, metrics and answers."""

    @property
    def supply_batch_size(self) -> int:
        """How many mints one call may ask for."""

    async def supplies(self, mints: Sequence[Mint], priority: Priority) -> Parsed[dict[Mint, ChainSupply | None]]:
        """Read the supplies of between 1 and `supply_batch_size` mints in one call.

        None: the chain answered, and it is no mint. A mint that is missing could not be read.
        Raises UpstreamError.
        """

    async def sol_supply(self, priority: Priority) -> Parsed[ChainSupply]:
        """Read the supply of SOL, total and circulating, which the mint of wrapped SOL does not tell.

        Raises UpstreamError.
        """
