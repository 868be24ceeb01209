"""What every refresh works with: sources, memory, schedule, policy."""

from collections.abc import Mapping, Sequence

import msgspec

from sidecar.backoff import OmissionBackoff
from sidecar.cache import MarketCapCache
from sidecar.clock import Clock
from sidecar.grading import Policy
from sidecar.metrics import Metrics
from sidecar.models import Mint
from sidecar.publisher import Publisher
from sidecar.schedule import Schedule
from sidecar.sources import PriceSource
from sidecar.supplies import Ledger, SupplyReader
from sidecar.tracker import Tracker
from sidecar.upstream import Upstream


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
