"""What valuing a mint comes to."""

from typing import Literal

import msgspec

from sidecar.metrics.labels import RefusalReason
from sidecar.models import ConfidenceReason, MarketCap
from sidecar.pricing.explain import QuoteExplanation
from sidecar.pricing.token_state import TokenState
from sidecar.runtime.clock import Instant

Refusals = tuple[tuple[str, RefusalReason], ...]


class Valuation(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the quotes.

    `priced`: serve `cap`. `held`: a jump that nothing confirms; go on serving the old value, at confidence low.
    `suspect`: the first answer without a price; likewise. `unpriced`: there is no market cap, for `reason`.
    """

    kind: Literal["priced", "held", "suspect", "unpriced"]
    state: TokenState
    conclusive: bool = False
    """No other source's answer is needed: a good price that nothing speaks against, and a supply."""
    compared: bool = False
    """A comparison with another source stands for this price."""
    cap: MarketCap | None = None
    received: Instant | None = None
    """When the answer behind the price of `cap` arrived."""
    doubt: ConfidenceReason | None = None
    """Why the value that is served on is doubted, where there is no new one."""
    jump: bool = False
    """The price jumped and no second source has confirmed it."""
    reason: str = ""
    lacks_supply: bool = False
    """There is a usable price, but nothing to multiply it with."""
    explanation: tuple[QuoteExplanation, ...] = ()
    refusals: Refusals = ()
