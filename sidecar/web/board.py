"""The events of the page: what `status` says, and each second what has changed. At rest without a client."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from sidecar.errors import OverloadedError
from sidecar.models import MarketCap, Mint
from sidecar.runtime.aio import yielding
from sidecar.service.service import PreCacheService
from sidecar.web.event_stream import KEEP_ALIVE
from sidecar.web.history import STEP_SECONDS, History
from sidecar.web.status import Row, overview, tiers, token_row

TICK_SECONDS: Final = 1.0
MOST_VIEWERS: Final = 16
RETRY_AFTER_SECONDS: Final = 5.0
ROWS_A_TURN: Final = 100
REQUESTS_TICKS: Final = 5
"""The requests of every token are counted anew at every fifth tick."""
_NO_SECTIONS: Final = frozenset({"tokens", "now"})


class Viewer:
    """One client that looks on. One that is slow is shown the whole again: nothing piles up for it."""

    def __init__(self) -> None:
        self.text = b""
        self.lags = True
        self.wake = asyncio.Event()
        self.ended = False

    def show(self, text: bytes) -> None:
        """Send this, unless it has not taken the text before."""
        self.lags = self.lags or bool(self.text)
        self.text = text
        self.wake.set()

    def end(self) -> None:
        """Let it go; harmless when it has gone."""
        self.ended = True
        self.wake.set()


class Board:
    """Shows the state of a service to at most MOST_VIEWERS clients; `run` keeps it going."""

    def __init__(self, service: PreCacheService) -> None:
        self._service = service
        self._engine = service.engine
        self._clock = service.clock
        self._viewers: dict[Viewer, None] = {}
        self._tiers: dict[Mint, str] = {}
        self._rows: dict[Mint, Row] = {}
        self._sections: Row = {}
        self._changed: set[Mint] = set()
        self._ticks = 0
        self.history = History(service.metrics, service.clock)
        service.engine.publisher.listen(self._published)

    def _published(self, mint: Mint, cap: MarketCap | None) -> None:  # noqa: ARG002 - Listener
        if self._viewers:
            self._changed.add(mint)

    # Clients

    def open(self) -> Viewer:
        """Let one more look on. Raises OverloadedError for one too many."""
        if len(self._viewers) >= MOST_VIEWERS:
            raise OverloadedError(f"all {MOST_VIEWERS} streams are in use", retry_after=RETRY_AFTER_SECONDS)
        viewer = Viewer()
        self._viewers[viewer] = None
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Let a client go; harmless when it has gone."""
        self._viewers.pop(viewer, None)
        viewer.end()

    def close(self) -> None:
        """Let all clients go."""
        for viewer in list(self._viewers):
            self.leave(viewer)

    async def texts(self, viewer: Viewer) -> AsyncIterator[bytes]:
        """Yield the events for a client: everything first, then what has changed, until it leaves."""
        viewer.wake.set()
        while True:
            await viewer.wake.wait()
            viewer.wake.clear()
            if viewer.ended:
                return
            if viewer.lags:
                text = await self._whole()
                viewer.lags = False
            else:
                text = viewer.text
            viewer.text = b""
            yield text

    # What it shows

    async def document(self) -> Row:
        """Return the state of now, with every tracked token by its mint."""
        tokens = {}
        async for mint, tier in yielding(tiers(self._engine).items(), ROWS_A_TURN):
            tokens[mint] = token_row(self._engine, mint, tier)
        return {**overview(self._service), "tokens": tokens}

    async def _whole(self) -> bytes:
        document = await self.document()
        if not self._rows:  # the first client: what changes, changes from here
            self._rows = document["tokens"]
            self._tiers = {mint: row["tier"] for mint, row in self._rows.items()}
            self._sections = {name: value for name, value in document.items() if name not in _NO_SECTIONS}
        history = {"step_seconds": STEP_SECONDS, "series": self.history.series()}
        return _event("status", {**document, "history": history})

    async def run(self) -> None:
        """Look at the state every second, and tell the clients what has changed."""
        while True:
            await self._clock.sleep(TICK_SECONDS)
            sampled = self.history.sample()
            if self._viewers:
                await self._tick(sampled=sampled)
            else:
                self._forget()

    async def _tick(self, *, sampled: bool) -> None:
        self._ticks += 1
        changes = self._changed_sections()
        if tokens := await self._changed_rows():
            changes["tokens"] = tokens
        if sampled:
            changes["sample"] = self.history.latest()
        text = _event("change", {"now": self._clock.time(), **changes}) if changes else KEEP_ALIVE
        for viewer in self._viewers:
            viewer.show(text)

    def _changed_sections(self) -> Row:
        before, self._sections = self._sections, overview(self._service)
        self._sections.pop("now")
        return {name: value for name, value in self._sections.items() if before.get(name) != value}

    async def _changed_rows(self) -> dict[Mint, Row | None]:
        """Return what has changed of which token; None for one that is not tracked any more."""
        before, self._tiers = self._tiers, tiers(self._engine)
        changed, self._changed = self._changed, set()
        changes: dict[Mint, Row | None] = {mint: None for mint in before if mint not in self._tiers}
        counting = self._ticks % REQUESTS_TICKS == 0
        async for mint, tier in yielding(self._tiers.items(), ROWS_A_TURN):
            if mint in changed or before.get(mint) != tier or counting:
                row = token_row(self._engine, mint, tier)
                if difference := _difference(self._rows.get(mint, {}), row):
                    changes[mint] = difference
                self._rows[mint] = row
        for mint in before.keys() - self._tiers.keys():
            self._rows.pop(mint, None)
        return changes

    def _forget(self) -> None:
        self._tiers, self._rows, self._sections = {}, {}, {}
        self._changed.clear()


def _difference(before: Row, after: Row) -> Row:
    return {name: value for name, value in after.items() if name not in before or before[name] != value}


def _event(name: str, value: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(value))
