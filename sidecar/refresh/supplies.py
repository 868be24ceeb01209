"""Reads supplies on chain into what is remembered of each token."""

import math
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import islice
from typing import Final

from sidecar.errors import UpstreamError
from sidecar.models import WRAPPED_SOL, ChainSupply, Mint, Priority
from sidecar.pricing.supply_updates import CONFIRMED_AFTER_SECONDS, take_chain
from sidecar.pricing.token_state import TokenState
from sidecar.refresh.chain_time import ChainTime
from sidecar.refresh.token_states import TokenStates
from sidecar.refresh.tracker import Tracker
from sidecar.runtime.clock import Clock, Instant, now
from sidecar.sources.solana_rpc import SolanaRpc
from sidecar.upstreams.upstream import Upstream

FORBIDDEN_SECONDS: Final = 600.0
"""After a 403 the node is asked again at most this often."""
SOL_RETRY_SECONDS: Final = 60.0

_FORBIDDEN = 403


class SupplyReader:
    """Reads what is due in one call of up to 100 mints; its free places go to what was read longest ago."""

    def __init__(
        self,
        *,
        source: SolanaRpc,
        upstream: Upstream,
        token_states: TokenStates,
        tracker: Tracker,
        supply_seconds: float,
        sol_supply_seconds: float,
        jump_factor: Decimal,
        chain_time: ChainTime,
        refused: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._source = source
        self._upstream = upstream
        self._token_states = token_states
        self._tracker = tracker
        self._supply_seconds = supply_seconds
        self._sol_supply_seconds = sol_supply_seconds
        self._jump_factor = jump_factor
        self._chain_time = chain_time
        self._refused = refused
        self._clock = clock
        self._sol_not_before = 0.0
        self._read_order: dict[Mint, None] = {}
        """The tracked mints that were read, the longest ago first, without SOL."""

    def due(self, mints: Iterable[Mint]) -> list[Mint]:
        """Return the mints with a supply that is to be read now, SOL left out."""
        return [mint for mint in mints if mint != WRAPPED_SOL and self._age(mint) >= self._interval(mint)]

    def _interval(self, mint: Mint) -> float:
        """Return how old a reading may be: a minute after a jump, nothing when a source first contradicts it."""
        state = self._token_states.get(mint)
        if state is None or state.chain_answered is None:
            return self._supply_seconds
        since = state.contradicted_since
        if since is not None and state.chain_answered.monotonic < since.monotonic:
            return 0.0
        waits = state.chain_pending is not None
        return min(CONFIRMED_AFTER_SECONDS, self._supply_seconds) if waits else self._supply_seconds

    def sol_is_due(self) -> bool:
        """Return whether SOL's supply was not read within `sol_supply_seconds`, and may be asked for."""
        now_ = self._clock.monotonic()
        return now_ >= self._sol_not_before and self._age(WRAPPED_SOL) >= self._sol_supply_seconds

    def has_answered(self, mint: Mint) -> bool:
        """Return whether the chain has answered for a mint lately: at its last turn or the one before."""
        interval = self._sol_supply_seconds if mint == WRAPPED_SOL else self._supply_seconds
        return self._age(mint) <= 2 * interval

    async def read(self, mints: Sequence[Mint], priority: Priority) -> UpstreamError | None:
        """Read mints' supplies in one call, topped up in the background. Returns the failure, if it failed."""
        room = self._source.supply_batch_size - len(mints)
        batch = [*mints, *self._top_up(mints, room)] if priority is not Priority.MISS else mints
        try:
            answer = await self._source.supplies(batch, priority)
        except UpstreamError as error:
            if error.status == _FORBIDDEN:
                self._upstream.budget.block(FORBIDDEN_SECONDS)
            return error.detached()
        except Exception as error:  # noqa: BLE001 - a bug here ends the reading and not the batch
            return self._upstream.outcomes.broke(error)
        answered = now(self._clock)
        self._chain_time.read(answer.slot)
        for mint, supply in answer.value.items():
            self._remember(mint, supply, answer.slot, answered)
        return None

    async def read_sol(self, priority: Priority) -> UpstreamError | None:
        """Read the supply of SOL; a failure is not tried again at once, a refusal much later."""
        self._sol_not_before = self._clock.monotonic() + SOL_RETRY_SECONDS
        try:
            answer = await self._source.sol_supply(priority)
        except UpstreamError as error:
            if error.status == _FORBIDDEN:
                self._sol_not_before = self._clock.monotonic() + FORBIDDEN_SECONDS
            return error.detached()
        except Exception as error:  # noqa: BLE001 - a bug here ends the reading and not the batch
            return self._upstream.outcomes.broke(error)
        self._chain_time.read(answer.slot)
        self._remember(WRAPPED_SOL, answer.value, answer.slot, now(self._clock))
        return None

    def _top_up(self, mints: Sequence[Mint], room: int) -> list[Mint]:
        if not room:
            return []
        tracked = self._tracker.mints
        never = sorted(islice(tracked.difference(self._read_order, mints, (WRAPPED_SOL,)), room))
        longest_ago = (mint for mint in self._read_order if mint in tracked and mint not in mints)
        return [*never, *islice(longest_ago, room - len(never))]

    def _age(self, mint: Mint) -> float:
        return self._clock.monotonic() - self._answered(mint)

    def _answered(self, mint: Mint) -> float:
        state = self._token_states.get(mint)
        return -math.inf if state is None or state.chain_answered is None else state.chain_answered.monotonic

    def _remember(self, mint: Mint, supply: ChainSupply | None, slot: int | None, answered: Instant) -> None:
        self._read_order.pop(mint, None)
        if mint in self._tracker.mints and mint != WRAPPED_SOL:
            self._read_order[mint] = None
        state, is_refused = take_chain(
            self._token_states.get(mint) or TokenState(),
            supply,
            slot=slot,
            answered=answered,
            jump_factor=self._jump_factor,
        )
        self._token_states.put(mint, state)
        if is_refused:
            self._refused()
