"""Only the application in the pod may ask: what a browser or a proxy sends along gives others away."""

import ipaddress
from collections.abc import Iterable
from typing import Final

from aiohttp import web

from sidecar.errors import ForbiddenError

_REFUSED_HEADERS: Final = ("Origin", "Forwarded")
_REFUSED_PREFIX: Final = "x-forwarded-"
_MOST_KNOWN_HOSTS: Final = 64


class OriginCheck:
    """Refuses a foreign Host (DNS rebinding), any Origin, and whatever came through a proxy.

    Allowed hosts are localhost, 127.0.0.0/8 and ::1 with any port, and `allowed_hosts`. On a Unix socket the
    Host means nothing and is not looked at.
    """

    def __init__(self, allowed_hosts: Iterable[str], *, any_host: bool = False) -> None:
        self._allowed = {"localhost", *(host.lower() for host in allowed_hosts)}
        self._any_host = any_host
        self._known_good: set[str] = set()

    def __call__(self, request: web.Request) -> None:
        """Let the request pass, or raise ForbiddenError with the header's name."""
        headers = request.headers
        for name in _REFUSED_HEADERS:
            if name in headers:
                raise ForbiddenError(f"a request with the header {name} is not the application's")
        for name in headers:
            if name[:12].lower() == _REFUSED_PREFIX:
                raise ForbiddenError(f"a request with the header {name} came through a proxy")
        if not self._any_host:
            self._check_host(headers.get("Host", ""))

    def _check_host(self, host: str) -> None:
        if host in self._known_good:
            return
        if not self._is_allowed(host):
            raise ForbiddenError("the header Host names neither this machine nor an allowed host")
        if len(self._known_good) < _MOST_KNOWN_HOSTS:
            self._known_good.add(host)

    def _is_allowed(self, host: str) -> bool:
        name = _without_port(host).lower()
        if name in self._allowed:
            return True
        try:
            address = ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return address.is_loopback


def _without_port(host: str) -> str:
    name, separator, port = host.rpartition(":")
    return name if separator and port.isdigit() else host
