"""Reads supplies on chain into what is remembered of each token."""

import math
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from typing import Final

import msgspec

from sidecar.clock import Clock, Instant, now
from sidecar.errors import UpstreamError
from sidecar.memory.cache import PinnedCache
from sidecar.models import WRAPPED_SOL, ChainSupply, Lane, Mint
from sidecar.pricing.facts import Facts
from sidecar.refresh.tracker import Tracker
from sidecar.sources import SupplySource
from sidecar.upstreams.upstream import Upstream

Ledger = PinnedCache[Facts]

FORBIDDEN_SECONDS: Final = 600.0
"""After a 403 the node is asked again at most this often."""
SOL_RETRY_SECONDS: Final = 60.0

_FORBIDDEN = 403


class SupplyReader:
    """Reads what is due in one call of up to 100 mints; a call with room takes along who is due next."""

    def __init__(
        self,
        *,
        source: SupplySource,
        upstream: Upstream,
        ledger: Ledger,
        tracker: Tracker,
        supply_seconds: float,
        sol_supply_seconds: float,
        clock: Clock,
    ) -> None:
        self._source = source
        self._upstream = upstream
        self._ledger = ledger
        self._tracker = tracker
        self._supply_seconds = supply_seconds
        self._sol_supply_seconds = sol_supply_seconds
        self._clock = clock
        self._sol_not_before = 0.0

    def due(self, mints: Iterable[Mint]) -> list[Mint]:
        """Return the mints of these whose supply was not read within `supply_seconds`, SOL left out."""
        return [mint for mint in mints if mint != WRAPPED_SOL and self._age(mint) >= self._supply_seconds]

    def sol_is_due(self) -> bool:
        """Tell whether SOL's supply was not read within `sol_supply_seconds`, and may be asked for."""
        now_ = self._clock.monotonic()
        return now_ >= self._sol_not_before and self._age(WRAPPED_SOL) >= self._sol_supply_seconds

    def has_answered(self, mint: Mint) -> bool:
        """Tell whether the chain has answered for a mint lately: at its last turn or the one before."""
        interval = self._sol_supply_seconds if mint == WRAPPED_SOL else self._supply_seconds
        return self._age(mint) <= 2 * interval

    async def read(self, mints: Sequence[Mint], lane: Lane) -> UpstreamError | None:
        """Read mints' supplies in one call, topped up in the background. Returns the failure, if it failed."""
        room = self._source.supply_batch_size - len(mints)
        batch = [*mints, *self._riders(mints, room)] if lane is not Lane.MISS else mints
        try:
            answer = await self._source.supplies(batch, lane)
        except UpstreamError as error:
            if error.status == _FORBIDDEN:
                self._upstream.budget.block(FORBIDDEN_SECONDS)
            return error
        answered = now(self._clock)
        for mint, supply in answer.value.items():
            self._remember(mint, supply, answered)
        return None

    async def read_sol(self, lane: Lane) -> UpstreamError | None:
        """Read the supply of SOL; a failure is not tried again at once, a refusal much later."""
        self._sol_not_before = self._clock.monotonic() + SOL_RETRY_SECONDS
        try:
            answer = await self._source.sol_supply(lane)
        except UpstreamError as error:
            if error.status == _FORBIDDEN:
                self._sol_not_before = self._clock.monotonic() + FORBIDDEN_SECONDS
            return error
        self._remember(WRAPPED_SOL, answer.value, now(self._clock))
        return None

    def _riders(self, mints: Sequence[Mint], room: int) -> list[Mint]:
        if not room:
            return []
        others = self._tracker.mints.difference(mints, (WRAPPED_SOL,))
        return nsmallest(room, others, key=lambda mint: (self._answered(mint), mint))

    def _age(self, mint: Mint) -> float:
        return self._clock.monotonic() - self._answered(mint)

    def _answered(self, mint: Mint) -> float:
        facts = self._ledger.get(mint)
        return -math.inf if facts is None or facts.chain_answered is None else facts.chain_answered.monotonic

    def _remember(self, mint: Mint, supply: ChainSupply | None, answered: Instant) -> None:
        facts = self._ledger.get(mint) or Facts()
        chain = facts.chain if supply is None else supply
        facts = msgspec.structs.replace(facts, chain=chain, chain_answered=answered)
        self._ledger.put(mint, facts)
