"""How soon pages are ready in a browser: 200 pipelines, 100,000 runs: `python tests/benchmarks/pages.py [RUNS]`.

Ready is DOMContentLoaded after navigation, with script and style; needs chromium. Exit status 1 when the median of the
overview is not below its target. Also: the server's share alone, and how long after an event the page is true again.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cicdctl.model import Run, RunState, TriggerKind, Verdict
from cicdctl.store import open_state
from cicdctl.store.documents import encode

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = [f"service-{at:03d}" for at in range(200)]
TARGET_MS = 300.0
ROUNDS = 15
ADDRESSES = ("/", "/?ref=feature", f"/p/{PIPELINES[0]}", "/queue", "/caches", "/notifiers", "/triggers")
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
TIMES = "(() => { const one = performance.getEntriesByType('navigation')[0]; return one.domContentLoadedEventEnd; })()"


def make_project(folder: Path, env: dict[str, str]) -> None:
    folder.mkdir()
    tables = [f'[pipelines.{name}]\ntrigger = "manual"\n[pipelines.{name}.stages]\nunit = "true"' for name in PIPELINES]
    (folder / ".cicd.toml").write_text("\n".join(tables))
    for argv in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run(["git", *argv], cwd=folder, env=env, check=True)


def fill(folder: Path, runs: int) -> None:
    """Write runs that have ended straight into the tables: through the store it would take minutes."""
    folder.mkdir(mode=0o700, exist_ok=True)
    open_state(folder).close()
    chance, now = random.Random(1), time.time()
    base = sqlite3.connect(folder / "state.db", isolation_level=None)
    base.execute("BEGIN")
    for number in range(1, runs + 1):
        oid, at, seconds = f"{chance.getrandbits(160):040x}", now - (runs - number) * 30, chance.uniform(20, 300)
        run = Run(
            number=number,
            pipeline=PIPELINES[number % len(PIPELINES)],
            commit=oid,
            tree=oid,
            trigger=TriggerKind.COMMIT,
            state=RunState.DONE,
            verdict=Verdict.FAILED if chance.random() < 0.1 else Verdict.PASSED,
            ref="refs/heads/main" if chance.random() < 0.7 else "refs/heads/feature/comma",
            message="parser: accept a comma after the last argument",
            author="Ada Author <ada@example.test>",
            created_at=at - 3,
            started_at=at,
            finished_at=at + seconds,
            epoch=1,
            stage_names=("unit",),
        )
        row = (number, run.pipeline, oid, oid, "done", str(run.verdict), 1, at, encode(run))
        base.execute(
            "INSERT INTO run (id, pipeline, commit_id, tree, state, verdict, epoch, created_at, document) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )
        base.execute("INSERT INTO event (run, at, kind, detail) VALUES (?, ?, 'run_finished', '{}')", (number, at))
    base.execute("COMMIT")
    base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    base.close()


def ask_ms(port: int, path: str) -> tuple[float, int]:
    """Return milliseconds and bytes of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    start = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    took = (time.perf_counter() - start) * 1000
    assert answer.status == 200, (path, answer.status)
    connection.close()
    return took, len(body)


def ready_ms(page: Page, address: str) -> float:
    page.goto(address, wait_until="load")
    return float(page.evaluate(TIMES))


def swap_ms(page: Page, project: Path, env: dict[str, str]) -> float:
    """Return milliseconds from the event of a new run to the row that shows it."""
    page.evaluate(
        """(id) => { window.seen = 0;
        const before = document.getElementById(id).querySelector('.c-status').textContent;
        const look = () => {
            const now = document.getElementById(id).querySelector('.c-status').textContent;
            if (now !== before) window.seen ||= Date.now();
        };
        new MutationObserver(look).observe(document.getElementById('rows'), {childList: true, subtree: true}); }""",
        f"p-{PIPELINES[1]}",
    )
    command = [sys.executable, "-P", "-m", "cicdctl", "trigger", PIPELINES[1], "--json"]
    subprocess.run(command, cwd=project, env=env, check=True, capture_output=True)
    end = time.monotonic() + 60
    while not page.evaluate("window.seen"):  # waiting for a function is an eval, which pages forbid
        assert time.monotonic() < end
        time.sleep(0.05)
    base = sqlite3.connect(project / ".git" / "cicdctl" / "state.db")
    at = base.execute("SELECT MAX(at) FROM event WHERE kind IN ('run_created', 'run_queued')").fetchone()[0]
    base.close()
    return float(page.evaluate("window.seen")) - at * 1000


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory(prefix="cicdctl-pages-") as name:
        folder = Path(name)
        env = {"PATH": os.environ["PATH"], "HOME": name, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT)}
        env |= {f"GIT_{who}_{what}": "a@example.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        project = folder / "project"
        make_project(project, env)
        fill(project / ".git" / "cicdctl", runs)
        command = [sys.executable, "-P", "-m", "cicdctl", "serve", "--port", "0"]
        server = subprocess.Popen(command, cwd=project, env=env, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+:(\d+)", server.stdout.readline())
            assert found is not None
            return measure(int(found[1]), project, env)
        finally:
            server.terminate()
            server.wait(60)
            # What goes on after the last run is nobody's child, and still writes.
            while project.exists():
                shutil.rmtree(project, ignore_errors=True)
                time.sleep(0.1)


def measure(port: int, project: Path, env: dict[str, str]) -> int:
    """Print a line for each page; return 1 when the overview misses its target."""
    medians = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        for path in ADDRESSES:
            size = ask_ms(port, path)[1]
            server = statistics.median(ask_ms(port, path)[0] for _ in range(ROUNDS))
            ready = [ready_ms(page, f"http://127.0.0.1:{port}{path}") for _ in range(ROUNDS)]
            medians[path] = statistics.median(ready)
            spread = f"{min(ready):.0f} to {max(ready):.0f}"
            print(
                f"{path:16} ready {medians[path]:5.0f} ms ({spread})   server {server:4.0f} ms   {size / 1000:.0f} kB"
            )
        page.goto(f"http://127.0.0.1:{port}/", wait_until="load")
        print(f"a new run is seen after {swap_ms(page, project, env):.0f} ms")
        browser.close()
    print(f"target of / : {TARGET_MS:.0f} ms, load {os.getloadavg()[0]:.1f}")
    return 0 if medians["/"] < TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
