"""What every refresh works with: sources, memory, schedule, policy."""

from collections.abc import Mapping, Sequence

import msgspec

from sidecar.clock import Clock
from sidecar.memory.cache import MarketCapCache
from sidecar.memory.publisher import Publisher
from sidecar.metrics import Metrics
from sidecar.models import Mint
from sidecar.pricing.grading import Policy
from sidecar.refresh.backoff import OmissionBackoff
from sidecar.refresh.schedule import Schedule
from sidecar.refresh.supplies import Ledger, SupplyReader
from sidecar.refresh.tracker import Tracker
from sidecar.sources import PriceSource
from sidecar.upstreams.upstream import Upstream


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What every round works with."""

    sources: Sequence[PriceSource]
    upstreams: Mapping[str, Upstream]
    supplies: SupplyReader
    backoff: OmissionBackoff
    ledger: Ledger
    cache: MarketCapCache
    publisher: Publisher
    schedule: Schedule
    tracker: Tracker
    policy: Policy
    clock: Clock
    metrics: Metrics
    symbols: dict[Mint, str]
    """As written in the popular list; replaced there when the list is."""
