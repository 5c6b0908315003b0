"""What a server takes: `python tests/benchmarks/server.py [--runs 1000000] [--log-mb 1000] [--watchers 1000] [--only NAME]`.

`idle`: memory of a server that nobody asks. `runs`: `GET /api/runs` with that many in the history, each filter on its
own connection kept open. `log`: windows and searches anywhere in a log of that size. `tail`: so many watchers of one
growing log, one of them never reading; from the write to the last byte of the event at each watcher, both ends on the
same clock and the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import http.client
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cicdctl.model import Run, RunState, TriggerKind, Verdict
from cicdctl.store import AttemptStarted, LogWriter, RunChanged, StageChanged, lock, open_state
from cicdctl.store.changes import StageState

CONFIG = '[pipelines.build.stages]\nunit = "true"\n'
TICKS, TICK_S = 60, 0.25


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--runs", type=int, default=1_000_000)
    options.add_argument("--log-mb", type=int, default=1000)
    options.add_argument("--watchers", type=int, default=1000)
    options.add_argument("--requests", type=int, default=1000, help="of each kind")
    options.add_argument("--only", choices=("idle", "runs", "log", "tail"))
    options.add_argument("--folder", type=Path, help="where to make the repository; needs 2 GB")
    chosen = options.parse_args()
    print(f"load at the start: {os.getloadavg()[0]:.1f}")
    for name, measure in (("idle", idle), ("runs", runs), ("log", log), ("tail", tail)):
        if chosen.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="server-", dir=chosen.folder) as folder:
                measure(make_repository(Path(folder)), chosen)
    print(f"load at the end: {os.getloadavg()[0]:.1f}")


# --- what is measured


def idle(repository: Path, chosen: argparse.Namespace) -> None:
    with serving(repository) as (port, pid):
        time.sleep(5)
        print(f"idle, after 20 requests: {memory_mb(pid):.0f} MB (target 70)")


def runs(repository: Path, chosen: argparse.Namespace) -> None:
    remember(repository, chosen.runs)
    choice = random.Random(1)
    kinds = {
        "newest 20": lambda: "",
        "of a pipeline": lambda: f"pipeline=p{choice.randrange(50)}",
        "failed ones": lambda: "verdict=failed",
        "of a branch": lambda: f"ref=branch-{choice.randrange(200)}",
        "of a commit": lambda: f"commit={choice.randrange(chosen.runs // 3):040x}",
        "that go on": lambda: "active=true",
        "a page anywhere": lambda: f"before={choice.randrange(chosen.runs)}",
        "failed of a pipeline": lambda: f"pipeline=p{choice.randrange(50)}&verdict=failed",
        "rare: errors of a branch": lambda: f"ref=branch-{choice.randrange(200)}&verdict=error",
        "200 of a pipeline, anywhere": lambda: f"pipeline=p7&limit=200&before={choice.randrange(chosen.runs)}",
    }
    with serving(repository) as (port, pid):
        connection = connect(port)
        for name, query in kinds.items():
            tell(f"runs, {name}", [ask(connection, f"/api/runs?{query()}") for _ in range(chosen.requests)], "20 ms")
        tell(
            "run with stages",
            [ask(connection, f"/api/runs/{choice.randrange(1, chosen.runs)}") for _ in range(chosen.requests)],
        )
        print(f"  memory then: {memory_mb(pid):.0f} MB")


def log(repository: Path, chosen: argparse.Namespace) -> None:
    with open_attempt(repository) as path:
        line = b"2026-11-28T10:00:00.000Z \x1b[32minfo\x1b[0m module %08d did what it had to do, as it always does\n"
        lines = 0
        with LogWriter(path, cap_bytes=2 * 10**9) as writer:
            while writer.size < chosen.log_mb * 10**6:
                writer.write(b"".join(line % (lines + number) for number in range(10_000)))
                lines += 10_000
        choice = random.Random(1)
        where = "/api/runs/1/stages/unit/log"
        with serving(repository) as (port, pid):
            connection = connect(port)
            for size in (200, 2000):
                took = []
                for _ in range(chosen.requests):
                    first = choice.randrange(lines)
                    took.append(ask(connection, f"{where}?from_line={first}&lines={size}"))
                tell(
                    f"log of {chosen.log_mb} MB, {lines:,} lines, a window of {size}",
                    took,
                    "20 ms" if size == 200 else "",
                )
            tell(
                "log, the last 200 lines",
                [ask(connection, f"{where}?from_line=-200&lines=200") for _ in range(chosen.requests)],
            )
            found = [ask(connection, f"{where}?q=module+{choice.randrange(lines):08d}") for _ in range(5)]
            tell("log, search (gives up after a second)", found)
            print(f"  memory then: {memory_mb(pid):.0f} MB")


def tail(repository: Path, chosen: argparse.Namespace) -> None:
    with open_attempt(repository) as path, LogWriter(path) as writer:
        writer.write(b"begun\n")
        with serving(repository) as (port, pid):
            asyncio.run(watch(port, pid, writer, chosen.watchers))


class Watcher(asyncio.Protocol):
    """Takes the moments out of the lines that come, and keeps how long each was on its way."""

    def __init__(self, delays: list[float], path: str) -> None:
        self._delays = delays
        self._path = path
        self._rest = b""
        self.lines = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        now = time.time()
        data = self._rest + data
        found = re.findall(rb"at=(\d+\.\d{6});", data)
        self._rest = data[data.rfind(b"at=") :][:30] if data.rfind(b";") < data.rfind(b"at=") else b""
        self.lines += len(found)
        self._delays.extend(now - float(moment) for moment in found)


async def watch(port: int, pid: int, writer: LogWriter, watchers: int) -> None:
    gc.disable()  # what holds up the watchers is not the server's
    loop = asyncio.get_running_loop()
    where = "/api/events?run=1&stage=unit&offset=6"
    delays: list[float] = []
    open_ones = []
    before = memory_mb(pid)
    # One address has 256 connections at most; loopback has many addresses.
    for number in range(watchers - 1):
        address = (f"127.0.0.{2 + number // 200}", 0)
        made = await loop.create_connection(lambda: Watcher(delays, where), "127.0.0.1", port, local_addr=address)
        open_ones.append(made)
    slow = socket.create_connection(("127.0.0.1", port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(f"GET {where} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await asyncio.sleep(3)
    cpu = cpu_s(pid)
    began = time.monotonic()
    for number in range(TICKS):
        # The slow one is to fall behind, too: a line has 2 KB.
        writer.write(f"{number} at={time.time():.6f}; {'x' * 2000}\n".encode())
        await asyncio.sleep(TICK_S)
    await asyncio.sleep(2)
    took = time.monotonic() - began
    share = (cpu_s(pid) - cpu) / took
    complete = sum(watcher.lines == TICKS for _, watcher in open_ones)
    tell(f"tail, {watchers} watchers, {1 / TICK_S:.0f} lines/s", delays, "250 ms")
    print(
        f"  {complete} of {len(open_ones)} got every line; memory {memory_mb(pid):.0f} MB, before {before:.0f} (target 100)"
    )
    print(f"  the server took {share:.0%} of a core; the watchers run on the same two")
    for transport, _ in open_ones:
        transport.abort()
    slow.close()


# --- what it needs


def make_repository(folder: Path) -> Path:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    env |= {f"GIT_{who}_{what}": "a@example.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    repository = folder / "repository"
    repository.mkdir()
    (repository / ".cicd.toml").write_text(CONFIG)
    for argv in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", *argv], cwd=repository, env=env, check=True, capture_output=True)
    (repository / ".git/cicdctl").mkdir(mode=0o700)
    return repository


def remember(repository: Path, count: int) -> None:
    """Fill the history: 50 pipelines, 200 branches, a commit for each 3 runs; 3 % failed, 1 in 10,000 is an error."""
    folder = repository / ".git/cicdctl"
    run = Run(
        number=0,
        pipeline="p0",
        commit="0" * 40,
        tree="1" * 40,
        trigger=TriggerKind.COMMIT,
        state=RunState.DONE,
        verdict=Verdict.PASSED,
        ref="refs/heads/branch-0",
        message="a message of a usual length, as people write them\n",
        author="Ada Author <ada@example.test>",
        created_at=1_700_000_000.0,
        started_at=1_700_000_001.0,
        finished_at=1_700_000_099.0,
        stage_names=("lint", "unit", "package"),
    )
    with open_state(folder) as state:
        state.begin(run)
    with contextlib.closing(sqlite3.connect(folder / "state.db")) as database:
        database.executescript("PRAGMA synchronous = OFF")
        database.execute(
            """INSERT INTO run (pipeline, commit_id, tree, ref, state, verdict, epoch, created_at, document)
            WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < ?),
            r AS (SELECT i, 'p' || (i % 50) AS pipeline, printf('%040x', i / 3) AS oid,
                         'refs/heads/branch-' || ((i * 7) % 200) AS ref,
                         CASE WHEN i % 10000 = 77 THEN 'error' WHEN i % 31 = 0 THEN 'failed' ELSE 'passed' END AS verdict
                  FROM n)
            SELECT r.pipeline, r.oid, tree, r.ref, state, r.verdict, epoch, created_at + i,
                   json_set(document, '$.number', i, '$.pipeline', r.pipeline, '$.commit', r.oid, '$.ref', r.ref,
                            '$.verdict', r.verdict)
            FROM r JOIN run ON run.id = 1""",
            (count,),
        )
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextlib.contextmanager
def open_attempt(repository: Path) -> Iterator[Path]:
    """Write down a run that goes on and an attempt of its stage `unit`; give where its log is to be."""
    folder = repository / ".git/cicdctl"
    run = Run(
        number=0,
        pipeline="build",
        commit="0" * 40,
        tree="1" * 40,
        trigger=TriggerKind.MANUAL,
        state=RunState.STARTING,
        created_at=time.time(),
        stage_names=("unit",),
    )
    with open_state(folder) as state:
        began = state.begin(run)
        changes = [
            RunChanged(state=RunState.RUNNING, started_at=time.time()),
            StageChanged(stage="unit", state=StageState.RUNNING),
            AttemptStarted(stage="unit", number=1, at=time.time(), log="logs/1/unit.1.log"),
        ]
        state.apply(changes, run=began.number, epoch=began.epoch)
    path = folder / "logs/1/unit.1.log"
    path.parent.mkdir(parents=True, mode=0o700)
    (folder / "locks").mkdir(mode=0o700, exist_ok=True)
    held = lock(folder / "locks" / f"run-{began.number}.lock", blocking=False)
    assert held is not None
    with held:  # nobody takes it for one whose runner died
        yield path


@contextlib.contextmanager
def serving(repository: Path) -> Iterator[tuple[int, int]]:
    """Start a server; gives its port and process."""
    env = {"PATH": os.environ["PATH"], "HOME": str(repository.parent), "LC_ALL": "C.UTF-8"}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cicdctl", "serve", "--port", "0"],
        cwd=repository,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    found = re.search(r"http://\S+:(\d+)", process.stdout.readline())
    assert found is not None
    print(f"  (ready after {time.monotonic() - began:.1f} s)")
    try:
        warm = connect(int(found[1]))
        for _ in range(20):
            ask(warm, "/api/runs")
        yield int(found[1]), process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def ask(connection: http.client.HTTPConnection, path: str) -> float:
    """Return how long the whole answer took, in seconds."""
    began = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    took = time.perf_counter() - began
    assert answer.status == 200, body
    json.loads(body) if body.startswith(b"{") else None
    return took


def tell(name: str, took: Sequence[float], target: str = "") -> None:
    ordered = sorted(took)

    def at(share: float) -> str:
        return f"{ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000:.1f}"

    wanted = f" (target p99 {target})" if target else ""
    print(f"{name}: {len(took)}, p50 {at(0.5)} ms, p99 {at(0.99)} ms, most {at(1.0)} ms{wanted}", flush=True)


def memory_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
