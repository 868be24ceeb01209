"""The shortest way to an answer: a token in memory is served before the framework's router is asked."""

import time
from collections.abc import Awaitable, Callable
from typing import Final, cast

from aiohttp import web

from sidecar.api import token_response
from sidecar.origin_check import PassedHeaders
from sidecar.service import PreCacheService

_PREFIX: Final = "/mc/"
_TEMPLATE: Final = "/mc/{mint}"
_OK: Final = 200

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Shortcut:
    """Answers `GET /mc/{mint}` out of memory; whatever is unusual in any way is left to the application's routes.

    It answers as they do: same body, same headers, same metrics. A request is ordinary when its path is the mint
    and nothing else, and when its headers are like those of a request that has passed all checks before.
    """

    def __init__(self, service: PreCacheService, application: Handler, *, unix_socket: bool) -> None:
        self._service = service
        self._application = application
        self._passed = PassedHeaders(any_host=unix_socket)
        self._stats = service.metrics.hot.route(_TEMPLATE)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; the handler of the server."""
        started = time.perf_counter()
        path = request.raw_path
        if not path.startswith(_PREFIX) or request.method != "GET":
            return await self._application(request)
        if not self._passed.cover(request.raw_headers):
            return await self._ask_and_learn(request)
        found = self._service.lookups.find(path[len(_PREFIX) :])
        if found is None:
            return await self._application(request)
        response = token_response(self._service, found)
        self._stats.record(_OK, time.perf_counter() - started)
        return response

    async def _ask_and_learn(self, request: web.BaseRequest) -> web.StreamResponse:
        response = await self._application(request)
        if response.status == _OK:
            self._passed.learn(request.raw_headers)
        return response


def shorten(runner: web.AppRunner, service: PreCacheService, *, unix_socket: bool) -> None:
    """Put the shortcut in front of the routes of a runner that is set up and does not listen yet."""
    server = cast("web.Server", runner.server)
    server.request_handler = Shortcut(service, server.request_handler, unix_socket=unix_socket).handle
