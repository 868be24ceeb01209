"""Following a stream through everything that breaks a connection."""

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from typing import Final
from urllib.parse import quote

import aiohttp

from sidecar.client.events import Event, EventParser, RawEvent, read_event
from sidecar.client.wire import no_sidecar, raise_problem
from sidecar.errors import McSidecarError, OverloadedError

SILENCE_SECONDS: Final = 45.0
"""The sidecar says something every 15 s; a connection that is silent for longer is dead."""
CONNECT_SECONDS: Final = 5.0
FIRST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 30.0
MOST_DOUBLINGS: Final = 32
"""More of them do not fit into a float after a night without a sidecar."""
JITTER: Final = 0.2
"""Streams that broke together do not come back together."""

_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
_OK: Final = 200
_FIRST_SERVER_ERROR: Final = 500

log = logging.getLogger("sidecar.client")


def target_of(mints: Iterable[str], name: str | None) -> str:
    """Return the target of a stream's request. Raises ValueError unless it is either mints or a set."""
    named = ",".join(dict.fromkeys(mints))
    if bool(named) == (name is not None):
        raise ValueError("a stream takes either mints or set")
    return (
        f"/mc/stream?set={name}"
        if name is not None
        else f"/mc/stream?mints={quote(named, safe=',', errors='replace')}"
    )


class Waits:
    """How long to wait before the next connection: longer each time, until an event has come."""

    def __init__(self) -> None:
        self.first = FIRST_WAIT_SECONDS
        self.failures = 0

    def next(self, asked_for: float | None) -> float:
        """Return the seconds to wait, at least those that the sidecar asked for."""
        wait = min(self.first * 2.0**self.failures, LONGEST_WAIT_SECONDS)
        self.failures = min(self.failures + 1, MOST_DOUBLINGS)
        return max(wait, asked_for or 0.0) * random.uniform(1.0, 1.0 + JITTER)


Answers = set[aiohttp.ClientResponse]
"""What is being read; closing the session alone would leave the readers waiting."""


async def follow(session: aiohttp.ClientSession, url: str, answers: Answers) -> AsyncIterator[Event]:
    """Yield the events of a stream until the session is closed. Raises what another attempt cannot mend."""
    waits, last_id = Waits(), ""
    while not session.closed:
        asked_for: float | None = None
        why = "the sidecar ended it"
        try:
            async with aclosing(_connection(session, url, last_id, answers)) as raws:
                async for raw in raws:
                    last_id = raw.id or last_id
                    if raw.retry.isdecimal():
                        waits.first = min(int(raw.retry) / 1000, LONGEST_WAIT_SECONDS)
                    if (event := read_event(raw)) is not None:
                        waits.failures = 0
                        yield event
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            why = str(error) or type(error).__name__
        except McSidecarError as error:
            if error.status < _FIRST_SERVER_ERROR and not isinstance(error, OverloadedError):
                raise
            why, asked_for = error.detail, error.retry_after
        if session.closed:
            return
        if not waits.failures:
            log.warning("the stream broke and is taken up again: %s", why)
        await asyncio.sleep(waits.next(asked_for))


async def _connection(
    session: aiohttp.ClientSession, url: str, last_id: str, answers: Answers
) -> AsyncGenerator[RawEvent]:
    """Yield the events of one connection, until the sidecar ends it or it breaks."""
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {})}
    async with session.get(url, headers=headers, timeout=_TIMEOUT, allow_redirects=False) as answer:
        if answer.status != _OK:
            raise_problem(answer.status, answer.headers.get("Retry-After"), await answer.read())
        if answer.content_type != "text/event-stream":
            raise no_sidecar(answer.content_type, b"")
        answers.add(answer)
        try:
            parser = EventParser()
            async for data in answer.content.iter_any():
                for raw in parser.feed(data):
                    yield raw
        finally:
            answers.discard(answer)
