"""The answer to a client that is one too many."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from sidecar.errors import OverloadedError
from sidecar.web.connection import SWEEP_SECONDS
from sidecar.web.problems import problem_of, raw_response

MOST_REFUSALS: Final = 16
REFUSAL_SECONDS: Final = 1.0
"""How long a client that is one too many has to send what it is refused."""


class Refusal(asyncio.Protocol):
    """Tells one client too many that it is one too many, as soon as it has asked for something."""

    def __init__(self, all_refusals: "set[Refusal]", count: Callable[[int], None]) -> None:
        self._all = all_refusals
        self._count = count
        self._link: asyncio.Transport
        self._sweeps = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for its request, while there are few like it."""
        self._link = cast("asyncio.Transport", transport)
        if len(self._all) >= MOST_REFUSALS:
            self._link.abort()
        else:
            self._all.add(self)

    def data_received(self, _: bytes) -> None:
        """Refuse it."""
        if not self._link.is_closing():
            error = OverloadedError("all connections are in use", retry_after=1)
            self._count(error.status)
            self._link.write(raw_response(problem_of(error, None)))
            self._link.close()

    def connection_lost(self, _: BaseException | None) -> None:
        """Forget it."""
        self._all.discard(self)

    def sweep(self) -> None:
        """Cut it off when it has not asked for anything in time."""
        self._sweeps += 1
        if self._sweeps * SWEEP_SECONDS > REFUSAL_SECONDS:
            self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._link.abort()
