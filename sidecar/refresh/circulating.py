"""When a circulating supply is asked for on its own account (F4)."""

from typing import Final

from sidecar.models import Mint
from sidecar.refresh.context import RefreshContext

CIRCULATING_SECONDS: Final = 3600.0
"""How old a circulating supply may get before it is asked for on its own account."""
CIRCULATING: Final = "circulating supply"
"""What stands for the source in the back-off when that was asked for, whether it was given or not."""


def lacks_circulating(context: RefreshContext, mint: Mint) -> bool:
    """Return whether a mint's circulating supply is unknown or old, and was not asked for in vain lately."""
    state = context.token_states.get(mint)
    known = state.circulating if state else None
    if known and context.clock.monotonic() - known.received.monotonic < CIRCULATING_SECONDS:
        return False
    return context.backoff.shortfall(CIRCULATING, mint) is None
