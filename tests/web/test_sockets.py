import socket

import pytest

from sidecar.web.sockets import bind_tcp, let_nobody_in


def test_whom_the_kernel_let_in_is_served_and_nobody_comes_after() -> None:
    (listening,) = bind_tcp("api", "127.0.0.1", 0)
    address = listening.getsockname()
    with listening, socket.create_connection(address) as early:
        let_nobody_in(listening)
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.05)
        accepted, _ = listening.accept()
        with accepted:
            early.sendall(b"hello")
            assert accepted.recv(5) == b"hello"
