"""What every refresh works with. The engine (`service/wiring.py`) is one."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from sidecar.cache.cache import MarketCapCache
from sidecar.cache.publisher import Publisher
from sidecar.metrics.metrics import Metrics
from sidecar.models import Mint
from sidecar.pricing.grading import Policy
from sidecar.refresh.backoff import OmissionBackoff
from sidecar.refresh.chain_time import ChainTime
from sidecar.refresh.schedule import Schedule
from sidecar.refresh.supplies import SupplyReader
from sidecar.refresh.token_states import TokenStates
from sidecar.refresh.tracker import Tracker
from sidecar.runtime.clock import Clock
from sidecar.sources.source import MarketSource
from sidecar.upstreams.upstream import Upstream


class RefreshContext(Protocol):
    """The parts of the engine that a batch uses."""

    sources: Sequence[MarketSource]
    """In the order of `pricing.sources`."""
    upstreams: Mapping[str, Upstream]
    supplies: SupplyReader
    backoff: OmissionBackoff
    token_states: TokenStates
    cache: MarketCapCache
    publisher: Publisher
    schedule: Schedule
    tracker: Tracker
    policy: Policy
    chain_time: ChainTime
    target_uncertainty: float | None
    """`refresh.target_uncertainty`."""
    clock: Clock
    metrics: Metrics
    symbols: dict[Mint, str]
    """As written in the popular list; replaced there when the list is."""
