"""What a source says of itself, and how it reaches its upstream."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import ClassVar, Protocol

from sidecar.models import Mint, Parsed, Priority, Quote, T
from sidecar.runtime.clock import Instant

Parse = Callable[[bytes, Instant], Parsed[T]]


class Api(Protocol):
    """An upstream's HTTP API, with its limits around it. Both calls raise UpstreamError."""

    async def get(
        self,
        path: str,
        params: Mapping[str, str],
        parse: Parse[T],
        priority: Priority,
        headers: Mapping[str, str] = {},
    ) -> Parsed[T]:
        """GET a path below the base URL and parse the answer."""

    async def post(self, payload: object, parse: Parse[T], priority: Priority) -> Parsed[T]:
        """POST JSON to the base URL and parse the answer."""


class Source:
    """An upstream: the class says what its settings are by default, an instance asks it."""

    name: ClassVar[str]
    """In settings, metrics and answers."""
    base_url: ClassVar[str]
    requests_per_minute: ClassVar[int]
    """What it allows without a key."""
    timeout_seconds: ClassVar[float] = 5.0
    key_header: ClassVar[str | None] = None
    """The header for an API key; None: it takes none."""
    keyed_requests_per_minute: ClassVar[int | None] = None
    """What it allows with a free key."""

    def __init__(self, api: Api, *, min_liquidity_usd: Decimal = Decimal(100)) -> None:
        self._api = api
        self._min_liquidity_usd = min_liquidity_usd
        """A pool with less USD is dead."""


class MarketSource(Source, ABC):
    """A source that prices mints and has a trending list."""

    batch_size: ClassVar[int]
    """How many mints one call may ask for; the upstreams drop the rest without a word."""
    gives_totals: ClassVar[bool]
    """Whether it gives total supplies, which stand in for the chain's."""

    @abstractmethod
    async def quotes(
        self, mints: Sequence[Mint], priority: Priority, expected: Collection[Mint] = ()
    ) -> Parsed[dict[Mint, Quote]]:
        """Ask for between 1 and `batch_size` mints in one call.

        A mint that is missing was left out by the source, or its row is among the unreadable ones. `expected`:
        those of the mints that the source priced when it was last asked for them.
        Raises UpstreamError, also for an answer that leaves out more than half of five or more expected mints.
        """

    @abstractmethod
    async def trending(self, priority: Priority) -> Parsed[list[Mint]]:
        """Return its list, first rank first, each mint once; SOL and stablecoins may be on it.

        Raises UpstreamError.
        """
