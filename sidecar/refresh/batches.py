"""The batches under way: each mint is in one at a time. They belong to the service, not to what asked for them."""

import asyncio
import logging
from collections.abc import Collection, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from sidecar.errors import NotAskedError
from sidecar.metrics.labels import LoopName
from sidecar.models import Mint, Priority
from sidecar.refresh.batch import Batch
from sidecar.refresh.context import RefreshContext
from sidecar.refresh.publish import FetchResult
from sidecar.sources.source import MarketSource

Future = asyncio.Future[FetchResult]

log = logging.getLogger(__name__)


class Batches:
    """Starts batches and owns every task of refreshing: a caller that goes away ends none, `stop` ends all."""

    def __init__(self, context: RefreshContext) -> None:
        self._context = context
        self._upstreams = {source: context.upstreams[source.name] for source in context.sources}
        self._by_mint: dict[Mint, Batch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __contains__(self, mint: object) -> bool:
        return mint in self._by_mint

    def __iter__(self) -> Iterator[Mint]:
        return iter(self._by_mint)

    def __getitem__(self, mint: Mint) -> Batch:
        return self._by_mint[mint]

    def able(self, priority: Priority) -> tuple[list[MarketSource], list[NotAskedError]]:
        """Return the sources that a batch can ask now, in order, and why it cannot ask the others."""
        refusals = {source: upstream.refusal(priority) for source, upstream in self._upstreams.items()}
        able = [source for source, refusal in refusals.items() if refusal is None]
        return able, [refusal for refusal in refusals.values() if refusal is not None]

    def start(
        self,
        results: Mapping[Mint, Future],
        sources: Sequence[MarketSource],
        refusals: Sequence[NotAskedError],
        *,
        priority: Priority,
        loop: LoopName,
        top_up: Sequence[Mint] = (),
    ) -> asyncio.Task[None]:
        """Start a batch for these mints, with a future for each."""
        batch = Batch(
            self._context,
            results,
            priority=priority,
            loop=loop,
            sources=sources,
            not_asked=refusals,
            top_up=top_up,
        )
        for mint, future in results.items():
            self._by_mint[mint] = batch
            future.add_done_callback(partial(self._resolved, mint))
        return self.spawn(batch.run())

    def _resolved(self, mint: Mint, _: Future) -> None:
        self._by_mint.pop(mint, None)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do some work of refreshing, until `stop`."""
        task = asyncio.create_task(work, name="refresh")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a refresh broke off", exc_info=error)

    async def stop(self) -> None:
        """End everything under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def new_future() -> Future:
    """Return a future for what comes of a mint."""
    return asyncio.get_running_loop().create_future()


async def results_of(futures: Collection[Future]) -> list[FetchResult]:
    """Wait for futures that others wait for too; unlike `gather`, being cancelled does not cancel them."""
    for future in futures:  # to wait for thousands at once would take the event loop milliseconds
        if not future.done():
            await asyncio.wait([future])
    return [future.result() for future in futures]
