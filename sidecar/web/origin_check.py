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
_NEVER_KNOWN: Final = frozenset({b"expect", b"forwarded", b"host", b"origin"})
_MOST_KNOWN_NAMES: Final = 64
_LARGEST_KNOWN_BYTES: Final = 4096


class OriginCheck:
    """Refuses a foreign Host (DNS rebinding), any Origin, and whatever came through a proxy.

    Allowed hosts are localhost, 127.0.0.0/8 and ::1 with any port, and `allowed_hosts`. On a Unix socket the
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
        return address.is_loopback


def _authority(request: web.Request) -> str:
    """Return who is asked: an absolute target beats the Host (RFC 9112, 3.2.2)."""
    target = request.raw_path
    if not target.startswith(("/", "*")):
        return target.partition("://")[2].partition("/")[0].partition("?")[0]
    return request.headers.get("Host", "")


def _name(host: str) -> str:
    """Return a host in lower case, without port and brackets where it has the form of one that may have them."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2] if found else host).lower()


class PassedHeaders:
    """Remembers the header names and Hosts of requests that passed all checks: the next like them passes too.

    Whatever it does not cover is for the checks themselves to judge, and so is every request whose headers mean
    something to a route (Expect) or to the checks (Origin, Forwarded, X-Forwarded-*).
    """

    def __init__(self, *, any_host: bool) -> None:
        self._any_host = any_host
        self._names: set[bytes] = set()
        self._hosts: set[tuple[bytes, bytes]] = set()

    def cover(self, headers: tuple[tuple[bytes, bytes], ...]) -> bool:
        """Tell whether such headers have passed before."""
        size, has_host = 0, self._any_host
        for header in headers:
            name, value = header
            size += len(name) + len(value)
            if name in self._names:
                continue
            if header not in self._hosts:
                return False
            has_host = True
        return has_host and size <= _LARGEST_KNOWN_BYTES

    def learn(self, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        """Remember the headers of a request that passed."""
        for header in headers:
            name = header[0].lower()
            if name == b"host" and len(self._hosts) < _MOST_KNOWN_HOSTS:
                self._hosts.add(header)
            elif _is_harmless(name) and len(self._names) < _MOST_KNOWN_NAMES:
                self._names.add(header[0])


def _is_harmless(name: bytes) -> bool:
    return name not in _NEVER_KNOWN and not name.startswith(_REFUSED_PREFIX.encode())
