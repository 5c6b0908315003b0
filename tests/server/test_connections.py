"""Connections that say nothing, or not enough, are closed; the others do not notice them."""

from __future__ import annotations

import socket
import time

import pytest


@pytest.fixture
def server(make_project, serve):
    return serve(make_project(unit="true"))


def connect(server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def seconds_until_closed(connection: socket.socket) -> float:
    start = time.monotonic()
    while connection.recv(65536):
        pass
    return time.monotonic() - start


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: "],
    ids=["silent", "half-line", "half-header"],
)
def test_request_that_never_comes_is_not_waited_for(server, sent):
    """uvicorn alone waits for ever."""
    with connect(server) as connection:
        connection.sendall(sent)
        assert 3 < seconds_until_closed(connection) < 15


def test_half_a_second_request_is_not_waited_for(server):
    """What begins behind an answer has no more time than the first."""
    with connect(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        assert seconds_until_closed(connection) < 15


def test_drip_of_header_bytes_does_not_extend_the_time(server):
    """A byte now and then is no request."""
    with connect(server) as connection:
        connection.settimeout(0.3)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-A: ")
        start = time.monotonic()
        while time.monotonic() - start < 15:
            try:
                connection.sendall(b"a")
                if connection.recv(100) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - start < 12


def test_body_that_drips_is_not_waited_for(server):
    """A request whose body stops coming is given up, although its header was whole."""
    token = server.token("trigger")
    with connect(server) as connection:
        head = f"POST /trigger/build HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n"
        connection.sendall(head.encode() + b"{")
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408") or answer == b""


def test_many_silent_ones_do_not_delay_the_others(server):
    """As many as one address may have; requests are answered in between, and room is made for new ones."""
    silent = [connect(server) for _ in range(200)]
    try:
        start = time.monotonic()
        assert server.ask("GET", "/healthz").status == 200
        assert time.monotonic() - start < 2
    finally:
        for connection in silent:
            connection.close()


def test_one_address_may_not_hold_every_connection(server):
    """What is above the cap is closed at once, not queued."""
    held = [connect(server) for _ in range(256)]
    try:
        with connect(server) as more:
            assert seconds_until_closed_or_reset(more) < 3
    finally:
        for connection in held:
            connection.close()
    deadline = time.monotonic() + 5
    while server.ask_or_none("/healthz") is None:
        assert time.monotonic() < deadline


def seconds_until_closed_or_reset(connection: socket.socket) -> float:
    start = time.monotonic()
    try:
        return seconds_until_closed(connection)
    except ConnectionResetError:
        return time.monotonic() - start


def test_large_header_is_refused(server):
    with connect(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 4")
