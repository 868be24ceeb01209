"""The composition root: builds everything, owns every lifetime and the order of stop."""

import asyncio
import gc
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from aiohttp import web
from prometheus_client import ProcessCollector

from sidecar.config.redaction import Redactor
from sidecar.config.settings import Settings
from sidecar.runtime.clock import Clock, SystemClock
from sidecar.service.service import PreCacheService
from sidecar.web.api import create_api
from sidecar.web.board import Board
from sidecar.web.connections import HARD_STOP_SECONDS, Connections
from sidecar.web.descriptors import connections_that_fit
from sidecar.web.fast_path import FastPath
from sidecar.web.limits import Limits
from sidecar.web.ops import Phase, create_ops
from sidecar.web.sockets import bind_tcp, bound_unix, close_all
from sidecar.web.streams import Streams

OPS_DRAIN_SECONDS: Final = 1.0
OPS_MAX_CONNECTIONS: Final = 64
"""Apart from the application's, so that probes get through whatever goes on there."""

log = logging.getLogger(__name__)


class Sidecar:
    """The whole process but for signals and logging: `run` serves until `stop` is set."""

    def __init__(
        self,
        settings: Settings,
        *,
        redactor: Redactor,
        settings_file: Path | None = None,
        clock: Clock | None = None,
        listening: Callable[["Sidecar"], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._settings_file = settings_file
        self._clock = clock or SystemClock()
        self._phase = Phase()
        self.service = PreCacheService(settings, clock=self._clock, redactor=redactor)
        ProcessCollector(registry=self.service.registry)  # here and not in the service, which may be embedded
        self._listening = listening
        self.api_addresses: list[str] = []
        self.ops_addresses: list[str] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then stop in order: loops, linger, listeners, fetches.

        Raises SettingsError when a port or socket cannot be had.
        """
        async with AsyncExitStack() as stack:
            api, ops = self._bind(stack)
            await self.service.start()
            stack.push_async_callback(self.service.stop)
            board = Board(self.service)
            routes = create_ops(self.service, self._phase, board)
            operator = await self._listener(stack, routes, OPS_MAX_CONNECTIONS, OPS_DRAIN_SECONDS)
            stack.callback(board.close)
            self.ops_addresses = await _listen(operator, ops)
            unix_socket = self._settings.api.unix_socket is not None
            streams = Streams(self.service)
            routes = create_api(self.service, streams, unix_socket=unix_socket)
            most = connections_that_fit(self._settings.api.max_connections, OPS_MAX_CONNECTIONS)
            drain = self._settings.shutdown.drain_seconds
            application = await self._listener(stack, routes, most, drain, FastPath(self.service))
            keepers = [asyncio.create_task(one.run(), name=type(one).__name__) for one in (streams, board)]
            for keeper in keepers:
                stack.callback(keeper.cancel)
            stack.callback(streams.close)
            self.api_addresses = await _listen(application, api)
            gc.freeze()  # what lives as long as the process need not be looked at in every collection
            self._tell_what_runs()
            self._listening(self)
            await self._until(stop, *keepers)
            self._phase.stopping = True
            application.wind_down()
            log.info("stopping", extra={"linger_seconds": self._settings.shutdown.linger_seconds})
            await self.service.stop_loops()
            await self._clock.sleep(self._settings.shutdown.linger_seconds)

    def _tell_what_runs(self) -> None:
        popular = self.service.popular.status()
        files = {
            "settings": str(self._settings_file or "built in"),
            "popular_list": popular["file"] if popular["in_force"] == "file" else popular["in_force"],
        }
        log.info("listening", extra={"api": self.api_addresses, "ops": self.ops_addresses, **files})

    def _bind(self, stack: AsyncExitStack) -> tuple[list[socket.socket], list[socket.socket]]:
        """Bind before anything starts, so that a taken port ends the start at once."""
        api, ops = self._settings.api, self._settings.ops
        if api.unix_socket is not None:
            api_sockets = [stack.enter_context(bound_unix(api.unix_socket, api.unix_socket_mode))]
        else:
            api_sockets = bind_tcp("api", api.host, api.port)
        stack.callback(close_all, api_sockets)
        ops_sockets = bind_tcp("ops", ops.host, ops.port)
        stack.callback(close_all, ops_sockets)
        return api_sockets, ops_sockets

    async def _listener(
        self,
        stack: AsyncExitStack,
        app: web.Application,
        most: int,
        drain_seconds: float,
        fast_path: FastPath | None = None,
    ) -> Connections:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=HARD_STOP_SECONDS, handler_cancellation=True)
        await runner.setup()
        hot = self.service.metrics.hot
        connections = Connections(runner, Limits(most), clock=self._clock, hot=hot, fast_path=fast_path)
        stack.push_async_callback(connections.close, drain_seconds)
        return connections

    async def _until(self, stop: asyncio.Event, *loops: asyncio.Task[None]) -> None:
        """Wait for the stop; a loop that ends by itself ends the process, nothing runs half-alive."""
        stopped = asyncio.create_task(stop.wait())
        broken = asyncio.create_task(self.service.wait_broken())
        try:
            ended, _ = await asyncio.wait({stopped, broken, *loops}, return_when=asyncio.FIRST_COMPLETED)
            for task in ended - {stopped}:
                task.result()
                raise RuntimeError("a loop has come to an end")
        finally:
            stopped.cancel()
            broken.cancel()


async def _listen(connections: Connections, sockets: Sequence[socket.socket]) -> list[str]:
    addresses = [_address(one) for one in sockets]
    await connections.listen(sockets)
    return addresses


def _address(bound: socket.socket) -> str:
    if bound.family == socket.AF_UNIX:
        return f"unix:{bound.getsockname()}"
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if bound.family == socket.AF_INET6 else f"http://{host}:{port}"
