"""What a running sidecar shows on `/status/stream`, kept up to date."""

import time
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from sidecar.client.events import EventParser, RawEvent
from sidecar.config.settings import OpsSettings

_LOOPBACK: Final = ("127.0.0.1", "::1")
_EVERY_ADDRESS: Final = (None, "0.0.0.0", "::")  # noqa: S104 - where the sidecar listens, not this process
_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=2.0, sock_read=10.0)
"""It says something every second."""

Row = dict[str, Any]


class View:
    """The state of a sidecar as far as it has been sent."""

    def __init__(self) -> None:
        self.sections: Row = {}
        self.tokens: dict[str, Row] = {}
        self._ahead = 0.0

    def take(self, event: RawEvent) -> list[str]:
        """Take an event and return the mints of which something has changed."""
        sent: Row = msgspec.json.decode(event.data)
        tokens: dict[str, Row | None] = sent.pop("tokens", {})
        self._ahead = sent.pop("now") - time.time()
        if event.name == "status":
            self.tokens = {}
        if (sample := sent.pop("sample", None)) is not None:
            self.sections["latest"] = sample
        if (history := sent.pop("history", None)) is not None:
            self.sections["latest"] = {name: values[-1] for name, values in history["series"].items()}
        self.sections |= sent
        for mint, row in tokens.items():
            if row is None:
                self.tokens.pop(mint, None)
            else:
                self.tokens[mint] = self.tokens.get(mint, {}) | row
        return [mint for mint in tokens if mint in self.tokens]

    def by_market_cap(self) -> list[Row]:
        """Return the tokens, highest market cap first, those without a price last."""
        return sorted(self.tokens.values(), key=lambda row: row["market_cap_usd"] or 0, reverse=True)

    def age(self, row: Row) -> float | None:
        """Return the age of a token's value in seconds, None without one."""
        return None if row["market_cap_usd"] is None else max(0.0, self.now - row["timestamp"])

    @property
    def now(self) -> float:
        """The Unix time on the sidecar's clock."""
        return time.time() + self._ahead


async def events(ops: OpsSettings) -> AsyncIterator[RawEvent]:
    """Yield the events of the sidecar that listens as the settings say, until it ends them.

    Raises aiohttp.ClientError or OSError where nothing answers, or something else.
    """
    hosts = _LOOPBACK if ops.host in _EVERY_ADDRESS else (str(ops.host),)
    urls = [URL.build(scheme="http", host=host, port=ops.port, path="/status/stream") for host in hosts]
    async with (
        aiohttp.ClientSession(timeout=_TIMEOUT) as session,
        await _connected(session, urls) as answer,
    ):
        parser = EventParser()
        async for data in answer.content.iter_any():
            for event in parser.feed(data):
                if event.data:
                    yield event


async def _connected(session: aiohttp.ClientSession, urls: list[URL]) -> aiohttp.ClientResponse:
    for url in urls[:-1]:
        try:
            return await session.get(url, raise_for_status=True)
        except aiohttp.ClientConnectorError:
            continue
    return await session.get(urls[-1], raise_for_status=True)
