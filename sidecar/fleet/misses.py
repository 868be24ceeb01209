"""The follower's road for misses: the leader is asked, and the upstreams only where it does not answer in time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final

from sidecar.errors import NotPricedError, OverloadedError, UpstreamUnavailableError
from sidecar.fleet.answers import StoreError
from sidecar.fleet.records import MOST_MINTS, Failed, ToMembers, UnderWay, Unpriced, Value
from sidecar.metrics.fleet import FleetMetrics
from sidecar.models import Mint
from sidecar.refresh.batches import Future
from sidecar.refresh.publish import FetchResult
from sidecar.runtime.clock import Clock

GATHER_SECONDS: Final = 0.003
"""How long a miss waits for others to share its message."""
ANSWER_SECONDS: Final = 0.5
"""How long the leader has to answer, if only that it is at it."""
FETCH_SECONDS: Final = 1.0
"""How long it then has for the fetch, on top."""
MOST_WAITING: Final = 2_000
"""Misses that wait for the leader; one more is refused."""

Ask = Callable[[Iterable[Mint]], dict[Mint, Future]]


class MissRoad:
    """`ask` like that of `Misses`. `send` tells the leader; `forwards` says whether there is one to be told."""

    def __init__(
        self,
        ask_upstreams: Ask,
        *,
        send: Callable[[Sequence[Mint]], Awaitable[None]],
        forwards: Callable[[], bool],
        clock: Clock,
        metrics: FleetMetrics,
    ) -> None:
        self._ask_upstreams = ask_upstreams
        self._send = send
        self._forwards = forwards
        self._clock = clock
        self._metrics = metrics
        self._waiting: dict[Mint, Future] = {}
        self._unsent: list[Mint] = []
        self._under_way: set[Mint] = set()
        self._fallen_back: set[Mint] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, mints: Iterable[Mint]) -> dict[Mint, Future]:
        """Fetch mints that look-ups wait for. Each future gets what came of its mint, never an exception."""
        futures: dict[Mint, Future] = {}
        for mint in mints:
            if (waiting := self._waiting.get(mint)) is not None:
                futures[mint] = waiting
            elif not self._forwards():
                futures |= self._ask_upstreams([mint])
            elif len(self._waiting) < MOST_WAITING:
                futures[mint] = self._queue(mint)
            else:
                futures[mint] = _refused()
        return futures

    def hear(self, message: ToMembers) -> None:
        """Take what the leader says of mints that are waited for here."""
        match message:
            case Value(mint=mint):
                self._settle(mint, None)
            case Unpriced(mint=mint, reason=reason):
                self._settle(mint, NotPricedError(reason))
            case Failed(mints=mints):
                error = _error(message)
                for mint in mints:
                    self._settle(mint, error)
            case UnderWay(mints=mints):
                self._under_way |= self._waiting.keys() & set(mints)

    def fall_back(self, mints: Iterable[Mint] | None = None) -> None:
        """Ask the upstreams, once, for these of the mints that still wait, all without an argument."""
        waiting = self._waiting.keys() - self._fallen_back
        left = [mint for mint in (list(self._waiting) if mints is None else mints) if mint in waiting]
        if not left:
            return
        self._fallen_back.update(left)
        self._metrics.fallbacks.inc(len(left))
        for mint, future in self._ask_upstreams(left).items():
            future.add_done_callback(partial(self._fetched, mint))

    async def stop(self) -> None:
        """Tell the leader nothing more; what still waits has been asked of the upstreams when the role changed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _queue(self, mint: Mint) -> Future:
        future: Future = asyncio.get_running_loop().create_future()
        self._waiting[mint] = future
        self._unsent.append(mint)
        if len(self._unsent) == 1:
            task = asyncio.create_task(self._forward(), name="fleet:misses")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return future

    async def _forward(self) -> None:
        """Tell the leader what is missed, and go other ways where it has not answered in time."""
        await self._clock.sleep(GATHER_SECONDS)
        mints, self._unsent = self._unsent, []
        try:
            for start in range(0, len(mints), MOST_MINTS):
                await self._send(mints[start : start + MOST_MINTS])
            await self._clock.sleep(ANSWER_SECONDS)
            self.fall_back([mint for mint in mints if mint not in self._under_way])
            await self._clock.sleep(FETCH_SECONDS)
        except StoreError:  # told by the membership
            pass
        self.fall_back(mints)

    def _fetched(self, mint: Mint, fetched: Future) -> None:
        self._settle(mint, fetched.result())

    def _settle(self, mint: Mint, result: FetchResult) -> None:
        self._under_way.discard(mint)
        self._fallen_back.discard(mint)
        if (future := self._waiting.pop(mint, None)) is not None and not future.done():
            future.set_result(result)


def _refused() -> Future:
    future: Future = asyncio.get_running_loop().create_future()
    future.set_result(OverloadedError("too many misses wait for the fleet's leader", retry_after=1))
    return future


def _error(failed: Failed) -> FetchResult:
    kind = OverloadedError if failed.code == "overloaded" else UpstreamUnavailableError
    return kind(failed.detail, retry_after=failed.retry_after)
