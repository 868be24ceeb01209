import socket
import threading
from collections.abc import Iterator

import pytest

from bench.load import Connection, request_bytes


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def answered(server: socket.socket, *pieces: bytes) -> list[bool]:
    """Return what a connection says after each piece that the server writes."""
    connection = Connection(server.getsockname()[1])
    accepted, _ = server.accept()
    said = []
    with accepted, connection.socket:
        for piece in pieces:
            threading.Thread(target=accepted.sendall, args=(piece,)).start()
            said.append(connection.is_answered())
    return said


def test_request_is_a_whole_head() -> None:
    assert request_bytes("/mc/A").startswith(b"GET /mc/A HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert request_bytes("/mc/A").endswith(b"\r\n\r\n")


def test_answer_is_complete_with_its_last_byte_however_it_is_cut(server: socket.socket) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 4\r\n\r\n"

    assert answered(server, head + b"abcd", head[:9], head[9:], b"ab", b"cd") == [True, False, False, False, True]


def test_anything_but_a_200_ends_the_measurement(server: socket.socket) -> None:
    with pytest.raises(ConnectionError, match="503"):
        answered(server, b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
