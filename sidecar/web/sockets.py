"""Sockets to listen on: both loopback families, all addresses, or a Unix socket."""

import errno
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from sidecar.errors import SettingsError

BACKLOG: Final = 1024
_FAMILY_MISSING: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def bind_tcp(key: str, host: str | None, port: int) -> list[socket.socket]:
    """Bind a host's addresses, `localhost` both loopback ones, None all of both families, whichever exist.

    Port 0 takes a free one, the same for all. Raises SettingsError naming the settings section `key`.
    """
    sockets: list[socket.socket] = []
    try:
        for family, address in _addresses(key, host):
            bound = _bind_one(family, address, port)
            if bound is not None:
                sockets.append(bound)
                port = bound.getsockname()[1]
    except OSError as error:
        close_all(sockets)
        raise SettingsError([_why(key, host, port, error)]) from error
    if not sockets:
        raise SettingsError([f"{key}.host: must be an address of this machine, not {host!r}"])
    return sockets


@contextmanager
def bound_unix(path: str, mode: str) -> Iterator[socket.socket]:
    """Listen on a Unix socket, replacing one that no process answers on; its file goes with it, unless replaced.

    Raises SettingsError.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        bound.bind(path)
        Path(path).chmod(int(mode, 8))
        bound.listen(BACKLOG)  # at once: one that only is bound looks stale to others
        bound.setblocking(False)  # noqa: FBT003 - the signature of the standard library
        ours = os.lstat(path).st_ino
    except OSError as error:
        bound.close()
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be bound: {error.strerror or error}"
        raise SettingsError([f"api.unix_socket: {why}: {path!r}"]) from error
    try:
        yield bound
    finally:
        bound.close()
        with suppress(FileNotFoundError):
            if os.lstat(path).st_ino == ours:
                Path(path).unlink()


def close_all(sockets: Sequence[socket.socket]) -> None:
    """Close sockets that are not served."""
    for one in sockets:
        one.close()


def _addresses(key: str, host: str | None) -> list[tuple[socket.AddressFamily, str]]:
    if host is None:
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]  # noqa: S104 - the operator's listener
    if host == "localhost":
        return [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SettingsError([f"{key}.host: must be an address of this machine, not {host!r}"]) from error
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def _bind_one(family: socket.AddressFamily, address: str, port: int) -> socket.socket | None:
    """Return None where the machine lacks the address family."""
    try:
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno in _FAMILY_MISSING:
            return None
        raise
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((address, port))
        bound.listen(BACKLOG)
        bound.setblocking(False)  # noqa: FBT003 - the signature of the standard library
    except OSError as error:
        bound.close()
        if error.errno in _FAMILY_MISSING:
            return None
        raise
    return bound


def _why(key: str, host: str | None, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{key}.port: must be a free port, {port} is taken"
    if error.errno == errno.EACCES:
        return f"{key}.port: must be a port this user may bind, not {port}"
    return f"{key}.host: cannot listen on {host!r}: {error.strerror or error}"


def _remove_stale(path: str) -> None:
    """Remove a socket left behind by a process that was killed; raise EADDRINUSE when a process answers."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EADDRINUSE, "not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
        except TimeoutError as error:  # it lives, and its queue is full
            raise OSError(errno.EADDRINUSE, "a process answers on it") from error
        else:
            raise OSError(errno.EADDRINUSE, "a process answers on it")
