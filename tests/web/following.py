"""A client of `/mc/stream` that sees what goes over the wire."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from sidecar.cache.cache import Entry
from sidecar.client.events import EventParser, RawEvent
from sidecar.models import Mint
from tests.web.contract import validate
from tests.web.serving import TIMEOUT_SECONDS, Site

_EVENT: Final = {"$ref": "#/components/schemas/StreamEvent"}
_DATA: Final = {"snapshot": "Batch", "token": "Token"}


class Follower:
    """One open stream. Every event is held against the contract."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.comments = 0
        self.last_id = ""
        self._parser = EventParser()
        self._events: list[RawEvent] = []

    async def next(self, name: str) -> Any:
        """Return the data of the next event, which has this name."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not self._events:
                await self._read()
        event = self._events.pop(0)
        assert event.name == name, event
        validate(_EVENT, {"id": event.id, "event": event.name, "data": event.data.decode()})
        data = json.loads(event.data)
        if name in _DATA:
            validate({"$ref": f"#/components/schemas/{_DATA[name]}"}, data)
        self.last_id = event.id
        return data

    async def comment(self) -> None:
        """Return when the next comment has come, and nothing else before it."""
        before = self.comments
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while self.comments == before:
                await self._read()
        assert not self._events

    async def ended(self) -> bool:
        """Return whether the stream comes to its end in order, with no event before it."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await self.answer.content.read() == b"" and not self._events

    async def _read(self) -> None:
        data = await self.answer.content.readany()
        assert data, "the stream has ended"
        self.comments += data.count(b":\n\n")
        self._events += [event for event in self._parser.feed(data) if event.id]


@asynccontextmanager
async def following(site: Site, query: str, last_id: str = "") -> AsyncIterator[Follower]:
    """Open a stream that is answered with 200, and close it with the context."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    url = URL(f"{site.sidecar.api_addresses[0]}/mc/stream?{query}", encoded=True)
    async with site.session.get(url, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        yield Follower(answer)


def publish(site: Site, mint: str, price: float) -> None:
    """Publish a token's value with another price, as old as the one before."""
    engine = site.sidecar.service.engine
    entry = engine.cache.peek(Mint(mint))
    assert entry is not None
    engine.publisher.publish(
        Entry(msgspec.structs.replace(entry.cap, price_usd=price), entry.received, entry.explanation)
    )
