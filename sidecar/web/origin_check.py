"""Only the application in the pod may ask: what a browser or a proxy sends along gives others away."""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

from aiohttp import web

from sidecar.errors import ForbiddenError

_REFUSED_HEADERS: Final = ("Origin", "Forwarded")
_REFUSED_PREFIX: Final = "x-forwarded-"
_HOST: Final = re.compile(r"\[([0-9a-fA-F:.]+)\](?::\d*)?|([^:\[\]@]+)(?::\d*)?")
_MOST_KNOWN_HOSTS: Final = 64


class OriginCheck:
    """Refuses a foreign Host (DNS rebinding), any Origin, and whatever came through a proxy.

    Allowed hosts are localhost and every loopback address with any port, and `allowed_hosts`. On a Unix socket the
    Host means nothing and is not looked at.
    """

    def __init__(self, allowed_hosts: Iterable[str], *, any_host: bool = False) -> None:
        self._allowed = {"localhost", *(_name(host) for host in allowed_hosts)}
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
            self._check_host(_authority(request))

    def _check_host(self, host: str) -> None:
        if host in self._known_good:
            return
        if not self._is_allowed(host):
            raise ForbiddenError("the header Host names neither this machine nor an allowed host")
        if len(self._known_good) < _MOST_KNOWN_HOSTS:
            self._known_good.add(host)

    def _is_allowed(self, host: str) -> bool:
        name = _name(host)
        if name in self._allowed:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).is_loopback


def _authority(request: web.Request) -> str:
    """Return the host that is asked: an absolute target beats the Host (RFC 9112, 3.2.2)."""
    target = request.raw_path
    if not target.startswith(("/", "*")):
        return target.partition("://")[2].partition("/")[0].partition("?")[0]
    return request.headers.get("Host", "")


def _name(host: str) -> str:
    """Return a host in lower case, without port, brackets and the root's dot where it may have them."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2].removesuffix(".") if found else host).lower()
