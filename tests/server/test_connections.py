"""Connections that say nothing, or not enough, are closed; the others do not notice them."""

from __future__ import annotations

import resource
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def server(make_project, serve):
    return serve(make_project(unit="true"))


def connect(server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def read_to_end(connection: socket.socket) -> bytes:
    """Return everything until it is closed."""
    found = b""
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            return found
        if not part:
            return found
        found += part


def test_what_never_comes_whole_is_not_waited_for(server):
    """Silent, half sent, half sent behind an answer, dripping: all are closed, where uvicorn alone waits for ever."""
    token = server.token("trigger")

    def half(sent: bytes) -> tuple[float, bytes]:
        with connect(server) as connection:
            start = time.monotonic()
            connection.sendall(sent)
            said = read_to_end(connection)
            return time.monotonic() - start, said

    def second() -> tuple[float, bytes]:
        with connect(server) as connection:
            connection.sendall(HEAD + b"\r\n")
            answer = b""
            while not answer.endswith(b"ok\n"):  # its head and its body may come apart
                assert (part := connection.recv(65536)), answer
                answer += part
            assert answer.startswith(b"HTTP/1.1 200")
            start = time.monotonic()
            connection.sendall(HEAD[:30])
            return time.monotonic() - start, read_to_end(connection)

    def drip() -> tuple[float, bytes]:
        with connect(server) as connection:
            connection.settimeout(0.3)
            connection.sendall(HEAD + b"X-A: ")
            start = time.monotonic()
            while time.monotonic() - start < 18:
                try:
                    connection.sendall(b"a")
                    if connection.recv(100) == b"":
                        break
                except TimeoutError:
                    continue
                except OSError:
                    break
            return time.monotonic() - start, b""

    body = f"POST /trigger/build HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 99\r\n\r\n{{"
    with ThreadPoolExecutor() as threads:
        silent, line, header, behind, dripping, part = (
            threads.submit(half, b""),
            threads.submit(half, HEAD[:12]),
            threads.submit(half, HEAD + b"X-A: "),
            threads.submit(second),
            threads.submit(drip),
            threads.submit(half, body.encode()),
        )
        for waited in (silent, line, header):
            seconds, said = waited.result()
            assert seconds > 3 and said == b""
        assert behind.result()[1] == b""
        assert dripping.result()[0] < 15
        assert part.result()[1].startswith(b"HTTP/1.1 408")


def test_many_silent_ones_do_not_delay_the_others(server):
    """As many as one address may have; above the cap they are closed at once, and there is room again when they go."""
    silent = [connect(server) for _ in range(200)]
    assert server.ask("GET", "/healthz").status == 200
    silent += [connect(server) for _ in range(56)]
    with connect(server) as more:
        more.settimeout(30)
        assert read_to_end(more) == b""
    for connection in silent:
        connection.close()
    end = time.monotonic() + 60
    while server.ask_or_none("/healthz") is None:
        assert time.monotonic() < end


@pytest.fixture
def many_files():
    """Let this process open as many files as it may; gives how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(12_000, hard) if hard != resource.RLIM_INFINITY else 12_000
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield max(soft, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_ten_thousand_silent_ones_keep_nobody_out(server, many_files):
    """From fifty addresses, each below its cap: the longest silent make room, and everybody else is answered."""
    silent = []
    try:
        for number in range(min(10_000, many_files - 1000)):
            address = (f"127.0.1.{1 + number % 50}", 0)
            silent.append(socket.create_connection(("127.0.0.1", server.port), timeout=20, source_address=address))
            if number % 250 == 0:
                assert server.ask("GET", "/api/queue").status == 200
        for _ in range(50):
            assert server.ask("GET", "/api/queue").status == 200
    finally:
        for connection in silent:
            connection.close()


def test_large_header_is_refused(server):
    """Also one that comes whole in one piece."""
    with connect(server) as connection:
        connection.sendall(HEAD + b"X-A: " + b"a" * 40_000 + b"\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 4")
