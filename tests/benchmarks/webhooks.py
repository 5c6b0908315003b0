"""How many deliveries a server makes durable, and how soon one becomes a run: `python tests/benchmarks/webhooks.py`.

Three series against one `cicdctl serve`, with the sender on the same machine: as fast as it goes, a steady rate, and
from a delivery to the first command of the first stage. A delivery counts once it has its 202, and is lost when it is
not in the store afterwards. In the steady series a delivery that is late because an earlier one was is late.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import http.client
import json
import os
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

SECRET = "0123456789abcdef0123456789abcdef"
CONFIG = """
[pipelines.build]
trigger = "on_commit"
[pipelines.build.stages]
unit = "date +%s.%N >> {stamps}"
"""
OPERATOR = f"""
[orchestrator]
polling_interval = "1h"
monitoring = {{ method = "webhook", secret = "{SECRET}" }}
trust = {{ refs = ["**"] }}
[logging]
level = "WARNING"
"""
CONNECTIONS = 64


def main() -> int:
    """Measure. Returns 0 when every target was reached and nothing was lost, else 1."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rate", type=int, default=1000, help="deliveries a second in the steady series")
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--pushes", type=int, default=40)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="webhooks-") as folder:
        root = Path(folder)
        repository = Repository(root)
        print(f"load average before: {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
        with serving(repository) as server:
            repository.wait_for_the_first_look()
            fast = asyncio.run(as_fast_as_it_goes(server.port, seconds=10))
            print(f"as fast as it goes, {CONNECTIONS} connections: {len(fast) / 10:.0f}/s, {_shown(fast)}")
            steady = asyncio.run(at_a_rate(server.port, given.rate, given.seconds))
            print(f"{given.rate}/s for {given.seconds} s: {len(steady)} acknowledged, {_shown(steady)}")
            wanted = given.rate * given.seconds
            lost = repository.count_missing([*fast, *steady])
            print(f"lost: {lost} of {len(fast) + len(steady)}; not acknowledged: {wanted - len(steady)}")
            cpu_ms = server.cpu_seconds() / (len(fast) + len(steady)) * 1000
            print(f"the server: {cpu_ms:.2f} ms of CPU a delivery, peak memory {server.peak_bytes() / 2**20:.0f} MB")
            starts = sorted(repository.push(server.port, number) for number in range(given.pushes))
            print(
                f"delivery to first command: {len(starts)} pushes, p50 {_ms(_at(starts, 0.5))}, "
                f"p95 {_ms(_at(starts, 0.95))}, p99 {_ms(_at(starts, 0.99))}"
            )
        print(f"load average after: {os.getloadavg()[0]:.1f}")
    p99 = _at(sorted(steady.values()), 0.99)
    reached = {
        "none lost": lost == 0 and len(steady) == wanted,
        "p99 below 500 ms": p99 < 0.5,
        "first command p50 below 300 ms": _at(starts, 0.5) < 0.3,
        "first command p99 below 1.5 s": _at(starts, 0.99) < 1.5,
    }
    for what, is_reached in reached.items():
        print(f"{what}: {'reached' if is_reached else 'not reached'}")
    return 0 if all(reached.values()) else 1


class Repository:
    """A repository on this disk, whose stages say when they begin."""

    def __init__(self, root: Path) -> None:
        self.path = root / "repository"
        self.stamps = root / "stamps"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(root), "LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1"}
        self.env |= {
            f"GIT_{who}_{what}": "a@example.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        self.path.mkdir()
        self.git("init", "-q", "-b", "main")
        (self.path / ".cicd.toml").write_text(CONFIG.format(stamps=self.stamps))
        for number in range(200):
            (self.path / f"file{number}").write_text(f"{number}\n" * 100)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "first")
        self.state = self.path / ".git/cicdctl"
        self.state.mkdir(mode=0o700)
        (self.state / "config.toml").write_text(OPERATOR)
        self.first = self.git("rev-parse", "HEAD")

    def git(self, *argv: str) -> str:
        done = subprocess.run(["git", *argv], cwd=self.path, env=self.env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def query(self, sql: str) -> list[tuple[str]]:
        with closing(sqlite3.connect(f"file:{self.state / 'state.db'}?mode=ro", uri=True)) as database:
            return database.execute(sql).fetchall()

    def wait_for_the_first_look(self) -> None:
        while not self.query("SELECT 1 FROM seen_ref WHERE ref = ''"):
            time.sleep(0.05)

    def count_missing(self, names: list[str]) -> int:
        """Count those that are not in the store; those that wait are waited for first."""
        deadline = time.monotonic() + 30
        while self.query("SELECT 1 FROM webhook WHERE state = 'waiting' LIMIT 1") and time.monotonic() < deadline:
            time.sleep(0.1)
        known = {name for (name,) in self.query("SELECT delivery FROM webhook WHERE state = 'done'")}
        return len(set(names) - known)

    def push(self, port: int, number: int) -> float:
        """Commit, tell the server, and return the seconds until the first command."""
        (self.path / "number").write_text(f"{number}\n")
        self.git("add", "number")
        self.git("commit", "-q", "-m", f"{number}")
        seen = self._begun()
        body = _body(self.first, self.git("rev-parse", "HEAD"))
        headers = {"Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": f"push-{number}"}
        headers["X-Hub-Signature-256"] = _signature(body)
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            began = time.time()
            connection.request("POST", "/webhook/github", body, headers)
            assert connection.getresponse().status == 202
        deadline = time.monotonic() + 60
        while len(found := self._begun()) <= len(seen):
            if time.monotonic() > deadline:
                raise SystemExit(f"push {number} started nothing")
            time.sleep(0.005)
        time.sleep(1.0)  # the run ends, and nothing of it is charged to the next
        return float(found[len(seen)]) - began

    def _begun(self) -> list[str]:
        return self.stamps.read_text().split() if self.stamps.exists() else []


class Server:
    """A process that serves."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def peak_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(repository: Repository) -> Iterator[Server]:
    """Serve a repository on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cicdctl", "serve", "--port", "0"],
        cwd=repository.path,
        env=repository.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+:(\d+)", process.stdout.readline())
        if found is None:
            raise SystemExit("the server did not come up")
        yield Server(process, int(found[1]))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


class Sender:
    """Sends deliveries over one connection that is kept; each has an id of its own."""

    body = b""
    head = b""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, name: str) -> bool:
        """Say whether it was acknowledged, which is what the sender of a forge sees."""
        self._writer.write(self.head + f"X-GitHub-Delivery: {name}\r\n\r\n".encode() + self.body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert length is not None
        await self._reader.readexactly(int(length[1]))
        return head.startswith(b"HTTP/1.1 202")

    def close(self) -> None:
        self._writer.close()


async def senders(port: int) -> AsyncIterator[Sender]:
    """Connect."""
    Sender.body = _body("1" * 40, "2" * 40)
    Sender.head = (
        "POST /webhook/github HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\n"
        f"X-Hub-Signature-256: {_signature(Sender.body)}\r\nContent-Length: {len(Sender.body)}\r\n"
    ).encode()
    for _ in range(CONNECTIONS):
        yield Sender(*await asyncio.open_connection("127.0.0.1", port))


async def as_fast_as_it_goes(port: int, *, seconds: int) -> dict[str, float]:
    """Return how long each acknowledged delivery took, by its id."""
    took: dict[str, float] = {}
    all_of_them = [sender async for sender in senders(port)]
    end = time.perf_counter() + seconds

    async def work(number: int, sender: Sender) -> None:
        count = 0
        while (began := time.perf_counter()) < end:
            name = f"fast-{number}-{count}"
            if await sender.send(name):
                took[name] = time.perf_counter() - began
            count += 1
        sender.close()

    await asyncio.gather(*(work(*pair) for pair in enumerate(all_of_them)))
    return took


async def at_a_rate(port: int, rate: int, seconds: int) -> dict[str, float]:
    """Return how long each took from the moment at which it was due, whether a sender was free then or not."""
    took: dict[str, float] = {}
    free: asyncio.Queue[Sender] = asyncio.Queue()
    async for sender in senders(port):
        free.put_nowait(sender)
    tasks: set[asyncio.Task[None]] = set()

    async def one(name: str, due: float) -> None:
        sender = await free.get()
        if await sender.send(name):
            took[name] = time.perf_counter() - due
        free.put_nowait(sender)

    began = time.perf_counter()
    for number in range(rate * seconds):
        due = began + number / rate
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        task = asyncio.create_task(one(f"steady-{number}", due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    while not free.empty():
        free.get_nowait().close()
    return took


def _body(old: str, new: str) -> bytes:
    """A push as large as those of a forge usually are."""
    commit = {"id": new, "message": "word " * 40, "added": [f"src/file{n}.py" for n in range(10)], "modified": []}
    return json.dumps({"ref": "refs/heads/main", "before": old, "after": new, "commits": [commit] * 8}).encode()


def _signature(body: bytes) -> str:
    return "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


def _shown(took: dict[str, float]) -> str:
    values = sorted(took.values())
    if not values:
        return "none"
    return f"p50 {_ms(statistics.median(values))}, p99 {_ms(_at(values, 0.99))}, most {_ms(values[-1])}"


def _at(values: list[float], part: float) -> float:
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
