"""What is remembered of tokens between refreshes: bounded, and for a day."""

from sidecar.cache.pinned import Pinned
from sidecar.models import Mint
from sidecar.pricing.supply import REMEMBERED_SECONDS
from sidecar.pricing.token_state import TokenState, last_heard
from sidecar.runtime.bounded import BoundedDict
from sidecar.runtime.clock import Clock


class TokenStates(Pinned[TokenState]):
    """The states of the tracked tokens, and of so many others: those of which something was heard last."""

    def __init__(self, max_others: int, clock: Clock) -> None:
        super().__init__(BoundedDict(max_others))
        self._clock = clock

    def get(self, mint: Mint) -> TokenState | None:
        """Return what is known of a token; None for an untracked one of which nothing was heard for a day."""
        state = super().get(mint)
        if state is None or mint in self.pinned:
            return state
        since = self._clock.monotonic() - REMEMBERED_SECONDS
        answered = state.chain_answered  # most often the last thing, and soon looked at
        is_recent = (answered is not None and answered.monotonic >= since) or last_heard(state) >= since
        return state if is_recent else None
