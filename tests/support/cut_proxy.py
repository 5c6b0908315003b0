"""A TCP proxy on the loopback that loses answers: what a network does at the worst moment."""

from __future__ import annotations

import contextlib
import socket
import threading


class CutProxy:
    """Passes everything on; `cut_after(word)` ends the connection once a request with the word was answered.

    The server has carried the request out, and whoever asked does not know.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._word: bytes | None = None
        self.cuts = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = [self._server]
        self._start(self._accept)

    def cut_after(self, word: str) -> None:
        """Lose the answer to the next request that holds the word."""
        self._word = word.encode()

    def close(self) -> None:
        """End all connections."""
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, work, *words) -> None:
        thread = threading.Thread(target=work, args=words, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._sockets += [client, server]
            self._start(self._serve, client, server)

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        """Requests and answers take turns, as redis-py sends them."""
        try:
            while request := client.recv(1 << 20):
                server.sendall(request)
                answer = server.recv(1 << 20)
                if self._word is not None and self._word in request:
                    self._word = None
                    self.cuts += 1
                    break
                client.sendall(answer)
        except OSError:
            pass
        for one in (client, server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
